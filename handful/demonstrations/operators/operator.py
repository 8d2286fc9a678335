"""Operators move the tool during a demonstration: a person with a device, or a script."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from handful.simulation.snapshot import Snapshot

Seed = int | Sequence[int]
"""Seed of one episode's draws, as for `numpy.random.default_rng`."""


@dataclasses.dataclass
class ToolCommand:
    """How the tool should move during one control step, in every simulation."""

    linear: np.ndarray
    """Velocity of the tool point [m/s], world frame, [env, 3]."""
    angular: np.ndarray
    """Angular velocity of the tool [rad/s], world frame, [env, 3]."""
    fingers: np.ndarray
    """Finger velocity as a fraction of its limit, in [-1, 1]; positive closes.

    One for all fingers, [env], or one each, thumb first, [env, finger].
    """

    @classmethod
    def rest(cls, num_envs: int) -> ToolCommand:
        """The command not to move."""
        return cls(np.zeros((num_envs, 3)), np.zeros((num_envs, 3)), np.zeros(num_envs))


class Operator(Protocol):
    """Decides at each control step how the tool should move, in every simulation.

    A person sees the state on a screen and answers with a device; a script reads the snapshot.
    """

    def reset(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """Begin new episodes in the simulations ``ids``, with one seed each for the operator's draws."""
        ...

    def command(self, snapshot: Snapshot) -> ToolCommand:
        """How the tool should move in the control step that begins now."""
        ...
