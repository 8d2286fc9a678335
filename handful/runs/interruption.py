"""Ctrl-C as a request, granted at the next good moment."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interruption:
    """While it is entered, Ctrl-C asks for an end where whoever runs can end well; a second one ends at once."""

    def __init__(self) -> None:
        self.requested = False
        """Whether an end was asked for."""
        self._previous: Any = None

    def __enter__(self) -> Interruption:
        self._previous = [(number, signal.signal(number, self._request)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
