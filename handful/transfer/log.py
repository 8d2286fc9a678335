"""An episode on a robot as an episode file, which `handful dataset replay` and `view` read.

Nobody measures the objects, so in its states they stand at their nominal places; the arm is where the encoders said it was,
and ``obs/pixels`` is what the policy saw. What was wanted, commanded and timed is beside that, in ``robot/``.
"""

from __future__ import annotations

import contextlib
import json
import pathlib

import numpy as np

from handful.demonstrations.writer import DemonstrationWriter
from handful.environment import OBJECT_FEATURES, OBJECT_POSITIONS, PIXELS
from handful.simulation.arms import find_arm
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.trajectory import ROBOT_BODY, Trajectory
from handful.transfer.loop import Episode


def write_episode_log(path: pathlib.Path, episode: Episode, *, arm: str, overwrite: bool = False) -> None:
    """Write an episode of at least one step, whole or not at all.

    Raises:
        ConfigurationError: the file is there already, and ``overwrite`` is not given; or the task is unknown.
        StorageError: the disk refused.
    """
    task = make_task(episode.task)
    task.arm = find_arm(arm)
    readings = [step.reading for step in episode.steps]
    readings.append(episode.last_reading if _whole(episode) else readings[-1])  # type: ignore[arg-type]
    positions = np.stack([reading.positions for reading in readings])
    environment = TaskEnvironment(task, num_envs=1, randomization="none", pixels=False, num_threads=1)
    with contextlib.closing(environment):
        environment.reset(seeds=[0])
        writer = DemonstrationWriter(path, environment, overwrite=overwrite, body=ROBOT_BODY)
        with contextlib.closing(writer):
            writer.append(_trajectory(episode, environment, positions), beside=_beside(episode, readings))


def _whole(episode: Episode) -> bool:
    """Whether the reading at the end is one."""
    last = episode.last_reading
    return (
        last is not None
        and np.shape(last.positions) == np.shape(episode.steps[0].reading.positions)
        and bool(np.isfinite(last.positions).all() and np.isfinite(last.velocities).all())
    )


def _trajectory(episode: Episode, environment: TaskEnvironment, positions: np.ndarray) -> Trajectory:
    physics, parameters = environment.physics, environment.parameters
    own = {name: values[0].copy() for name, values in parameters.items()}
    states, stages, features, places = [], [], [], []
    qpos = physics.qpos[0].copy()
    for row in positions:
        qpos[: len(row)] = row
        physics.place(np.arange(1), qpos[None])
        states.append(physics.get_state()[0])
        environment.restore(np.arange(1), [own], states[-1][None])
        stages.append(int(environment.task.stage(environment.snapshot)[0]))
        observed = environment.observe()
        features.append(observed[OBJECT_FEATURES][0])
        places.append(observed[OBJECT_POSITIONS][0])
    observations = {OBJECT_FEATURES: np.stack(features), OBJECT_POSITIONS: np.stack(places)}
    images = [step.image for step in episode.steps]
    if all(image is not None for image in images):
        observations[PIXELS] = np.stack([*images, images[-1]])  # type: ignore[list-item]
    return Trajectory(
        observations=observations,
        actions=None,
        states=np.stack(states),
        rewards=np.zeros(len(episode.steps), np.float32),
        stages=np.array(stages, np.int64),
        parameters=own,
        success_step=len(episode.steps),
        seed=(0,),
    )


def _beside(episode: Episode, readings: list) -> dict[str, np.ndarray]:
    """What an episode of a simulation has not, by name."""
    steps = episode.steps
    summary = {"ending": episode.ending, "dry_run": episode.dry_run, "control_timestep": episode.control_timestep}
    return {
        "robot/positions": np.stack([reading.positions for reading in readings]),
        "robot/velocities": np.stack([reading.velocities for reading in readings]),
        "robot/reading_times": np.array([reading.time for reading in readings]),
        "robot/actions": np.stack([step.action for step in steps]),
        "robot/commands": np.stack([step.command for step in steps]),
        "robot/reasons": np.array([step.reason.encode() for step in steps], "S9"),
        "robot/times": np.array([step.time for step in steps]),
        "robot/lateness": np.array([step.lateness for step in steps]),
        "robot/durations": np.array([step.duration for step in steps]),
        "robot/summary": np.frombuffer(json.dumps(summary).encode(), np.uint8),
    }
