"""Demonstrations by a task's scripted operator, as a run records them when it is given none."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from handful.demonstrations.operators.operator import Operator
from handful.demonstrations.operators.scripted.script import make_scripted_operator
from handful.demonstrations.recorder import RecordingProgress, record_demonstrations, recording_horizon
from handful.demonstrations.writer import DemonstrationWriter
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task

NUM_ENVS = 8
"""Simulations in which a script demonstrates at once."""


def record(
    task: str,
    path: pathlib.Path,
    *,
    num_episodes: int = 30,
    randomization: str = "task",
    camera_hz: int = 5,
    seed: int = 0,
    overwrite: bool = False,
    operator: Operator | None = None,
    num_envs: int = NUM_ENVS,
    on_progress: Callable[[RecordingProgress], None] | None = None,
) -> RecordingProgress:
    """Record demonstrations until the file holds enough.

    Args:
        task: Name of the task.
        path: File to write, or to fill up.
        num_episodes: Successes that the file shall hold (paper: 30).
        randomization: How much varies from episode to episode.
        camera_hz: Rate of the camera [Hz].
        seed: Seed of the episodes and of the operator.
        overwrite: Whether to replace a file that is there.
        operator: Who demonstrates; None is the task's script.
        num_envs: Simulations that the operator steers at once.
        on_progress: Called at the beginning and after every episode.

    Returns:
        How it ended.

    Raises:
        HandfulError: an option, the file or the disk is not as it should be.
    """
    definition = make_task(task)
    environment = TaskEnvironment(
        definition,
        num_envs=min(num_envs, num_episodes),
        seed=seed,
        randomization=randomization,
        camera_hz=camera_hz,
        horizon=recording_horizon(definition),
    )
    try:
        writer = DemonstrationWriter(path, environment, seed=seed, overwrite=overwrite, append=not overwrite)
        if on_progress is not None:
            on_progress(RecordingProgress(len(writer), num_episodes, 0))
        return record_demonstrations(
            environment,
            operator or make_scripted_operator(task, environment.num_envs),
            writer,
            num_demonstrations=num_episodes,
            seed=seed,
            on_progress=on_progress,
        )
    finally:
        environment.close()
