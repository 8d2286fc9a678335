"""Everything that can be wrong in a demonstration file, found and put in sentences."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Any

import h5py
import numpy as np

from handful.demonstrations.episode_reading import NEXT_VERSION
from handful.demonstrations.files.reading import OpenFile, opened
from handful.demonstrations.files.replaying import stages_of
from handful.errors import ConfigurationError, DataError
from handful.simulation.randomization import parse_level
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import OWN_BODY, Trajectory


def problems_in(path: pathlib.Path, *, states: bool = True) -> list[str]:
    """What is wrong in a file, one sentence each, in the order of its episodes; nothing for a sound one.

    With ``states`` the stages are also computed anew from the physical states. A file whose header cannot be read is
    refused.

    Raises:
        ConfigurationError: no such file.
        DataError: it cannot be opened as demonstrations.
    """
    with opened(path) as file, contextlib.ExitStack() as stack:
        problems = _problems_of_header(file)
        environment = None
        if states and file.body == OWN_BODY:
            environment = TaskEnvironment(file.spec.task, num_envs=32, pixels=False, num_threads=1)
            stack.enter_context(contextlib.closing(environment))
        for name in file.names:
            try:
                trajectory = file.read(name)
            except DataError as error:
                problems.append(str(error))
                continue
            where = f"{path}, episode {name}, "
            problems += [where + problem for problem in _problems_of_rows(file, name)]
            if environment is not None:
                problems += [where + problem for problem in _problems_of_states(trajectory, environment)]
        return problems


def _problems_of_header(file: OpenFile) -> list[str]:
    """The level, the total and the masks."""
    problems, data, names = [], file.data, file.names
    try:
        parse_level(file.level)
    except ConfigurationError as error:
        problems.append(f"{file.path}, attribute env_args: {error}")
    if file.version < NEXT_VERSION:
        return problems
    lengths = [data[name].attrs.get("num_samples", 0) for name in names]
    if int(data.attrs.get("total", -1)) != sum(map(int, lengths)):
        problems.append(
            f"{file.path}, attribute total: expected {sum(map(int, lengths))}, got {data.attrs.get('total')}."
        )
    found = data.file.get("mask")
    masks: dict[str, Any] = dict(found) if isinstance(found, h5py.Group) else {}
    if "train" not in masks:
        return [*problems, f"{file.path}, mask/train: expected the names of the episodes to learn from."]
    for mask in masks:
        members = [bytes(member).decode(errors="replace") for member in np.atleast_1d(masks[mask][()])]
        for member in members:
            if member not in names:
                problems.append(f"{file.path}, mask/{mask}: names the episode '{member}', which is not there.")
    return problems


def _problems_of_rows(file: OpenFile, name: str) -> list[str]:
    """What follows in an episode's fields from others."""
    episode, problems = file.data[name], []
    length = int(episode.attrs["num_samples"])
    dones = episode.get("dones")
    if not isinstance(dones, h5py.Dataset) or dones.shape != (length,) or dones[-1] != 1 or dones[:-1].any():
        problems.append("dones: expected 1 at the last step and 0 before it.")
    if file.version >= NEXT_VERSION:
        for group in episode["obs"]:
            rows, following = episode["obs"][group], episode["next_obs"].get(group)
            if not isinstance(following, h5py.Dataset) or not np.array_equal(following[:-1], rows[1:]):
                problems.append(f"next_obs/{group}: expected the rows of obs/{group}, one later.")
    return problems


def _problems_of_states(trajectory: Trajectory, environment: TaskEnvironment) -> list[str]:
    """Stages that are not those of the physical states."""
    stages = stages_of(trajectory, environment)
    different = np.flatnonzero(stages != trajectory.stages)
    if not len(different):
        return []
    step = int(different[0])
    found, names = int(stages[step]), environment.task.stages
    return [
        f"stages: the state of step {step} is in stage {found} ({names[found]}), not in {int(trajectory.stages[step])}."
    ]
