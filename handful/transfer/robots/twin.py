"""The twin as a robot: starts its process, and talks to it through a socket."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handful.errors import ConfigurationError, RobotError
from handful.transfer.robots.robot import Clock, JointReading, Picture, SteadyClock
from handful.transfer.robots.wire import receive, send

START_TIMEOUT_S, ANSWER_TIMEOUT_S = 180.0, 30.0
"""How long the twin may take to start, and to answer [s]. A busy machine is slow; the watchdog is what is strict."""

MAX_WAITS = 50
"""Tenths of a second in which the first picture of a trial must come."""


def laboratory_names() -> list[str]:
    """Names of the laboratories in which there is a twin, by their files alone: nobody imports the twin."""
    folder = importlib.resources.files("handful") / "twin" / "laboratories"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


class _LockstepClock:
    """The twin's own time, which passes while somebody waits for it."""

    def __init__(self, twin: TwinRobot) -> None:
        self._twin = twin

    def now(self) -> float:
        return self._twin.twin_time

    def sleep_until(self, moment: float, stop: threading.Event) -> None:
        if not stop.is_set() and moment > self.now():
            self._twin.ask("advance", seconds=moment - self.now())


class TwinRobot:
    """A twin in a process of its own."""

    name = "twin"

    def __init__(self, task: str, laboratory: str, *, lockstep: bool = False) -> None:
        """Start the twin of a task in a laboratory; in lockstep its time passes only while the loop waits.

        Raises:
            ConfigurationError: it cannot set up the task, or knows no such laboratory, or has no OpenGL.
        """
        words = ["--task", task, "--laboratory", laboratory, *(["--lockstep"] if lockstep else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "handful.twin", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.twin_time = 0.0
        try:
            port = self._port()
            self._connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S)
        except (OSError, ConfigurationError):
            self._end()
            raise
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clock: Clock = _LockstepClock(self) if lockstep else SteadyClock()
        self._lock = threading.Lock()

    def begin(self, places: Mapping[str, Sequence[float]], arm: Sequence[float], *, seed: int) -> None:
        """What a person does between two trials: put blocks at x, y [m] and yaw [rad], and the arm at its joints [rad]."""
        self.ask("begin", places={name: list(place) for name, place in places.items()}, arm=list(arm), seed=seed)
        never = threading.Event()
        for _ in range(MAX_WAITS):
            self.clock.sleep_until(self.clock.now() + 0.1, never)
            if self.joints() is not None and self.picture() is not None:
                return
        raise RobotError("the twin's camera delivers no pictures.")

    def referee(self) -> dict[str, Any]:
        """What a person beside the table sees: ``stage``, ``highest_stage``, and how long the top stage has ``held`` [s]."""
        return self.ask("referee")[0]

    def joints(self) -> JointReading | None:
        """See `handful.transfer.robots.robot.Robot`."""
        answer, _ = self.ask("joints")
        if "positions" not in answer:
            return None
        rows = [np.array(answer[field], np.float64) for field in ("positions", "velocities")]
        return JointReading(*rows, time=self.clock.now() - float(answer["age"]))

    def picture(self) -> Picture | None:
        """See `handful.transfer.robots.robot.Robot`."""
        answer, content = self.ask("picture")
        if "shape" not in answer:
            return None
        try:
            pixels = np.frombuffer(content, np.uint8).reshape(answer["shape"])
        except ValueError as error:
            raise RobotError("the twin sent a picture of another size than it says.") from error
        return Picture(pixels, time=self.clock.now() - float(answer["age"]))

    def command(self, velocities: np.ndarray) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        self.ask("command", velocities=[float(each) for each in velocities])

    def stop(self) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        with contextlib.suppress(RobotError):
            self.ask("stop")

    def close(self) -> None:
        """Stop the arm and end the process."""
        self.stop()
        self._connection.close()
        self._end()

    def ask(self, kind: str, **content: Any) -> tuple[dict[str, Any], bytes]:
        """Send a message and return the answer; a `RobotError` says that there is none, or what is wrong."""
        with self._lock:
            send(self._connection, {"kind": kind, **content})
            answer, attached = receive(self._connection)
        if "error" in answer:
            raise RobotError(str(answer["error"]))
        self.twin_time = float(answer["time"])
        return answer, attached

    def _port(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else ""
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ConfigurationError("the twin did not start: run 'python -m handful.twin' to see why.") from error
        if "error" in answer:
            raise ConfigurationError(str(answer["error"]))
        return int(answer["port"])

    def _end(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
