"""What a Jaco is whichever way it is reached: its last reading, commands that are repeated, and a stop."""

from __future__ import annotations

import abc
import contextlib
import time

import numpy as np

from handful.errors import RobotError
from handful.transfer.robots.cameras import Camera
from handful.transfer.robots.kinova import (
    NUM_ARM,
    PERIOD_S,
    TABLE,
    FingerRates,
    Obedience,
    from_kinova,
    rates_from_kinova,
)
from handful.transfer.robots.repeater import Repeater
from handful.transfer.robots.robot import Clock, JointReading, Picture, SteadyClock


class KinovaArm(abc.ABC):
    """A Jaco, and a camera; it is told nothing before the first command. See `handful.transfer.robots.robot.Robot`."""

    name: str
    """Name on the command line."""

    def __init__(self, camera: Camera | None) -> None:
        """Wait for readings; `close` closes the camera too."""
        self.clock: Clock = SteadyClock()
        self._camera = camera
        self._reading: JointReading | None = None
        self._finger_rates, self._obedience = FingerRates(), Obedience()
        self._repeater = Repeater(self._send, period=PERIOD_S, num_joints=len(TABLE))

    def joints(self) -> JointReading | None:
        """See `handful.transfer.robots.robot.Robot`."""
        self._check()
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
            self._prepare()
        self._repeater.command(velocities)

    def stop(self) -> None:
        """See `handful.transfer.robots.robot.Robot`; where no command was sent, nothing is."""
        if not self._repeater.begun:
            return
        self._repeater.stop()
        with contextlib.suppress(RobotError):
            self._clear()

    def close(self) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        self.stop()
        self._repeater.close()
        self._stop_listening()
        if self._camera is not None:
            self._camera.close()
        self._hang_up()

    def _take(self, angles: np.ndarray, rates: np.ndarray) -> None:
        """Keep a reading in the order of `TABLE`, angles [rad] and their rates [rad/s]; those of fingers do not count.

        A `ValueError` says that it is none.
        """
        if not (np.isfinite(angles).all() and np.isfinite(rates).all()):
            raise ValueError("a number that is not finite")
        now = time.monotonic()
        positions, velocities = from_kinova(angles), rates_from_kinova(rates)
        velocities[NUM_ARM:] = self._finger_rates.update(now, positions[NUM_ARM:])
        self._reading = JointReading(positions, velocities, now)

    def _prepare(self) -> None:  # noqa: B027 - not every way to the arm needs it
        """Ready the arm for its first command."""

    def _stop_listening(self) -> None:  # noqa: B027
        """Read no more, before the camera is closed."""

    @abc.abstractmethod
    def _check(self) -> None:
        """Raise a `RobotError` if the arm cannot be reached."""

    @abc.abstractmethod
    def _send(self, velocities: np.ndarray) -> None:
        """Send the model's joint velocities [rad/s], [joint], once."""

    @abc.abstractmethod
    def _clear(self) -> None:
        """Clear what the arm still has to do."""

    @abc.abstractmethod
    def _hang_up(self) -> None:
        """Let go of the connection."""
