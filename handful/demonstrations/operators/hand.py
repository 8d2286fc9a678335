"""From what a device tells to how the tool should move: dead zone, speed, smooth fingers."""

from __future__ import annotations

import numpy as np

from handful.demonstrations.operators.devices.device import Reading
from handful.errors import ConfigurationError

LINEAR_SPEED = 0.15
"""Speed of the tool at full deflection [m/s], at the speed 1 (our choice: the scripts move at about as much)."""

ANGULAR_SPEED = 0.8
"""The same for turning [rad/s]; the wrist's joints reach 48 degrees a second."""

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Speeds that a person can choose from."""

CURVE = 1.6
"""Exponent of deflection: small deflections are finer (our choice)."""

FINGER_STEP = 0.2
"""Largest change of the fingers' commanded speed from one control step to the next, as a fraction of the limit."""

OPERATOR_IN_WORLD = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""From the axes of a person who faces the robot (right, away, up) to those of the world."""


class Hand:
    """The motion that a person asks for with a device."""

    def __init__(self, *, dead_zone: float, speed: float = 1.0) -> None:
        """Deflections below ``dead_zone``, in [0, 1), count as none; ``speed`` is one of `SPEEDS` or between them."""
        if not 0.0 <= dead_zone < 1.0:
            raise ConfigurationError(f"expected a dead zone from 0 to below 1, got {dead_zone}.")
        if not SPEEDS[0] <= speed <= SPEEDS[-1]:
            raise ConfigurationError(f"expected a speed from {SPEEDS[0]:g} to {SPEEDS[-1]:g}, got {speed}.")
        self._dead_zone = dead_zone
        self.speed = speed
        """Scale of all speeds but the fingers'."""
        self._fingers = 0.0

    def change_speed(self, direction: int) -> None:
        """The next faster speed, or for -1 the next slower one."""
        further = [each for each in SPEEDS if (each - self.speed) * direction > 1e-9]
        if further:
            self.speed = min(further, key=lambda each: abs(each - self.speed))

    def twist(self, reading: Reading) -> np.ndarray:
        """Wanted velocity of the tool [m/s] and its angular velocity [rad/s], world frame, [6]; zero when released."""
        if not reading.engaged:
            return np.zeros(6)
        linear = OPERATOR_IN_WORLD @ self._shaped(np.asarray(reading.linear, float))
        angular = OPERATOR_IN_WORLD @ self._shaped(np.asarray(reading.angular, float))
        return self.speed * np.concatenate([LINEAR_SPEED * linear, ANGULAR_SPEED * angular])

    def fingers(self, reading: Reading) -> float:
        """Wanted speed of the fingers as a fraction of their limit; it changes smoothly, but stops at once."""
        wanted = float(self._shaped(np.array([reading.fingers, 0.0, 0.0]))[0]) if reading.engaged else 0.0
        if wanted == 0.0 or wanted * self._fingers < 0.0:
            self._fingers = 0.0
        self._fingers += float(np.clip(wanted - self._fingers, -FINGER_STEP, FINGER_STEP))
        return self._fingers

    def moves(self, reading: Reading) -> bool:
        """Whether the person moves the device beyond its dead zone."""
        return reading.engaged and bool(self.twist(reading).any() or abs(reading.fingers) > self._dead_zone)

    def release(self) -> None:
        """Nobody holds the device."""
        self._fingers = 0.0

    def _shaped(self, deflection: np.ndarray) -> np.ndarray:
        """A deflection [3] with its length, at most 1, brought from the dead zone to 0 and along a curve."""
        deflection = np.nan_to_num(deflection, nan=0.0, posinf=1.0, neginf=-1.0)
        length = float(np.linalg.norm(deflection))
        if length <= self._dead_zone or length == 0.0:
            return np.zeros(3)
        beyond = min(1.0, (length - self._dead_zone) / (1.0 - self._dead_zone))
        return deflection / length * beyond**CURVE
