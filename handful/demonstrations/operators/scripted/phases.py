"""What scripts that grasp share: phases, errors, detecting a grip, and a second try with more care."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.demonstrations.operators.operator import Seed
from handful.demonstrations.operators.scripted.grasping import (
    LOST_DISTANCE,
    LOWEST_GRIP,
    gripping,
    heading,
    holds_nothing,
    nearest_angle,
    within,
)
from handful.demonstrations.operators.scripted.script import ScriptedOperator
from handful.simulation.snapshot import Snapshot

MIN_CLOSING_STEPS = 6
"""Control steps before fingers at rest can mean a grip: at first they are at rest because they do not close yet."""


class PhasedOperator(ScriptedOperator):
    """A script with a phase in each simulation, which begins again where it has failed.

    A subclass defines its phases as an `enum.IntEnum`. An episode begins in phase 0.
    """

    arrival_tolerance = 0.010
    """The hand is where it should be when it is this near [m], sideways and in height."""

    patience = 30
    """Control steps after which the hand closes, or lets go, even if it is not quite where it should be."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self.phase = np.zeros(num_envs, np.int64)
        """Present phase, [env]."""
        self._steps = np.zeros(num_envs, np.int64)
        self._stalled = np.zeros(num_envs, np.int64)
        self._care = np.ones(num_envs)
        self._heading = np.zeros(num_envs)
        self._held_at = np.zeros((num_envs, 3))

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

    def _of_phase(self, places: Sequence[np.ndarray]) -> np.ndarray:
        """Of a place for each phase [m], each [env, 3], the one of each simulation's present phase, [env, 3]."""
        return np.stack(places)[self.phase, np.arange(self.num_envs)]

    def _reached(self, place: np.ndarray, tool: np.ndarray) -> np.ndarray:
        """Whether the tool is at a place, or its time for getting there is over, bool [env]."""
        return within(self.arrival_tolerance, place, tool) | (self._steps > self.patience)

    def _turned(self, snapshot: Snapshot, wanted: np.ndarray) -> np.ndarray:
        """Whether the hand has a wanted heading [rad], within the episode's tolerance, bool [env]."""
        miss = nearest_angle(wanted - heading(snapshot.tcp_rotation), 0.0)
        return np.abs(miss) < self.personality["heading_tolerance"]

    def _lost(
        self, snapshot: Snapshot, place: np.ndarray, distance: float = LOST_DISTANCE, closed: float = 0.95
    ) -> np.ndarray:
        """Whether what should be in the hand, and is at ``place``, is too far from the tool, or the hand is empty."""
        away = np.linalg.norm(place - snapshot.tcp_position, axis=1) > distance
        return away | holds_nothing(snapshot, closed)

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
