"""Where the time goes, by named spans in the program itself.

    with span("physics"):
        ...

costs next to nothing while nobody measures. `Profile` measures: inside its ``with`` block every span is timed, nested as
the calls are. Spans are of the thread that opened the profile; what other threads do counts to the span that waits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from typing import Self

_active: Profile | None = None
_NOTHING = contextlib.nullcontext()


@dataclasses.dataclass
class SpanTime:
    """What was measured of one span, wherever in the program it was opened under the same parents."""

    num_calls: int = 0
    seconds: float = 0.0


class Profile:
    """Times every span while its ``with`` block runs; one at a time in a process.

    Attributes:
        spans: By path, the names of a span and its parents from the outside in, in the order in which they first closed.
        seconds: Time inside the ``with`` block [s].
    """

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.spans: dict[tuple[str, ...], SpanTime] = {}
        self.seconds = 0.0
        self._path: tuple[str, ...] = ()
        self._thread = 0
        self._start = 0.0

    def __enter__(self) -> Self:
        """Begin to measure."""
        global _active
        assert _active is None, "one profile at a time"
        _active = self
        self._thread = threading.get_ident()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop measuring."""
        global _active
        self.seconds += time.perf_counter() - self._start
        self._path = ()
        _active = None

    def table(self) -> list[tuple[int, str, SpanTime]]:
        """Depth, name and time of every span, each followed by its children; what they leave over is called ``rest``."""
        rows: list[tuple[int, str, SpanTime]] = []

        def add(parent: tuple[str, ...], seconds: float) -> None:
            children = [path for path in self.spans if path[:-1] == parent]
            for path in sorted(children, key=lambda path: -self.spans[path].seconds):
                rows.append((len(parent), path[-1], self.spans[path]))
                add(path, self.spans[path].seconds)
            if children:
                rest = seconds - sum(self.spans[path].seconds for path in children)
                rows.append((len(parent), "rest", SpanTime(0, rest)))

        add((), self.seconds)
        return rows


class _Span:
    """One pass through a span."""

    def __init__(self, profile: Profile, name: str) -> None:
        self._profile = profile
        self._name = name

    def __enter__(self) -> None:
        profile = self._profile
        profile._path = (*profile._path, self._name)
        # A parent's row stands before its children's.
        profile.spans.setdefault(profile._path, SpanTime())
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        profile = self._profile
        measured = profile.spans[profile._path]
        measured.seconds += time.perf_counter() - self._start
        measured.num_calls += 1
        profile._path = profile._path[:-1]


def span(name: str) -> contextlib.AbstractContextManager[None]:
    """Measure a ``with`` block under a name, if a profile is open in this thread."""
    if _active is None or _active._thread != threading.get_ident():
        return _NOTHING
    return _Span(_active, name)
