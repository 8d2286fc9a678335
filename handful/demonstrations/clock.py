"""A clock that beats in real time, and says how evenly it did."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

import numpy as np

WINDOW = 200
"""Latest beats that the figures are of."""


class SteadyClock:
    """Waits for the next beat; beats that were missed are left out and not made up for."""

    def __init__(
        self,
        period: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Beat every ``period`` [s], by a monotonic ``clock`` [s]."""
        self._period, self._clock, self._sleep = period, clock, sleep
        self._due = clock() + period
        self._last = clock()
        self._intervals: collections.deque[float] = collections.deque(maxlen=WINDOW)
        self.num_missed = 0
        """Beats that were left out because what came before took too long."""

    def wait(self) -> None:
        """Sleep until the next beat; return at once where it is overdue."""
        now = self._clock()
        if now < self._due:
            self._sleep(self._due - now)
            now = self._clock()
        late = max(0, int((now - self._due) / self._period))
        self.num_missed += late
        self._due += (1 + late) * self._period
        self._intervals.append(now - self._last)
        self._last = now

    @property
    def jitter_ms(self) -> float:
        """Deviation of the last intervals between beats from the period, in 19 of 20 of them at most this [ms]."""
        if not self._intervals:
            return 0.0
        return float(1000.0 * np.quantile(np.abs(np.asarray(self._intervals) - self._period), 0.95))
