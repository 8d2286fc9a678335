"""Cameras: OpenCV's by a video file or a module that stands in for it, RealSense's likewise, and topics of ROS."""

from __future__ import annotations

import base64
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tests are imported by path

from rosbridge_server import image_message

from handful.errors import ConfigurationError, RobotError
from handful.transfer.robots import cameras
from handful.transfer.robots.ros_camera import RosCamera, from_compressed_image, from_image
from handful.transfer.robots.rosbridge import Rosbridge
from handful.transfer.seeing import fitted


def wait_for(condition, *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def wait_for_error(camera, words: str) -> None:
    with pytest.raises(RobotError, match=words):
        for _ in range(2000):
            camera.read()
            time.sleep(0.01)


class FakeCapture:
    """OpenCV's `VideoCapture`: noise, blue first, with one color that a test knows."""

    def __init__(self, source) -> None:
        self.source, self.settings, self.released = source, {}, False
        self.generator = np.random.default_rng(0)
        self.dead, self.frozen, self.hangs, self.bad = False, False, threading.Event(), None
        self.last = None
        FakeCapture.opened = self

    def isOpened(self):
        return self.source != 9

    def set(self, name, value):
        self.settings[name] = value

    def read(self):
        time.sleep(0.002)
        if self.hangs.is_set():
            time.sleep(0.5)
        if self.bad is not None:
            return True, self.bad
        if self.dead:
            return False, None
        if not self.frozen:
            self.last = self.generator.integers(0, 100, (6, 8, 3)).astype(np.uint8)
            self.last[..., 0] += 150  # blue
        return True, self.last

    def release(self):
        self.released = True


@pytest.fixture
def opencv(monkeypatch):
    names = {f"CAP_PROP_{name}": name for name in ("FRAME_WIDTH", "FRAME_HEIGHT", "FPS", "BUFFERSIZE")}
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(VideoCapture=FakeCapture, **names))


def test_an_opencv_camera_delivers_red_first_and_is_released(opencv):
    camera = cameras.open_usb_camera("0")
    wait_for(lambda: camera.read() is not None)
    picture = camera.read()
    assert picture.pixels.shape == (6, 8, 3) and picture.pixels.dtype == np.uint8
    assert picture.pixels[..., 2].min() >= 150 > picture.pixels[..., 0].max()
    assert FakeCapture.opened.source == 0 and FakeCapture.opened.settings["FRAME_WIDTH"] == 640
    wait_for(lambda: camera.read().time > picture.time)
    camera.close()
    assert FakeCapture.opened.released


def test_a_camera_that_hangs_or_repeats_its_picture_shows_an_old_one(opencv):
    camera = cameras.open_usb_camera("0")
    wait_for(lambda: camera.read() is not None)
    for break_it in (lambda: setattr(FakeCapture.opened, "frozen", True), FakeCapture.opened.hangs.set):
        break_it()
        time.sleep(0.05)
        before = camera.read().time
        time.sleep(0.1)
        assert camera.read().time == before
    camera.close()


def test_a_camera_that_has_gone_or_sends_no_picture_is_said_in_one_sentence(opencv):
    camera = cameras.open_usb_camera("/dev/video0")
    FakeCapture.opened.dead = True
    wait_for_error(camera, "the camera 'usb:/dev/video0' has gone")
    camera.close()
    camera = cameras.open_usb_camera("/dev/video0")
    FakeCapture.opened.bad = np.zeros((4, 4, 3), np.float32)
    wait_for_error(camera, "has failed: expected a picture of uint8")
    camera.close()
    with pytest.raises(RobotError, match="there is no camera '9', or another program has it"):
        cameras.open_usb_camera("9")


def test_a_video_file_is_a_camera_until_it_ends(tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(90):
            pixels = np.zeros((64, 96, 3), np.uint8)
            pixels[..., 0], pixels[:, : number + 1, 1] = 200, 200
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    camera = cameras.open_usb_camera(str(path))
    seen = []
    with pytest.raises(RobotError, match="has gone"):
        for _ in range(20000):
            if (picture := camera.read()) is not None:
                seen.append(picture)
            time.sleep(0.001)
    camera.close()
    image = fitted(seen[0].pixels, 64, 64)
    assert image.shape == (64, 64, 3) and image[..., 0].mean() > 150 > image[..., 2].mean()


class FakePipeline:
    """A pipeline of pyrealsense2."""

    def start(self, config):
        if config.serial == "404":
            raise RuntimeError("No device connected")

    def wait_for_frames(self):
        time.sleep(0.002)
        noise = np.random.default_rng(time.monotonic_ns()).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        return types.SimpleNamespace(get_color_frame=lambda: types.SimpleNamespace(get_data=lambda: noise))

    def stop(self):
        FakePipeline.stopped = True


def test_a_realsense_delivers_pictures(monkeypatch):
    class Config:
        serial = ""

        def enable_device(self, serial):
            self.serial = serial

        def enable_stream(self, *arguments):
            assert arguments == ("color", 640, 480, "rgb8", 30)

    names = {"stream": types.SimpleNamespace(color="color"), "format": types.SimpleNamespace(rgb8="rgb8")}
    module = types.SimpleNamespace(pipeline=FakePipeline, config=Config, **names)
    monkeypatch.setitem(sys.modules, "pyrealsense2", module)
    camera = cameras.open_realsense_camera("")
    wait_for(lambda: camera.read() is not None)
    assert camera.read().pixels.shape == (6, 8, 3)
    camera.close()
    assert FakePipeline.stopped
    with pytest.raises(RobotError, match="there is no RealSense '404'"):
        cameras.open_realsense_camera("404")


@pytest.mark.parametrize(
    ("open_camera", "module", "package"),
    [
        (cameras.open_usb_camera, "cv2", "opencv-python-headless"),
        (cameras.open_realsense_camera, "pyrealsense2", "pyrealsense2"),
    ],
)
def test_a_library_that_is_missing_is_named(open_camera, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"needs the package '{package}'"):
        open_camera("0")


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/image_raw/compressed"])
def test_a_topic_delivers_pictures_until_the_connection_ends(topic, server):
    camera = RosCamera(Rosbridge("127.0.0.1", server.port), topic, owns_bridge=True)
    wait_for(lambda: camera.read() is not None)
    first = camera.read()
    assert first.pixels.shape == server.pixels.shape
    wait_for(lambda: camera.read().time > first.time)
    server.blind = True
    time.sleep(0.3)
    before = camera.read().time
    time.sleep(0.1)
    assert camera.read().time == before  # silence: the watchdog sees its age
    server.disconnect()
    wait_for_error(camera, "connection")
    camera.close()


def test_encodings_are_brought_to_red_green_blue():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(from_image(image_message(pixels)), pixels)
    np.testing.assert_array_equal(from_image(image_message(pixels[..., ::-1], encoding="bgr8")), pixels)
    with_alpha = np.concatenate([pixels, pixels[..., :1]], axis=2)
    np.testing.assert_array_equal(from_image(image_message(with_alpha, encoding="rgba8")), pixels)
    blue_first = with_alpha[..., [2, 1, 0, 3]]
    np.testing.assert_array_equal(from_image(image_message(blue_first, encoding="bgra8")), pixels)
    gray = from_image(image_message(pixels[..., :1], encoding="mono8"))
    np.testing.assert_array_equal(gray, np.repeat(pixels[..., :1], 3, axis=2))
    np.testing.assert_array_equal(from_compressed_image(image_message(pixels, "/compressed")), pixels)
    padded = image_message(pixels)  # rows may be longer than their pixels
    rows = np.pad(pixels.reshape(5, 21), ((0, 0), (0, 3)))
    padded |= {"step": 24, "data": base64.b64encode(rows.tobytes()).decode()}
    np.testing.assert_array_equal(from_image(padded), pixels)


@pytest.mark.parametrize(
    "change",
    [
        {"encoding": "16UC1"},
        {"width": 8},
        {"height": 4},
        {"height": 0},
        {"step": 5},
        {"width": 10**6, "height": 10**6},
        {"width": "7"},
        {"data": "not base64!"},
        {"data": None},
    ],
)
def test_a_message_of_another_size_or_kind_is_none(change):
    pixels = np.zeros((5, 7, 3), np.uint8)
    with pytest.raises((ValueError, TypeError)):
        from_image(image_message(pixels) | change)


def test_garbage_on_the_topic_ends_the_camera(server):
    camera = RosCamera(Rosbridge("127.0.0.1", server.port), "/camera/image_raw", owns_bridge=True)
    wait_for(lambda: camera.read() is not None)
    server.pixels = np.zeros((4, 4, 2), np.uint8)  # two channels that are called three
    wait_for_error(camera, "what came on /camera/image_raw is no sensor_msgs/Image")
    camera.close()
    with pytest.raises(OSError):
        from_compressed_image({"data": base64.b64encode(b"no picture").decode()})
