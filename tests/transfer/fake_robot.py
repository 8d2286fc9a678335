"""A robot that does what it is told, in no time, and breaks when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from handful.errors import RobotError
from handful.simulation.jaco import HOME_QPOS
from handful.transfer.robots.robot import JointReading, Picture

TIMESTEP = 0.05


class FakeClock:
    """Time that passes while somebody sleeps; ``late`` is added once to the next sleep [s]."""

    def __init__(self) -> None:
        self.time = 100.0
        self.late = 0.0
        self.on_sleep: Callable[[float], None] = lambda moment: None

    def now(self) -> float:
        return self.time

    def sleep_until(self, moment: float, stop: threading.Event) -> None:
        self.on_sleep(moment)
        if not stop.is_set():
            self.time = max(self.time, moment) + self.late
            self.late = 0.0


class FakeRobot:
    """An arm that follows its last command exactly, and a camera that shows noise."""

    name = "fake"

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.positions = HOME_QPOS.copy()
        self.positions[6:] = 0.5
        self.moving = np.zeros(9)
        self.commands: list[np.ndarray] = []
        self.path = [self.positions.copy()]
        self.stopped = False
        self.refuses = self.silent = self.blind = False
        self.garbage: JointReading | None = None
        self.pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
        self._moved_at = self.clock.time
        self._last: JointReading | None = None
        self._seen: Picture | None = None

    def joints(self) -> JointReading | None:
        passed, self._moved_at = self.clock.time - self._moved_at, self.clock.time
        self.positions = self.positions + min(passed, TIMESTEP) * self.moving
        self.path.append(self.positions.copy())
        if self.garbage is not None:
            return self.garbage
        if not self.silent:
            self._last = JointReading(self.positions.copy(), self.moving.copy(), self.clock.time)
        return self._last

    def picture(self) -> Picture | None:
        if not self.blind:
            self._seen = Picture(self.pixels, self.clock.time)
        return self._seen

    def command(self, velocities: np.ndarray) -> None:
        if self.refuses:
            raise RobotError("the arm refuses to move.")
        self.stopped = False
        self.moving = velocities.copy()
        self.commands.append(velocities.copy())

    def stop(self) -> None:
        self.moving = np.zeros(9)
        self.stopped = True

    def close(self) -> None:
        self.stop()
