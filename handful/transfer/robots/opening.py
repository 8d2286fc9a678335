"""Finds a real arm and its camera by what the command line says."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import Protocol

from handful.errors import ConfigurationError, RobotError, unknown_name
from handful.transfer.robots.cameras import Camera, open_realsense_camera, open_usb_camera
from handful.transfer.robots.robot import Robot

ROS, SDK = "kinova-ros", "kinova-sdk"
REAL_ROBOTS = (ROS, SDK)
"""Arms that are no simulation, by name."""

CAMERA_KINDS = ("usb", "realsense", "ros")
"""What `--camera` may begin with."""

NUM_WAITS, WAIT_S = 50, 0.1
"""How often, and after how long [s], arm and camera are asked for their first reading and picture."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an arm and its camera are."""

    host: str = ""
    """Of rosbridge: ``HOST`` or ``HOST:PORT``; of an arm behind the SDK's Ethernet library its address; else empty."""
    camera: str = ""
    """``usb:0``, ``usb:/dev/video2``, ``realsense``, ``realsense:SERIAL`` or ``ros:/TOPIC``; empty for none."""
    library: Path | None = None
    """The SDK's library."""
    serial: str = ""
    """Serial number of the arm; empty for the only one."""


def check_place(name: str, place: Place, *, looks: bool) -> None:
    """Refuse what cannot be a place of that robot, before anything is opened, by a `ConfigurationError`.

    Args:
        name: Name of the robot.
        place: Where it is said to be.
        looks: Whether the policy looks at pictures.
    """
    if name not in REAL_ROBOTS:
        raise unknown_name("robot", name, REAL_ROBOTS)
    if name == ROS and not place.host:
        raise ConfigurationError("expected --host HOST or HOST:PORT, where rosbridge runs, for the robot 'kinova-ros'.")
    if name == SDK and place.library is None:
        raise ConfigurationError("expected --library FILE, Kinova's SDK library, for the robot 'kinova-sdk'.")
    if name == ROS and (place.library is not None or place.serial):
        raise ConfigurationError("--library and --serial are for the robot 'kinova-sdk', not for 'kinova-ros'.")
    if not place.camera:
        if looks:
            raise ConfigurationError("the policy looks at pictures: expected --camera usb:0, realsense or ros:/TOPIC.")
        return
    kind, separator, source = place.camera.partition(":")
    if kind not in CAMERA_KINDS:
        raise unknown_name("kind of camera", kind, CAMERA_KINDS)
    if kind != "realsense" and not source:
        raise ConfigurationError(
            f"expected --camera {kind}:{'0' if kind == 'usb' else '/TOPIC'}, got '{place.camera}'."
        )
    if kind == "ros" and name != ROS:
        raise ConfigurationError(
            "a camera 'ros:/TOPIC' comes through the same rosbridge as the arm: it needs kinova-ros."
        )


def open_robot(name: str, place: Place) -> Robot:
    """Find an arm and a camera that `check_place` has let pass, and wait until both have said something; nothing moves.

    Raises:
        ConfigurationError: a library is missing, or an address is none.
        RobotError: there is no such arm or camera, or it says nothing.
    """
    opener: Opener = _open_ros if name == ROS else _open_sdk
    with contextlib.ExitStack() as stack:
        robot = opener(place, stack)
        _wait_until_ready(robot, looks=bool(place.camera))
        stack.pop_all()  # the robot closes the rest
    return robot


class Opener(Protocol):
    """Opens a robot; what it has opened until it fails is in the stack."""

    def __call__(self, place: Place, stack: contextlib.ExitStack) -> Robot:
        """Open."""
        ...


def _open_ros(place: Place, stack: contextlib.ExitStack) -> Robot:
    from handful.transfer.robots.kinova_ros import KinovaRosRobot
    from handful.transfer.robots.ros_camera import RosCamera
    from handful.transfer.robots.rosbridge import Rosbridge, split_host

    bridge = Rosbridge(*split_host(place.host))
    stack.callback(bridge.close)
    kind, _, source = place.camera.partition(":")
    camera = RosCamera(bridge, source) if kind == "ros" else _open_camera(place.camera)
    if camera is not None:
        stack.callback(camera.close)
    robot = KinovaRosRobot(bridge, camera)
    stack.callback(robot.close)
    return robot


def _open_sdk(place: Place, stack: contextlib.ExitStack) -> Robot:
    from handful.transfer.robots.kinova_library import Ethernet, KinovaLibrary
    from handful.transfer.robots.kinova_sdk import KinovaSdkRobot

    assert place.library is not None
    camera = _open_camera(place.camera)
    if camera is not None:
        stack.callback(camera.close)
    ethernet = Ethernet(robot=place.host) if place.host else None
    robot = KinovaSdkRobot(KinovaLibrary(place.library, ethernet=ethernet, serial=place.serial), camera)
    stack.callback(robot.close)
    return robot


def _open_camera(text: str) -> Camera | None:
    kind, _, source = text.partition(":")
    if kind == "usb":
        return open_usb_camera(source)
    return open_realsense_camera(source) if kind == "realsense" else None


def _wait_until_ready(robot: Robot, *, looks: bool) -> None:
    never = threading.Event()
    for _ in range(NUM_WAITS):
        if robot.joints() is not None and (not looks or robot.picture() is not None):
            return
        robot.clock.sleep_until(robot.clock.now() + WAIT_S, never)
    if robot.joints() is None:
        raise RobotError(f"the robot '{robot.name}' has said nothing of its joints for {NUM_WAITS * WAIT_S:.0f} s.")
    raise RobotError(f"the camera has delivered nothing for {NUM_WAITS * WAIT_S:.0f} s.")
