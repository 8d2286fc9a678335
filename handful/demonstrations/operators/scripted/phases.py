"""What scripts that grasp share: phases, errors, detecting a grip, and a second try with more care."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.demonstrations.operators.operator import Seed
from handful.demonstrations.operators.scripted.grasping import LOWEST_GRIP, gripping
from handful.demonstrations.operators.scripted.script import ScriptedOperator
from handful.simulation.snapshot import Snapshot

MIN_CLOSING_STEPS = 6
"""Control steps before fingers at rest can mean a grip: at first they are at rest because they have not begun to close."""


class PhasedOperator(ScriptedOperator):
    """A script with a phase in each simulation, which begins again where it has failed.

    A subclass defines its phases as an `enum.IntEnum`. An episode begins in phase 0.
    """

    def __init__(self, num_envs: int) -> None:
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
        """Count the control steps in the present phase, and how long the fingers have been at rest."""
        self._steps += 1
        self._stalled = np.where(gripping(snapshot), self._stalled + 1, 0)

    def _gripped(self, squeezing_steps: int = 0) -> np.ndarray:
        """Whether closing fingers hold something and have pressed it for some control steps, bool [env]."""
        pressed = self._stalled > squeezing_steps + self.personality["grip_delay"]
        return (self._steps >= MIN_CLOSING_STEPS) & pressed

    def _enter(self, which: np.ndarray, phase: int) -> None:
        """Begin a phase in the simulations ``which`` (indices or a mask)."""
        self.phase[which] = phase
        self._steps[which] = 0
        self._stalled[which] = 0

    def _try_again(self, failed: np.ndarray) -> None:
        """Begin again at phase 0 where ``failed``, bool [env], with half the errors, as a person takes more care then."""
        self._enter(failed, 0)
        self._care = np.where(failed, 0.5 * self._care, self._care)

    def _above(self, place: np.ndarray, aside: np.ndarray | float = 0.0) -> np.ndarray:
        """From where the tool descends to a place [m], with the episode's errors, [env, 3]; ``aside`` [env, 2] is added."""
        return self._with_errors("approach", place, aside)

    def _grip(self, place: np.ndarray, aside: np.ndarray | float = 0.0) -> np.ndarray:
        """Where the tool grips at a place, as `_above`, but never too low for the fingers."""
        grip = self._with_errors("grasp", place, aside)
        grip[:, 2] = np.maximum(grip[:, 2], LOWEST_GRIP)
        return grip

    def _with_errors(self, kind: str, place: np.ndarray, aside: np.ndarray | float) -> np.ndarray:
        who = self.personality
        sideways = aside + self._care[:, None] * who[f"{kind}_offset"]
        return place + np.concatenate([sideways, who[f"{kind}_height"][:, None]], axis=1)

    def _imprecise(self, heading: np.ndarray) -> np.ndarray:
        """A heading of the hand with the episode's error [rad], [env]."""
        return heading + self._care * self.personality["heading_error"][:, 0]

    def _beside(self, place: np.ndarray, tool: np.ndarray) -> np.ndarray:
        """Whether the tool is near enough to a place, sideways, to descend, bool [env]."""
        return np.linalg.norm((place - tool)[:, :2], axis=1) < self.personality["approach_tolerance"]
