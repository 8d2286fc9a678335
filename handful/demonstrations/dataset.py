"""Demonstration files: HDF5 in robomimic's layout, read with everything validated.

    /data                      attrs: env_args (JSON), total; format_version, task, model_signature, stages (JSON), body
    /data/demo_0               attrs: num_samples, success_step, seed
        actions   [T, action]  float32, joint velocities as fractions of their limits; missing where nobody knows them
        acted_by  [T]          int64, who chose each action, see `ACTORS`; missing where it is not known
        states    [T, state]   float64, full physical state before each action
        rewards   [T]          float32, task reward
        dones     [T]          int64, 1 at the last step
        obs/GROUP [T, ...]     observations before each action
        next_obs/GROUP         the same after it
        final_state [state]    what the last action led to
        stages    [T+1]        int64, stage of each state
        world/PARAMETER        the episode's drawn parameters
    /mask/train                names of the episodes to learn from; mask/valid, if there is one, of those to test on

Each dataset, each episode and ``data`` have an attribute ``sha256``, see `handful.demonstrations.sealed`.

robomimic's own keys have its meaning and its T rows, so its loader reads these files with its defaults. ``model_file`` is
not stored: a task compiles its model, and ``model_signature`` says which.

The attribute ``body`` says whose body is in the demonstrations. Where it is not the arm's own, the arm's part of a state
means nothing: only objects are observed, there are no actions, and no training episode begins in such a state.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from handful.demonstrations.episode_reading import EPISODE_ATTRIBUTES, read_episode
from handful.demonstrations.header import episode_names, open_demonstrations, read_header
from handful.demonstrations.sealed import Budget, member, seal, seal_attributes
from handful.demonstrations.specification import DemonstrationSpec
from handful.errors import DataError
from handful.trajectory import OWN_BODY, ROBOT_BODY, Demonstrations, Trajectory


def load_demonstrations(
    path: str | pathlib.Path, spec: DemonstrationSpec | str, *, pixels: bool = True
) -> Demonstrations:
    """Read the demonstrations of a task, given by its name or by the ``spec`` of what they must hold.

    Without ``pixels`` the recorded images are not read: learners render them again from the states.

    Raises:
        ConfigurationError: no such task, or no such file.
        DataError: the first thing wrong in the file, in one sentence with file, episode and field.
    """
    spec = DemonstrationSpec.of_task(spec) if isinstance(spec, str) else spec
    path = pathlib.Path(path)
    with open_demonstrations(path) as data:
        header = read_header(data, path, spec)
        spec = spec.for_body(header["body"])
        names, actions = episode_names(data), holds_actions(data)
        if header["body"] == ROBOT_BODY:
            raise DataError(f"{path} is the log of a robot, which nothing is learned from: expected demonstrations.")
        if actions and header["body"] != OWN_BODY:
            raise DataError(
                f"{path} holds actions of the body '{header['body']}': expected none, as they are not the arm's."
            )
        if not names:
            raise DataError(f"{path} holds no episode: expected at least demo_0 in its group 'data'.")
        trajectories, budget = [], Budget()
        for name in names:
            try:
                trajectories.append(
                    read_episode(
                        data, name, spec, version=header["version"], pixels=pixels, actions=actions, budget=budget
                    )
                )
            except DataError as error:
                raise DataError(f"{path}, episode {name}, {error}") from error
    kwargs = header["env_kwargs"]
    return Demonstrations(
        task=spec.task,
        trajectories=tuple(trajectories),
        top_stage=len(spec.stages) - 1,
        control_timestep=spec.control_timestep,
        randomization=str(kwargs.get("randomization", "unknown")),
        camera_hz=int(kwargs.get("camera_hz") or 0),
        body=header["body"],
    )


def write_episode(
    data: h5py.Group, name: str, trajectory: Trajectory, *, beside: Mapping[str, np.ndarray] = MappingProxyType({})
) -> None:
    """Write one episode, with arrays ``beside`` it, as the group ``name`` and bring ``total`` up to date."""
    episode = data.create_group(name)
    length = len(trajectory)
    episode.attrs["num_samples"] = length
    episode.attrs["success_step"] = trajectory.success_step
    episode.attrs["seed"] = np.asarray(trajectory.seed, np.int64)
    seal_attributes(episode, EPISODE_ATTRIBUTES)
    for field in ("actions", "acted_by", "rewards", "stages"):
        if (values := getattr(trajectory, field)) is not None:
            _write(episode, field, values)
    _write(episode, "dones", (np.arange(length) == length - 1).astype(np.int64))
    _write(episode, "states", trajectory.states[:-1], compress=True)
    _write(episode, "final_state", trajectory.states[-1])
    for group, values in trajectory.observations.items():
        _write(episode, f"obs/{group}", values[:-1], compress=True)
        _write(episode, f"next_obs/{group}", values[1:], compress=True)
    for parameter, value in trajectory.parameters.items():
        _write(episode, f"world/{parameter}", np.asarray(value))
    for field, values in beside.items():
        _write(episode, field, values)
    data.attrs["total"] = int(data.attrs.get("total", 0)) + length


def _write(episode: h5py.Group, name: str, values: np.ndarray, *, compress: bool = False) -> None:
    """A dataset and its checksum; compressed in chunks of 32 rows, a held image costs almost nothing after the first."""
    options: dict[str, Any] = {}
    if compress:
        chunks = (min(32, len(values)), *values.shape[1:])
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "fletcher32": True}
    seal(episode.create_dataset(name, data=values, **options), values)


def write_masks(file: h5py.File, *, valid: frozenset[str] = frozenset()) -> None:
    """Say which episodes are to be learned from: all but those named ``valid``, which are to be tested on."""
    names = episode_names(file["data"])  # type: ignore[arg-type]
    if "mask" in file:
        del file["mask"]
    masks = {"train": [name for name in names if name not in valid], "valid": [name for name in names if name in valid]}
    for mask, members in masks.items():
        if members:
            file[f"mask/{mask}"] = np.asarray(members, "S")


def holds_actions(data: h5py.Group) -> bool:
    """Whether the episodes of a file have actions: all of them, or none."""
    return any(isinstance(member(data, f"{name}/actions"), h5py.Dataset) for name in episode_names(data))
