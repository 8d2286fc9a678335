"""When a robot must not move on: what comes too late, what does not come, and what means nothing."""

from __future__ import annotations

import dataclasses

import numpy as np

from handful.transfer.robots.robot import JointReading, Picture


@dataclasses.dataclass(frozen=True)
class Watchdog:
    """Looks at everything that a step begins with. A fault is one sentence."""

    max_reading_age: float = 0.15
    """Oldest joint reading that is acted on [s]."""
    max_picture_age: float = 0.6
    """Oldest picture that is acted on [s]: a camera at 5 Hz that has missed two."""
    max_lateness: float = 0.1
    """How late a step may begin [s]: two steps at 20 Hz."""

    def fault(
        self, now: float, lateness: float, reading: JointReading | None, picture: Picture | None, *, num_joints: int
    ) -> str | None:
        """What is wrong at the time ``now`` [s], or None; where the policy looks at no picture, give `NO_CAMERA`."""
        if lateness > self.max_lateness:
            return f"a step began {lateness:.3f} s late, expected at most {self.max_lateness} s."
        if reading is None:
            return "the robot has said nothing of its joints."
        if not now - reading.time <= self.max_reading_age:
            return (
                f"the last joint reading is {now - reading.time:.3f} s old, expected at most {self.max_reading_age} s."
            )
        shapes = np.shape(reading.positions), np.shape(reading.velocities)
        if shapes != ((num_joints,), (num_joints,)):
            return f"expected a reading of {num_joints} joints, got the shapes {shapes[0]} and {shapes[1]}."
        if not (np.isfinite(reading.positions).all() and np.isfinite(reading.velocities).all()):
            return "a joint reading holds a number that is not finite."
        if picture is None:
            return "the camera has delivered nothing."
        if picture is NO_CAMERA:
            return None
        if not now - picture.time <= self.max_picture_age:
            return f"the last picture is {now - picture.time:.3f} s old, expected at most {self.max_picture_age} s."
        pixels = picture.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape) < 1:
            return f"expected a picture of uint8 [height, width, 3], got {pixels.dtype} {pixels.shape}."
        if pixels.min() == pixels.max():
            return f"the camera is dead: every pixel is {pixels.max()}."
        return None


NO_CAMERA = Picture(np.zeros((1, 1, 3), np.uint8), 0.0)
"""Stands for the picture where the policy looks at none."""
