"""Cameras behind one protocol.

They deliver pictures as they are; `handful.transfer.seeing.fitted` cuts and averages them for the policy.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from handful.errors import ConfigurationError, RobotError
from handful.transfer.robots.robot import Picture

WIDTH, HEIGHT, HZ = 640, 480, 30
"""What is asked of a camera; it may deliver something else."""


class Camera(Protocol):
    """Something that delivers pictures by itself."""

    def read(self) -> Picture | None:
        """The last picture, red, green, blue, and when it arrived; None before the first. It does not wait.

        Raises:
            RobotError: the camera has gone, or what it sends is no picture.
        """
        ...

    def close(self) -> None:
        """Let go of it."""


class LatestPicture:
    """What arrived last.

    A camera that hangs can repeat its last picture. A real one has noise, so a picture that equals the one before to the
    last bit is none, and the watchdog sees the old one's age.
    """

    def __init__(self) -> None:
        self._picture: Picture | None = None
        self._failure: str | None = None

    def put(self, pixels: np.ndarray) -> None:
        """Keep a picture, uint8 [height, width, 3]; a `ValueError` says that it is none."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape) < 1:
            raise ValueError(f"expected a picture of uint8 [height, width, 3], got {pixels.dtype} {pixels.shape}")
        last = self._picture
        if last is None or not np.array_equal(last.pixels, pixels):
            self._picture = Picture(np.ascontiguousarray(pixels), time.monotonic())

    def fail(self, sentence: str) -> None:
        """From now on, `get` says this."""
        self._failure = self._failure or sentence

    def get(self) -> Picture | None:
        """What was put last; a `RobotError` where the camera has failed."""
        if self._failure is not None:
            raise RobotError(self._failure)
        return self._picture


class ThreadedCamera:
    """A camera whose library waits for each picture, in a thread of its own."""

    def __init__(self, name: str, grab: Callable[[], np.ndarray | None], release: Callable[[], None]) -> None:
        """Call ``grab`` again and again, which returns None where the camera has gone, and at the end ``release``."""
        self._name, self._grab, self._release = name, grab, release
        self._latest, self._ended = LatestPicture(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self) -> Picture | None:
        """See `Camera`."""
        return self._latest.get()

    def close(self) -> None:
        """See `Camera`. A thread that hangs in the camera's library is left behind."""
        self._ended.set()
        self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            with contextlib.suppress(Exception):  # whatever the library raises, it is over
                self._release()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                pixels = self._grab()
                if pixels is None:
                    self._latest.fail(f"the camera '{self._name}' has gone: it delivers nothing any more.")
                    return
                self._latest.put(pixels)
            except Exception as error:  # libraries of cameras raise whatever they like
                self._latest.fail(f"the camera '{self._name}' has failed: {str(error)[:100]}.")
                return


def open_usb_camera(source: str) -> Camera:
    """A camera by V4L2 or USB, or a video file: a number, as in ``/dev/video0``, or a path; by OpenCV.

    Raises:
        ConfigurationError: OpenCV is not installed.
        RobotError: there is no such camera.
    """
    cv2 = _library("cv2", "opencv-python-headless")
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not capture.isOpened():
        capture.release()
        raise RobotError(f"there is no camera '{source}', or another program has it.")
    for name, value in (("FRAME_WIDTH", WIDTH), ("FRAME_HEIGHT", HEIGHT), ("FPS", HZ), ("BUFFERSIZE", 1)):
        capture.set(getattr(cv2, f"CAP_PROP_{name}"), value)

    def grab() -> np.ndarray | None:
        delivered, pixels = capture.read()  # blue first
        return pixels[..., ::-1] if delivered else None

    return ThreadedCamera(f"usb:{source}", grab, capture.release)


def open_realsense_camera(serial: str) -> Camera:
    """An Intel RealSense by its serial number, or any if that is empty; by pyrealsense2.

    Raises:
        ConfigurationError: pyrealsense2 is not installed.
        RobotError: there is no such camera.
    """
    rs = _library("pyrealsense2", "pyrealsense2")
    pipeline, config = rs.pipeline(), rs.config()
    if serial:
        config.enable_device(serial)
    config.enable_stream(rs.stream.color, WIDTH, HEIGHT, rs.format.rgb8, HZ)
    try:
        pipeline.start(config)
    except RuntimeError as error:
        raise RobotError(f"there is no RealSense '{serial}' ({str(error)[:100]}).") from error

    def grab() -> np.ndarray | None:
        frame = pipeline.wait_for_frames().get_color_frame()
        return np.array(frame.get_data()) if frame else None

    return ThreadedCamera(f"realsense:{serial}", grab, pipeline.stop)


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"this camera needs the package '{package}': pip install {package}") from error
