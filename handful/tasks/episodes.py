"""What is counted of each simulation's present episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.environment import EpisodeSummary, Start

NUM_STAGGERED_GROUPS = 5
"""Groups of simulations whose training episodes begin at different times (ours)."""


class EpisodeCounters:
    """Length, return and stages of the present episode of every simulation."""

    def __init__(self, num_envs: int, *, horizon: int, top_stage: int, sustained_steps: int) -> None:
        """Begin with nothing counted.

        Args:
            num_envs: Number of simulations.
            horizon: Length of an episode [control steps].
            top_stage: The stage that is success.
            sustained_steps: How long the top stage must have held at the end of an episode [control steps].
        """
        self._horizon = horizon
        self._top_stage = top_stage
        self._sustained_steps = sustained_steps
        self.length = np.zeros(num_envs, np.int64)
        """Control steps since the episode began, [env]."""
        self._max_length = np.full(num_envs, horizon)
        self._steps_held = np.zeros(num_envs, np.int64)
        self._highest_stage = np.zeros(num_envs, np.int64)
        self._final_stage = np.zeros(num_envs, np.int64)
        self._return = np.zeros(num_envs, np.float64)
        self._random_start = np.ones(num_envs, bool)
        self._demonstration = np.full(num_envs, -1)
        self._start_step = np.full(num_envs, -1)
        self.shortened = np.zeros(num_envs, bool)
        """Whether the episode counts as begun before it was, bool [env]: see `stagger`."""

    @property
    def over(self) -> np.ndarray:
        """Whether the horizon is reached or the episode is to be cut off, bool [env]."""
        return self.length >= self._max_length

    @property
    def time_left(self) -> np.ndarray:
        """Share of the horizon that is left, [env]."""
        return 1.0 - self.length / self._horizon

    def begin(self, ids: np.ndarray, starts: Sequence[Start | None]) -> None:
        """Begin new episodes in the simulations ``ids``, each in its start; None is a random one."""
        for counter in (self.length, self._steps_held, self._highest_stage, self._final_stage, self._return):
            counter[ids] = 0
        self.shortened[ids] = False
        self._demonstration[ids] = [start.demonstration if start else -1 for start in starts]
        self._start_step[ids] = [start.step if start else -1 for start in starts]
        limits = [(start.max_length if start else None) or self._horizon for start in starts]
        self._max_length[ids] = np.minimum(limits, self._horizon)
        self._random_start[ids] = [start is None for start in starts]

    def stagger(self, camera_period: int) -> None:
        """Count a part of the episodes that have just begun as gone: spread over their length, in step with the camera.

        A few groups mix moments well enough, and their resets come in batches, which cost less than one by one.
        """
        share = np.arange(len(self.length)) % NUM_STAGGERED_GROUPS / NUM_STAGGERED_GROUPS
        self.length[:] = (share * self._max_length / camera_period).astype(np.int64) * camera_period
        self.shortened[:] = self.length > 0

    def count(self, stage: np.ndarray, reward: np.ndarray) -> None:
        """Count one step that led to ``stage`` [env] and paid ``reward`` [env]."""
        self.length += 1
        self._return += reward
        self._final_stage[:] = stage
        np.maximum(self._highest_stage, stage, out=self._highest_stage)
        self._steps_held[:] = np.where(stage == self._top_stage, self._steps_held + 1, 0)

    def summary(self, env: int, *, diverged: bool) -> EpisodeSummary:
        """What is known of the episode that has ended in a simulation."""
        held = bool(self._steps_held[env] >= self._sustained_steps and not diverged)
        return EpisodeSummary(
            env=env,
            task_return=float(self._return[env]),
            length=int(self.length[env]),
            random_start=bool(self._random_start[env]),
            success=held and bool(self.length[env] >= self._horizon),
            highest_stage=int(self._highest_stage[env]),
            final_stage=int(self._final_stage[env]),
            diverged=diverged,
            held=held,
            demonstration=int(self._demonstration[env]),
            start_step=int(self._start_step[env]),
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        """The counters, by name."""
        return {name: counter.copy() for name, counter in self._counters()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Resume from saved counters."""
        for name, counter in self._counters():
            counter[:] = state[name]

    def _counters(self) -> list[tuple[str, np.ndarray]]:
        return [
            ("length", self.length),
            ("steps_held", self._steps_held),
            ("highest_stage", self._highest_stage),
            ("final_stage", self._final_stage),
            ("return", self._return),
            ("random_start", self._random_start),
            ("demonstration", self._demonstration),
            ("start_step", self._start_step),
            ("shortened", self.shortened),
            ("max_length", self._max_length),
        ]
