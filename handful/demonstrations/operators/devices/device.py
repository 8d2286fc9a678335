"""What a person's device tells at each control step, whatever kind of device it is."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from handful.errors import HandfulError

PRESSES = ("keep", "discard", "redo", "pause", "takeover", "slower", "faster")
"""What a person can ask for by a button or a key: keep the episode, discard it for the next one, begin it again, pause,
change between person and policy, and change the speed."""


class DeviceError(HandfulError):
    """A device that is not there, may not be read, or has vanished; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """The state of a device at one moment.

    The axes are those of a person who faces the robot: x to the right, y away from the person, z up. Deflections are in
    [-1, 1]; rotations are about the same axes, counterclockwise seen from their tips.
    """

    linear: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the tool should go."""
    angular: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How it should turn."""
    fingers: float = 0.0
    """How the fingers should move; positive closes."""
    engaged: bool = True
    """Whether the clutch is held, of a device that has one; without it nothing moves."""
    presses: tuple[str, ...] = ()
    """What was asked for since the reading before, of `PRESSES`."""

    @property
    def moves(self) -> bool:
        """Whether the person moves the device."""
        return self.engaged and bool(np.any(np.abs((*self.linear, *self.angular, self.fingers)) > 0.0))


REST = Reading()
"""A device that nobody touches."""


class Device(Protocol):
    """A device that is read at every control step.

    A package adds one by an entry point of the group ``handful.devices``, whose name is that of the device on the command
    line, and which names a class without arguments.
    """

    name: str
    """What people call it."""
    dead_zone: float
    """Deflection that counts as none, in [0, 1)."""
    legend: tuple[tuple[str, str], ...]
    """What each control does: its name, and what it does in a few words."""

    def open(self) -> None:
        """Find the device and begin to read it; a `DeviceError` says why that cannot be, and what to do."""
        ...

    def read(self) -> Reading:
        """The state of the device now; a `DeviceError` says that it has vanished. Never waits."""
        ...

    def close(self) -> None:
        """Let go of it. May be called twice."""
        ...
