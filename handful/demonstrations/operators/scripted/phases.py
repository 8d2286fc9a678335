"""What scripts that grasp have in common: phases, the sign of a grip, and another try with more care."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.demonstrations.operators.operator import Seed
from handful.demonstrations.operators.scripted.grasping import gripping
from handful.demonstrations.operators.scripted.script import ScriptedOperator
from handful.simulation.snapshot import Snapshot

MIN_CLOSING_STEPS = 6
"""Control steps before stalled fingers can mean a grip: at first they stand still because they have not begun."""


class PhasedOperator(ScriptedOperator):
    """A script that goes from phase to phase in every simulation, and begins anew where it has failed.

    Phases are integers, a subclass's own `enum.IntEnum`; an episode begins in phase 0.
    """

    def __init__(self, num_envs: int) -> None:
        """Prepare for ``num_envs`` simulations."""
        super().__init__(num_envs)
        self.phase = np.zeros(num_envs, np.int64)
        """Present phase, [env]."""
        self._steps = np.zeros(num_envs, np.int64)
        self._stalled = np.zeros(num_envs, np.int64)
        self._care = np.ones(num_envs)

    def reset(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """Begin new episodes in the simulations ``ids``."""
        super().reset(ids, seeds)
        self._enter(ids, 0)
        self._care[ids] = 1.0

    def _count(self, snapshot: Snapshot) -> None:
        """Count control steps in the present phase, and those of them for which the fingers have stood still to now."""
        self._steps += 1
        self._stalled = np.where(gripping(snapshot), self._stalled + 1, 0)

    def _gripped(self, squeezing_steps: int = 0) -> np.ndarray:
        """Whether closing fingers hold something, and have pressed it for some control steps, bool [env]."""
        pressed = self._stalled > squeezing_steps + self.personality["grip_delay"]
        return (self._steps >= MIN_CLOSING_STEPS) & pressed

    def _enter(self, which: np.ndarray, phase: int) -> None:
        """Begin a phase in the simulations ``which``, indices or a mask."""
        self.phase[which] = phase
        self._steps[which] = 0
        self._stalled[which] = 0

    def _try_again(self, failed: np.ndarray) -> None:
        """Begin at phase 0 where ``failed``, bool [env], with half the errors: a person takes more care then."""
        self._enter(failed, 0)
        self._care = np.where(failed, 0.5 * self._care, self._care)
