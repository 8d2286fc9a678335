"""What a browser sends of its keyboard, its gamepad or a SpaceMouse that is plugged into its computer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from handful.demonstrations.operators.devices.device import DeviceError, Reading

MAX_PRESSES = 32
"""Presses that may wait to be read; a page that sends more loses them."""

TIMEOUT_S = 0.4
"""Silence after which the browser or the network counts as lost [s]; a page reports 30 times a second (our choice)."""


class BrowserDevice:
    """Holds the latest reading that a page sent, which may come from another thread."""

    name = "browser"
    dead_zone = 0.0  # the page knows which device it is and applies its own
    legend = (
        ("W S", "away, towards you"),
        ("A D", "left, right"),
        ("R F", "up, down"),
        ("Q E", "turn"),
        ("I K", "tip forward, back"),
        ("J L", "lean left, right"),
        ("Space", "close the fingers"),
        ("Shift", "open the fingers"),
        ("Enter", "keep"),
        ("Backspace", "discard"),
        ("Z", "do it again"),
        ("P", "pause"),
        ("T", "take over, hand back"),
        ("- +", "slower, faster"),
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no browser; ``clock`` is monotonic [s]."""
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._at = -float("inf")
        self._presses: list[str] = []

    def open(self) -> None:
        """Wait for nothing: a browser may come and go."""

    def put(self, reading: Reading) -> None:
        """Take what a page sent."""
        with self._lock:
            self._reading, self._at = reading, self._clock()
            self._presses += reading.presses

    def press(self, name: str) -> None:
        """Take a press that a page sent; it counts even if the device is lost right after."""
        with self._lock:
            if len(self._presses) < MAX_PRESSES:
                self._presses.append(name)

    def forget(self) -> None:
        """The page has gone."""
        with self._lock:
            self._reading = None
            self._presses.clear()

    def read(self) -> Reading:
        """The latest reading; a `DeviceError` where the page has gone or fallen silent."""
        with self._lock:
            if self._reading is None:
                raise DeviceError("No browser steers: open the page.")
            if self._clock() - self._at > TIMEOUT_S:
                raise DeviceError("The browser has fallen silent: bring its page to the front, or look at the network.")
            presses, self._presses = tuple(self._presses), []
            reading = self._reading
            return Reading(reading.linear, reading.angular, reading.fingers, reading.engaged, presses)

    def close(self) -> None:
        """Nothing to let go of."""
        self.forget()
