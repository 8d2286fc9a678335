"""A small pool of threads that includes the calling one."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Threads, the calling one among them, each of which runs whole operations on a part of the data.

    A thread waits for no other until its part is done. Threads inside each operation would wait for one another hundreds
    of times in each step, and spin while the machine has other work.
    """

    def __init__(self, num_threads: int, *, initializer: Callable[[], object] | None = None) -> None:
        """Start the threads, of which the calling one is the first; ``initializer`` runs once in each of the others."""
        self._others: concurrent.futures.ThreadPoolExecutor | None = None
        if num_threads > 1:
            self._others = concurrent.futures.ThreadPoolExecutor(num_threads - 1, initializer=initializer)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Call ``function`` with each item and return the results in order; an error is raised when all are done.

        The calling thread takes the first item, so that a single item never waits for another thread.
        """
        if self._others is None or len(items) < 2:
            return [function(item) for item in items]
        waiting = [self._others.submit(function, item) for item in items[1:]]
        try:
            first = function(items[0])
        finally:
            concurrent.futures.wait(waiting)
        return [first, *(future.result() for future in waiting)]

    def close(self) -> None:
        """Stop the threads."""
        if self._others is not None:
            self._others.shutdown()
