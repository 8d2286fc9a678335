"""The protocol behind which every robot stands: joint state and images in, joint velocities out."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class JointReading:
    """What the robot's encoders said last."""

    positions: np.ndarray
    """Joints, then fingers [rad], float64 [joint]."""
    velocities: np.ndarray
    """The same [rad/s]."""
    time: float
    """When it arrived, on the robot's clock [s]."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """What the camera delivered last."""

    pixels: np.ndarray
    """Red, green, blue, uint8 [height, width, 3], of whatever size the camera has."""
    time: float
    """When it arrived, on the robot's clock [s]."""


class Clock(Protocol):
    """Time as the loop counts it."""

    def now(self) -> float:
        """Now [s]; it never goes back."""
        ...

    def sleep_until(self, moment: float, stop: threading.Event) -> None:
        """Wait for a moment [s], or until ``stop`` is set."""


class SteadyClock:
    """The clock of the operating system that no one can set."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep_until(self, moment: float, stop: threading.Event) -> None:
        """Wait; at once if the moment is past."""
        stop.wait(max(0.0, moment - time.monotonic()))


class Robot(Protocol):
    """An arm with fingers and a camera.

    A command holds for a short while only: a robot that hears nothing stops by itself.
    """

    name: str
    """Name on the command line."""
    clock: Clock
    """The clock on which its readings and pictures are dated."""

    def joints(self) -> JointReading | None:
        """The last reading; None before the first."""
        ...

    def picture(self) -> Picture | None:
        """The last picture; None before the first."""
        ...

    def command(self, velocities: np.ndarray) -> None:
        """Move the joints at these velocities [rad/s], [joint].

        Raises:
            RobotError: the robot refuses or cannot be reached.
        """

    def stop(self) -> None:
        """Stop the arm at once; never raises, and may be called again."""

    def close(self) -> None:
        """Stop the arm and let go of the connection."""
