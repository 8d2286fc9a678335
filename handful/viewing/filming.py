"""Films the first episodes of an evaluation."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from handful.environment import PIXELS, EnvironmentSpec, StateTree, TimeStep, on_host
from handful.learning.actors import Actor
from handful.learning.evaluation import EvaluationResult, evaluate_policy
from handful.simulation.rendering.camera import empty_images
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment
from handful.viewing.sheet import VIEW_SIZE, grid_shape
from handful.viewing.video import Cell, EpisodeGridVideo, Outcome

FILMED_EPISODES = 24
"""Episodes that a video shows at most."""

_LAST_FRAMES = 20
"""How long the last picture stays [frames]."""


def film_policy(
    actor: Actor, environment: TaskEnvironment, path: pathlib.Path, *, num_episodes: int, seed: int
) -> EvaluationResult:
    """Evaluate a policy and write a video of its first episodes, at most `FILMED_EPISODES`.

    Args:
        actor: Who acts, for example from `handful.runs.policies.load_actor`.
        environment: Where it acts, with pixels; one cell of the video for each of its simulations.
        path: The video, which ends in ``.mp4``.
        num_episodes: Episodes of the evaluation.
        seed: Seed of the evaluation.

    Returns:
        The result of the evaluation, which does not depend on the film.

    Raises:
        ConfigurationError: the path does not end in ``.mp4``, or the number of episodes is below 1.
        StorageError: the video cannot be written.
    """
    num_filmed = min(FILMED_EPISODES, environment.num_envs)
    with FilmedEnvironment(environment, path, num_filmed=num_filmed) as filmed:
        return evaluate_policy(actor, filmed, num_episodes=num_episodes, seed=seed)


class FilmedEnvironment:
    """Wraps an environment and writes a video of its first episodes, one cell for each."""

    def __init__(self, environment: TaskEnvironment, path: pathlib.Path, *, num_filmed: int) -> None:
        """Prepare to film the first episode in each of the first ``num_filmed`` simulations."""
        self._environment = environment
        self._num_filmed = num_filmed
        self._camera = make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE)
        rows, columns = grid_shape(num_filmed)
        rate = 1.0 / environment.spec.control_timestep
        self._video = EpisodeGridVideo(path, num_rows=rows, num_columns=columns, frame_rate=rate)
        self._images = empty_images(self._camera)
        self._cells: list[Cell | None] = [None] * num_filmed
        self._running = np.zeros(num_filmed, bool)
        self._begun = False
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Open the video."""
        self._files.enter_context(self._video)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Finish the video; after an exception, remove it."""
        self._camera.close()
        return self._files.__exit__(kind, error, traceback)

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment's."""
        return self._environment.spec

    @property
    def num_envs(self) -> int:
        """The environment's."""
        return self._environment.num_envs

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Reset the environment; the first reset starts the film."""
        time_step = self._environment.reset(seeds=seeds)
        if not self._begun:
            self._begun = True
            self._running[:] = True
            self._film(time_step)
        else:
            self._running[:] = False
        return time_step

    def step(self, action: np.ndarray) -> TimeStep:
        """Step the environment and film it."""
        time_step = self._environment.step(action)
        if self._running.any():
            self._end_episodes(time_step)
            self._film(time_step)
            if not self._running.any():
                for _ in range(_LAST_FRAMES):
                    self._video.add_frame(self._cells)
        return time_step

    def state_dict(self) -> StateTree:
        """The environment's."""
        return self._environment.state_dict()

    def load_state_dict(self, state: StateTree) -> TimeStep:
        """The environment's."""
        return self._environment.load_state_dict(state)

    def close(self) -> None:
        """Close the environment."""
        self._environment.close()

    def _end_episodes(self, time_step: TimeStep) -> None:
        """Freeze the cells of ended episodes with their outcome; their simulations are already in the next episode."""
        for summary in time_step.episodes:
            cell = self._cells[summary.env] if summary.env < self._num_filmed else None
            if cell is not None and self._running[summary.env]:
                self._running[summary.env] = False
                self._cells[summary.env] = Cell(
                    view=cell.view,
                    pixels=cell.pixels,
                    episode=cell.episode,
                    stage=self.spec.stages[summary.final_stage],
                    outcome=Outcome.SUCCESS if summary.success else Outcome.FAILURE,
                )

    def _film(self, time_step: TimeStep) -> None:
        ids = np.flatnonzero(self._running)
        if len(ids):
            self._camera.render(ids, self._images)
        top = len(self.spec.stages) - 1
        for env in ids:
            stage = int(time_step.stage[env])
            self._cells[env] = Cell(
                view=on_host(self._images[env]).copy(),
                pixels=on_host(time_step.observation[PIXELS][env]),
                episode=int(env),
                stage=self.spec.stages[stage],
                outcome=Outcome.SUCCESS if stage == top else Outcome.RUNNING,
            )
        self._video.add_frame(self._cells)
