"""The Jaco straight through Kinova's SDK library, over USB or Ethernet. No line here has run on an arm."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np

from handful.errors import RobotError
from handful.transfer.robots import kinova_types as types
from handful.transfer.robots.cameras import Camera
from handful.transfer.robots.kinova import (
    NUM_ARM,
    PERIOD_S,
    RAD_PER_UNIT,
    TABLE,
    FingerRates,
    Obedience,
    from_kinova,
    rates_from_kinova,
    to_kinova,
)
from handful.transfer.robots.kinova_library import KinovaLibrary
from handful.transfer.robots.repeater import Repeater
from handful.transfer.robots.robot import Clock, JointReading, Picture, SteadyClock

READING_PERIOD_S = 0.02
"""How often the joints are asked for [s]: more often than the loop looks, and seldom enough to leave room for commands."""


class KinovaSdkRobot:
    """A Jaco, and a camera."""

    name = "kinova-sdk"

    def __init__(self, library: KinovaLibrary, camera: Camera | None = None) -> None:
        """Read the joints of an arm; it is told nothing before the first command. `close` closes library and camera."""
        self.clock: Clock = SteadyClock()
        self._library, self._camera = library, camera
        self._reading: JointReading | None = None
        self._failure: str | None = None
        self._finger_rates, self._obedience = FingerRates(), Obedience()
        self._repeater = Repeater(self._send, period=PERIOD_S, num_joints=len(TABLE))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def joints(self) -> JointReading | None:
        """See `handful.transfer.robots.robot.Robot`."""
        if self._failure is not None:
            raise RobotError(self._failure)
        return self._reading

    def picture(self) -> Picture | None:
        """See `handful.transfer.robots.robot.Robot`."""
        return None if self._camera is None else self._camera.read()

    def command(self, velocities: np.ndarray) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        reading = self.joints()
        if reading is None:
            raise RobotError("the arm has said nothing of its joints.")
        self._obedience.check(time.monotonic(), reading.positions, velocities)
        if not self._repeater.begun:
            for name in ("StartControlAPI", "SetAngularControl", "EraseAllTrajectories"):
                self._library.call(name)
        self._repeater.command(velocities)

    def stop(self) -> None:
        """See `handful.transfer.robots.robot.Robot`; where no command was sent, nothing is."""
        if not self._repeater.begun:
            return
        self._repeater.stop()
        with contextlib.suppress(RobotError):
            self._library.call("EraseAllTrajectories")

    def close(self) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        self.stop()
        self._repeater.close()
        self._ended.set()
        self._thread.join(timeout=2.0)
        if self._camera is not None:
            self._camera.close()
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
        now = time.monotonic()
        angles = np.concatenate([np.deg2rad(_actuators(position)), _fingers(position) * RAD_PER_UNIT])
        degrees = _actuators(rate)
        # Some versions of the library give negative speeds as 181 to 360 (kinova_arm.cpp).
        rates = np.concatenate([np.deg2rad(np.where(degrees > 180.0, degrees - 360.0, degrees)), np.zeros(3)])
        if not (np.isfinite(angles).all() and np.isfinite(rates).all()):
            raise RobotError("Kinova's library gave a number that is not finite.")
        positions, velocities = from_kinova(angles), rates_from_kinova(rates)
        velocities[NUM_ARM:] = self._finger_rates.update(now, positions[NUM_ARM:])
        self._reading = JointReading(positions, velocities, now)

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
