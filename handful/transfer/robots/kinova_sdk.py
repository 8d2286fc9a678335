"""The Jaco straight through Kinova's SDK library, over USB or Ethernet. No line here has run on an arm."""

from __future__ import annotations

import threading

import numpy as np

from handful.errors import RobotError
from handful.transfer.robots import kinova_types as types
from handful.transfer.robots.cameras import Camera
from handful.transfer.robots.kinova import NUM_ARM, RAD_PER_UNIT, to_kinova
from handful.transfer.robots.kinova_arm import KinovaArm
from handful.transfer.robots.kinova_library import KinovaLibrary

READING_PERIOD_S = 0.02
"""How often the joints are asked for [s]: more often than the loop looks, and seldom enough to leave room for commands."""


class KinovaSdkRobot(KinovaArm):
    """A Jaco by Kinova's library, and a camera."""

    name = "kinova-sdk"

    def __init__(self, library: KinovaLibrary, camera: Camera | None = None) -> None:
        """Read the joints of an arm; it is told nothing before the first command. `close` closes library and camera."""
        super().__init__(camera)
        self._library = library
        self._failure: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _check(self) -> None:
        if self._failure is not None:
            raise RobotError(self._failure)

    def _prepare(self) -> None:
        for name in ("StartControlAPI", "SetAngularControl", "EraseAllTrajectories"):
            self._library.call(name)

    def _clear(self) -> None:
        self._library.call("EraseAllTrajectories")

    def _stop_listening(self) -> None:
        self._ended.set()
        self._thread.join(timeout=2.0)

    def _hang_up(self) -> None:
        if not self._thread.is_alive():  # else a call hangs in the library, and another would as well
            self._library.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._read()
            except RobotError as error:
                self._failure = str(error)
                return
            self._ended.wait(READING_PERIOD_S)

    def _read(self) -> None:
        position, rate = (self._library.read(name) for name in ("GetAngularPosition", "GetAngularVelocity"))
        angles = np.concatenate([np.deg2rad(_actuators(position)), _fingers(position) * RAD_PER_UNIT])
        degrees = _actuators(rate)
        # Some versions of the library give negative speeds as 181 to 360 (kinova_arm.cpp).
        rates = np.concatenate([np.deg2rad(np.where(degrees > 180.0, degrees - 360.0, degrees)), np.zeros(3)])
        try:
            self._take(angles, rates)
        except ValueError as error:
            raise RobotError(f"Kinova's library gave {error}.") from error

    def _send(self, velocities: np.ndarray) -> None:
        arm, fingers = to_kinova(velocities)
        point = types.TrajectoryPoint()
        point.Position.Type, point.Position.HandMode = types.ANGULAR_VELOCITY, types.VELOCITY_MODE
        for number, value in enumerate(arm, start=1):
            setattr(point.Position.Actuators, f"Actuator{number}", value)
        for number, value in enumerate(fingers, start=1):
            setattr(point.Position.Fingers, f"Finger{number}", value)
        self._library.call("SendAdvanceTrajectory", point)


def _actuators(of: types.AngularPosition) -> np.ndarray:
    return np.array([getattr(of.Actuators, f"Actuator{number}") for number in range(1, NUM_ARM + 1)], float)


def _fingers(of: types.AngularPosition) -> np.ndarray:
    return np.array([getattr(of.Fingers, f"Finger{number}") for number in range(1, 4)], float)
