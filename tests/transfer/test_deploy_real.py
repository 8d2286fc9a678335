"""`handful deploy` with a real arm's names: mistakes are one sentence and nothing moves; a dry run sends nothing."""

from __future__ import annotations

import socket
import sys
import time

import h5py
import pytest

from handful.cli.main import run_command_line
from handful.transfer import loop
from handful.transfer.robots import opening
from handful.transfer.watchdog import Watchdog


@pytest.fixture
def run(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    patient = Watchdog(max_reading_age=3.0, max_picture_age=3.0, max_lateness=3.0)
    monkeypatch.setattr(loop, "Watchdog", lambda: patient)  # for a machine that is busy

    def call(*words: str) -> tuple[int, str]:
        status = run_command_line(["deploy", str(exported), *words])
        printed = capsys.readouterr()
        return status, " ".join((printed.out + printed.err).split())

    return call


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--robot", "kinova-rso"], "unknown robot 'kinova-rso': did you mean 'kinova-ros'?"),
        (["--robot", "kinova-ros", "--camera", "usb:0"], "expected --host HOST or HOST:PORT, where rosbridge runs"),
        (["--robot", "kinova-ros", "--host", "arm"], "the policy looks at pictures: expected --camera"),
        (
            ["--robot", "kinova-ros", "--host", "a:b", "--camera", "ros:/x"],
            "expected --host HOST or HOST:PORT, got 'a:b'",
        ),
        (["--robot", "kinova-ros", "--host", "arm", "--camera", "web:0"], "unknown kind of camera 'web'"),
        (["--robot", "kinova-ros", "--host", "arm", "--camera", "ros"], "expected --camera ros:/TOPIC, got 'ros'"),
        (["--robot", "kinova-ros", "--host", "arm", "--library", "x.so"], "--library and --serial are for the robot"),
        (["--robot", "kinova-sdk", "--camera", "usb:0"], "expected --library FILE, Kinova's SDK library"),
        (["--robot", "kinova-sdk", "--library", "x.so", "--camera", "ros:/x"], "it needs kinova-ros"),
        (["--host", "arm"], "--host, --camera, --library and --serial are for a real arm"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, run, tmp_path):
    status, printed = run(*words)
    assert status == 2 and sentence in printed and not list(tmp_path.iterdir())


def test_a_host_or_a_library_that_is_not_there_is_one_sentence(run, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ["--robot", "kinova-ros", "--host", f"127.0.0.1:{port}", "--camera", "ros:/camera/image"]
    status, printed = run(*words)
    assert status == 1 and f"no rosbridge answers at 127.0.0.1:{port}" in printed
    monkeypatch.setattr(opening, "open_usb_camera", lambda source: None)
    status, printed = run("--robot", "kinova-sdk", "--library", "missing.so", "--camera", "usb:0")
    assert status == 2 and "missing.so is no SDK library of Kinova's" in printed and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [("silent", "has said nothing of its joints for"), ("blind", "the camera has delivered nothing")],
)
def test_an_arm_or_a_camera_that_says_nothing_is_not_moved(fault, sentence, run, server, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "NUM_WAITS", 5)
    setattr(server, fault, True)
    status, printed = run(
        "--robot", "kinova-ros", "--host", f"127.0.0.1:{server.port}", "--camera", "ros:/camera/image"
    )
    assert status == 1 and sentence in printed
    assert not server.velocities and not server.services and not list(tmp_path.iterdir())


def test_a_missing_camera_is_said_before_anything_moves(run, server, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    status, printed = run("--robot", "kinova-ros", "--host", f"127.0.0.1:{server.port}", "--camera", "usb:0")
    assert status == 2 and "this camera needs the package 'opencv-python-headless'" in printed
    assert not server.velocities and not list(tmp_path.iterdir())


def test_a_dry_run_sends_nothing_and_is_logged(run, server, tmp_path):
    words = ["--robot", "kinova-ros", "--host", f"127.0.0.1:{server.port}", "--camera", "ros:/camera/image"]
    status, printed = run(*words, "--dry-run", "--seconds", "1")
    assert status == 0 and "20 steps, dry: no command was sent." in printed
    time.sleep(0.1)
    assert not server.velocities and not server.goals and not server.services
    with h5py.File(tmp_path / "deployment.hdf5") as file:
        assert file["data/demo_0/robot/commands"].shape == (20, 9)


def test_an_episode_moves_the_arm_and_ends_with_zeros(run, server):
    words = ["--robot", "kinova-ros", "--host", f"127.0.0.1:{server.port}", "--camera", "ros:/camera/image/compressed"]
    status, printed = run(*words, "--seconds", "1")
    assert status == 0 and "20 steps." in printed, printed
    assert any(each.any() for each in server.velocities) and not server.velocities[-1].any()
