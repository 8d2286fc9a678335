"""What moves the tool during a demonstration: a person with a device, or a script in their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from handful.simulation.snapshot import Snapshot

Seed = int | Sequence[int]
"""What seeds one episode's draws, as `numpy.random.default_rng` takes it."""


@dataclasses.dataclass
class ToolCommand:
    """How the tool should move during one control step, in every simulation."""

    linear: np.ndarray
    """Velocity of the tool point [m/s], world frame, [env, 3]."""
    angular: np.ndarray
    """Angular velocity of the tool [rad/s], world frame, [env, 3]."""
    fingers: np.ndarray
    """Finger velocity as a fraction of its limit, in [-1, 1], positive closes.

    All three alike, [env], as most devices command them, or each, thumb first, [env, 3].
    """

    @classmethod
    def rest(cls, num_envs: int) -> ToolCommand:
        """The command to stand still."""
        return cls(np.zeros((num_envs, 3)), np.zeros((num_envs, 3)), np.zeros(num_envs))


class Operator(Protocol):
    """Looks at the simulations and says, at each control step, how the tool should move.

    A person sees the snapshot on a screen and answers with a device; a script reads it.
    """

    def reset(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """A new episode has begun in the simulations ``ids``, with one seed each for whatever the operator draws."""
        ...

    def command(self, snapshot: Snapshot) -> ToolCommand:
        """How the tool should move in the control step that begins now."""
        ...
