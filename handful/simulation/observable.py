"""Entries of an observation: their names and the function that computes them, declared in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from handful.simulation.snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Observable:
    """One quantity that can be observed in every simulation."""

    names: tuple[str, ...]
    """Names of its entries."""
    function: Callable[[Snapshot], np.ndarray]
    """Computes its entries, [env, entry]."""

    @classmethod
    def vector(cls, name: str, function: Callable[[Snapshot], np.ndarray], axes: Iterable[str] = "xyz") -> Observable:
        """A quantity with one entry ``NAME_AXIS`` for each axis; ``function`` returns [env, axis]."""
        return cls(tuple(f"{name}_{axis}" for axis in axes), function)

    @classmethod
    def scalar(cls, name: str, function: Callable[[Snapshot], np.ndarray]) -> Observable:
        """A quantity with one entry ``NAME``; ``function`` returns [env]."""
        return cls((name,), lambda snapshot: function(snapshot)[:, None])

    @classmethod
    def matrix(cls, name: str, function: Callable[[Snapshot], np.ndarray]) -> Observable:
        """A quantity with the entries ``NAME_00`` to ``NAME_22``, row by row; ``function`` returns [env, 3, 3]."""
        names = tuple(f"{name}_{row}{column}" for row in range(3) for column in range(3))
        return cls(names, lambda snapshot: function(snapshot).reshape(-1, 9))

    def __call__(self, snapshot: Snapshot) -> np.ndarray:
        """Its entries, [env, entry]."""
        return self.function(snapshot)


def entry_names(observables: Iterable[Observable]) -> tuple[str, ...]:
    """Names of all entries, in order."""
    return tuple(name for observable in observables for name in observable.names)


def observe(observables: Sequence[Observable], snapshot: Snapshot) -> np.ndarray:
    """All entries side by side, [env, entry]."""
    return np.concatenate([observable.function(snapshot) for observable in observables], axis=1)
