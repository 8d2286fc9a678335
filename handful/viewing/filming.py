"""Films the first episodes of an evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from handful.environment import PIXELS, TimeStep, on_host
from handful.learning.actors import Actor
from handful.learning.evaluation import EvaluationResult, evaluate_policy
from handful.simulation.rendering.camera import Camera, empty_images
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
    """Evaluate a policy and write a video of its first episodes, at most `FILMED_EPISODES`, to a path in ``.mp4``.

    The environment has pixels; each of its simulations has a cell of the video. The film does not change the evaluation.
    """
    num_filmed = min(FILMED_EPISODES, environment.num_envs)
    rows, columns = grid_shape(num_filmed)
    rate = 1.0 / environment.spec.control_timestep
    with (
        contextlib.closing(make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE)) as camera,
        EpisodeGridVideo(path, num_rows=rows, num_columns=columns, frame_rate=rate) as video,
    ):
        film = Film(environment.spec.stages, camera, video, num_filmed)
        return evaluate_policy(actor, environment, num_episodes=num_episodes, seed=seed, on_step=film.add)


class Film:
    """Adds the time steps of an evaluation to a video, until the first episode of each filmed simulation has ended."""

    def __init__(self, stages: Sequence[str], camera: Camera, video: EpisodeGridVideo, num_filmed: int) -> None:
        """Prepare to film the first episode in each of the first ``num_filmed`` simulations."""
        self._stages = stages
        self._camera = camera
        self._images = empty_images(camera)
        self._video = video
        self._cells: list[Cell | None] = [None] * num_filmed
        self._running = np.ones(num_filmed, bool)

    def add(self, time_step: TimeStep) -> None:
        """Add a frame, unless all filmed episodes have ended."""
        if not self._running.any():
            return
        # The cells of ended episodes freeze with their outcome; their simulations are already in the next episode.
        for summary in time_step.episodes:
            cell = self._cells[summary.env] if summary.env < len(self._cells) else None
            if cell is not None and self._running[summary.env]:
                self._running[summary.env] = False
                outcome = Outcome.SUCCESS if summary.success else Outcome.FAILURE
                stage = self._stages[summary.final_stage]
                self._cells[summary.env] = dataclasses.replace(cell, stage=stage, outcome=outcome)
        ids = np.flatnonzero(self._running)
        if len(ids):
            self._camera.render(ids, self._images)
        for env in ids:
            stage = int(time_step.stage[env])
            self._cells[env] = Cell(
                view=on_host(self._images[env]).copy(),
                pixels=on_host(time_step.observation[PIXELS][env]),
                episode=int(env),
                stage=self._stages[stage],
                outcome=Outcome.SUCCESS if stage == len(self._stages) - 1 else Outcome.RUNNING,
            )
        for _ in range(1 if len(ids) else 1 + _LAST_FRAMES):
            self._video.add_frame(self._cells)
