"""What is counted of each simulation's present episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.environment import EpisodeSummary, Start, StartDistribution
from handful.simulation import scene
from handful.simulation.randomization import Parameters

SUSTAINED_STEPS = round(0.5 / scene.CONTROL_TIMESTEP)
"""Success is sustained when the top stage held for half a second at the episode's end [control steps]."""

UNCUT = 4
"""Every so many simulations, success that holds does not end an episode (ours). Where it always did, policies that
stacked blocks later took good stacks apart again."""

NUM_STAGGERED_GROUPS = 5
"""Groups of simulations whose training episodes begin at different times (ours)."""


def report_ends(
    starts: StartDistribution,
    episodes: Sequence[EpisodeSummary],
    states: np.ndarray,
    parameters: Parameters,
    *,
    terminated: np.ndarray,
    stage: np.ndarray,
) -> None:
    """Tell where episodes begin how those that have just ended did, and in which state.

    Physical states, parameters, ``terminated`` and ``stage`` are of all simulations, each [env, ...].
    """
    for episode in episodes:
        env = episode.env
        own = {name: values[env].copy() for name, values in parameters.items()}
        end = Start(states[env].copy(), own, cluster=int(stage[env]))
        starts.report(episode, None if terminated[env] else end)


class EpisodeCounters:
    """Length, return and stages of the present episode of every simulation."""

    def __init__(self, num_envs: int, *, horizon: int, top_stage: int, held_steps: int | None = None) -> None:
        """Begin with nothing counted.

        The last of ``horizon`` control steps ends an episode, and so do ``held_steps`` in a row in ``top_stage``, which is
        success, except in every `UNCUT`-th simulation; None: they do not.
        """
        self._held_steps = held_steps
        self._horizon = horizon
        self._top_stage = top_stage
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
        self._kind = np.full(num_envs, -1)
        self._shortened = np.zeros(num_envs, bool)

    @property
    def over(self) -> np.ndarray:
        """Whether the horizon is reached or the episode is to be cut off, bool [env]."""
        over = self.length >= self._max_length
        if self._held_steps is None:
            return over
        held = self._steps_held >= self._held_steps
        held[UNCUT - 1 :: UNCUT] = False
        return over | held

    @property
    def time_left(self) -> np.ndarray:
        """Share of the horizon that is left, [env]."""
        return 1.0 - self.length / self._horizon

    def begin(self, ids: np.ndarray, starts: Sequence[Start | None]) -> None:
        """Begin new episodes in the simulations ``ids``, each in its start; None is a random one."""
        for counter in (self.length, self._steps_held, self._highest_stage, self._final_stage, self._return):
            counter[ids] = 0
        self._shortened[ids] = False
        self._demonstration[ids] = [start.demonstration if start else -1 for start in starts]
        self._start_step[ids] = [start.step if start else -1 for start in starts]
        self._kind[ids] = [start.kind if start else -1 for start in starts]
        limits = [(start.max_length if start else None) or self._horizon for start in starts]
        self._max_length[ids] = np.minimum(limits, self._horizon)
        self._random_start[ids] = [start is None or start.state is None for start in starts]

    def stagger(self, camera_period: int) -> None:
        """Shorten the episodes that have just begun: count a part of each as past, in step with the camera.

        A few groups mix moments well enough, and their resets come in batches, which cost less than one by one.
        """
        share = np.arange(len(self.length)) % NUM_STAGGERED_GROUPS / NUM_STAGGERED_GROUPS
        self.length[:] = (share * self._max_length / camera_period).astype(np.int64) * camera_period
        self._shortened[:] = self.length > 0

    def count(self, stage: np.ndarray, reward: np.ndarray) -> None:
        """Count one step that led to ``stage`` [env] and paid ``reward`` [env]."""
        self.length += 1
        self._return += reward
        self._final_stage[:] = stage
        np.maximum(self._highest_stage, stage, out=self._highest_stage)
        self._steps_held[:] = np.where(stage == self._top_stage, self._steps_held + 1, 0)

    def summaries(self, ids: np.ndarray, diverged: np.ndarray, score: np.ndarray) -> list[EpisodeSummary]:
        """What is known of the episodes that have ended in the simulations ``ids``, without shortened ones.

        ``diverged`` says where the physics diverged, bool [env]; ``score`` is the task's, [env].
        """
        held = (self._steps_held >= SUSTAINED_STEPS) & ~diverged
        return [
            EpisodeSummary(
                env=int(env),
                task_return=float(self._return[env]),
                length=int(self.length[env]),
                random_start=bool(self._random_start[env]),
                success=bool(held[env] and self.length[env] >= self._horizon),
                highest_stage=int(self._highest_stage[env]),
                final_stage=int(self._final_stage[env]),
                diverged=bool(diverged[env]),
                held=bool(held[env]),
                demonstration=int(self._demonstration[env]),
                start_step=int(self._start_step[env]),
                kind=int(self._kind[env]),
                score=0.0 if diverged[env] else float(score[env]),
            )
            for env in ids
            if not self._shortened[env]
        ]

    def state_dict(self) -> dict[str, np.ndarray]:
        """The counters, by name."""
        return {name: counter.copy() for name, counter in self._counters().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Resume from saved counters."""
        for name, counter in self._counters().items():
            counter[:] = state[name]

    def _counters(self) -> dict[str, np.ndarray]:
        """All arrays by name: each counts something."""
        return {name.removeprefix("_"): value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
