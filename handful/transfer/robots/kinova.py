"""Kinova's Jaco (j2n6s300) in Kinova's terms: degrees, finger units and its numbering, against those of the model.

Facts are from Kinova's public ``kinova-ros`` (commit 924781d), read, not copied: ``kinova_description/urdf/j2n6s300.xacro``
and ``kinova_finger_set.xacro`` for frames, ``kinova_driver/src/kinova_arm.cpp`` for units. No line here has run on an arm.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from handful.errors import RobotError


@dataclasses.dataclass(frozen=True)
class JointRow:
    """One joint: what Kinova calls it, and how its angle is found in the model's."""

    kinova: str
    """Ending of its name in Kinova's messages."""
    model: int
    """Index among the model's joints, fingers last."""
    sign: float
    """1 where it turns the same way as in the model."""
    zero_deg: float
    """Kinova's angle where the model's is 0 [deg]."""


TABLE = (
    JointRow("joint_1", 0, 1.0, 0.0),
    JointRow("joint_2", 1, 1.0, 0.0),
    JointRow("joint_3", 2, 1.0, 0.0),
    JointRow("joint_4", 3, 1.0, 0.0),
    JointRow("joint_5", 4, 1.0, 0.0),
    JointRow("joint_6", 5, 1.0, 0.0),
    JointRow("joint_finger_1", 6, 1.0, 0.0),
    JointRow("joint_finger_2", 8, 1.0, 0.0),
    JointRow("joint_finger_3", 7, 1.0, 0.0),
)
"""The frames of the model's arm are those of Kinova's URDF, so angles differ in their unit alone. Of the fingers, Kinova's
second stands at x = +0.02226 m in the hand's frame and its third at -0.02226 m; the model numbers them the other way."""

NUM_ARM = 6
"""Joints without the fingers."""

FINGER_UNITS = 6800.0
"""A finger's position where it is closed, in Kinova's unit; 0 is open (README of kinova-ros)."""

RAD_PER_UNIT = np.deg2rad(80.0) / FINGER_UNITS
"""Angle of a finger per unit [rad] (``finger_conv_ratio_`` of its driver)."""

FINGER_RANGE = (0.15, 1.35)
"""Range of the model's fingers [rad]. Kinova's open a little further; such a reading is shown as the end of this range,
because no policy was trained beyond it."""

PERIOD_S = 0.01
"""Velocities are sent this often: the arm's controller takes one every 10 ms, and more only fill a queue (its README)."""

_MODEL = np.array([row.model for row in TABLE])
_SIGN = np.array([row.sign for row in TABLE])
_ZERO = np.deg2rad([row.zero_deg for row in TABLE])


def from_kinova(angles: np.ndarray) -> np.ndarray:
    """Positions of the model's joints [rad], [joint], from Kinova's angles [rad] in the order of `TABLE`."""
    positions = np.empty(len(TABLE))
    positions[_MODEL] = _SIGN * (angles - _ZERO)
    positions[NUM_ARM:] = np.clip(positions[NUM_ARM:], *FINGER_RANGE)
    return positions


def rates_from_kinova(rates: np.ndarray) -> np.ndarray:
    """Velocities of the model's joints [rad/s], [joint], from Kinova's [rad/s] in the order of `TABLE`."""
    velocities = np.empty(len(TABLE))
    velocities[_MODEL] = _SIGN * rates
    return velocities


def to_kinova(velocities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What to send for the model's velocities [rad/s], [joint]: the arm's [deg/s], [6], and the fingers' [unit/s], [3]."""
    rates = _SIGN * velocities[_MODEL]
    return np.rad2deg(rates[:NUM_ARM]), rates[NUM_ARM:] / RAD_PER_UNIT


def finger_units(positions: np.ndarray) -> np.ndarray:
    """Kinova's finger positions [unit], [3], of the model's joint positions [rad], [joint]."""
    angles = _SIGN * positions[_MODEL] + _ZERO
    return angles[NUM_ARM:] / RAD_PER_UNIT


class FingerRates:
    """Speeds of the fingers by differences of readings, because neither the driver nor the library measures them."""

    def __init__(self) -> None:
        self._last: tuple[float, np.ndarray] | None = None

    def update(self, time: float, fingers: np.ndarray) -> np.ndarray:
        """Speeds [rad/s] at a reading of the fingers [rad] at a time [s]; zeros at the first."""
        last, self._last = self._last, (time, fingers)
        if last is None or time <= last[0]:
            return np.zeros_like(fingers)
        return (fingers - last[1]) / (time - last[0])


class Obedience:
    """Notices an arm that does not do what it is told: locked, stopped by its software, without power, or blocked."""

    def __init__(self, *, speed: float = 0.1, seconds: float = 1.0, least: float = 0.02) -> None:
        """A joint that is told at least ``speed`` [rad/s] one way for ``seconds`` must turn by ``least`` [rad]."""
        self._speed, self._seconds, self._least = speed, seconds, least
        self._way = np.zeros(NUM_ARM)
        self._since = np.zeros(NUM_ARM)
        self._start = np.zeros(NUM_ARM)

    def check(self, now: float, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Look at a command [rad/s] and at the joints [rad] at a time [s]; a `RobotError` names a joint that stands."""
        told = np.where(np.abs(velocities[:NUM_ARM]) >= self._speed, np.sign(velocities[:NUM_ARM]), 0.0)
        changed = told != self._way
        due = ~changed & (told != 0.0) & (now - self._since >= self._seconds)
        stands = due & (told * (positions[:NUM_ARM] - self._start) < self._least)
        if stands.any():
            joint = int(np.flatnonzero(stands)[0]) + 1
            raise RobotError(
                f"the arm refuses: joint {joint} has been told to move for {self._seconds} s and stands still."
            )
        begin = changed | due
        self._way = told
        self._since[begin], self._start[begin] = now, positions[:NUM_ARM][begin]
