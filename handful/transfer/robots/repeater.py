"""Sends the last command again and again, as an arm wants it that stops where it hears nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from handful.errors import RobotError

HOLDS_S = 0.2
"""A command that nobody renews is followed by zeros after so long [s]."""

NUM_ZEROS = 20
"""Zeros that are sent before silence."""

STOP_TIMEOUT_S = 0.2
"""How long `Repeater.stop` waits for the first zeros to be sent [s]."""


class Repeater:
    """A thread that begins with the first command."""

    def __init__(self, send: Callable[[np.ndarray], None], *, period: float, num_joints: int) -> None:
        """Send joint velocities [rad/s], [joint], every ``period`` [s]; a `RobotError` of ``send`` ends it for good."""
        self._send, self._period = send, period
        self._zeros = np.zeros(num_joints)
        self._velocities, self._renewed, self._zeros_sent = self._zeros, -np.inf, NUM_ZEROS
        self._lock = threading.Lock()
        self._ended, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: RobotError | None = None

    @property
    def begun(self) -> bool:
        """Whether there has been a command."""
        return self._thread is not None

    def command(self, velocities: np.ndarray) -> None:
        """Send these from now on, for `HOLDS_S`; a `RobotError` says that the last could not be sent."""
        if self._failure is not None:
            raise RobotError(str(self._failure))
        with self._lock:
            self._velocities, self._renewed, self._zeros_sent = velocities.copy(), time.monotonic(), 0
            self._stopped.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Send zeros from now on, and return when the first have been sent, or cannot be."""
        if self._thread is None:
            return
        with self._lock:
            self._velocities, self._renewed, self._zeros_sent = self._zeros, -np.inf, 0
            self._stopped.clear()
        if self._failure is None:
            self._stopped.wait(STOP_TIMEOUT_S)

    def close(self) -> None:
        """Send zeros and end."""
        self.stop()
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            velocities = self._next()
            if velocities is not None:
                try:
                    self._send(velocities)
                except RobotError as error:
                    self._failure = error
                    self._stopped.set()
                    return
                if not velocities.any():
                    self._stopped.set()
            # What is late is left out, never made up for: more than one command a period fills the arm's queue.
            due = max(due + self._period, time.monotonic())
            self._ended.wait(due - time.monotonic())

    def _next(self) -> np.ndarray | None:
        with self._lock:
            if time.monotonic() - self._renewed < HOLDS_S:
                return self._velocities
            self._velocities, self._zeros_sent = self._zeros, self._zeros_sent + 1
            return self._zeros if self._zeros_sent <= NUM_ZEROS else None
