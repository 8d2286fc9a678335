"""Demonstration files: HDF5 in robomimic's layout, read with everything validated.

    /data                      attrs: env_args (JSON), total; format_version, model_signature, stages (JSON)
    /data/demo_0               attrs: num_samples, success_step, seed
        actions   [T, action]  float32, joint velocities as fractions of their limits
        states    [T, state]   float64, full physical state before each action
        rewards   [T]          float32, task reward
        dones     [T]          int64, 1 at the last step
        obs/GROUP [T, ...]     observations before each action
        final_state [state], final_obs/GROUP [...]    what the last action led to
        stages    [T+1]        int64, stage of each state
        world/PARAMETER        the episode's drawn parameters

Each dataset, each episode and ``data`` have an attribute ``sha256``, see `handful.demonstrations.sealed`.

robomimic's own keys have its meaning and its T rows; what has T+1 entries here keeps the last one apart, under
``final_``. ``next_obs`` is not stored: it is ``obs`` one row later. ``model_file`` is not stored: a task compiles its
model, and ``model_signature`` says which.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import h5py
import msgspec
import numpy as np

from handful.demonstrations.episode_reading import EPISODE_ATTRIBUTES, SEALED_VERSION, read_episode
from handful.demonstrations.sealed import (
    Budget,
    attribute,
    check_attributes,
    member,
    member_names,
    seal,
    seal_attributes,
    text,
)
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PIXELS
from handful.errors import ConfigurationError, DataError
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.trajectory import Demonstrations, Trajectory

FORMAT_VERSION = 3
"""Version of what is written. Read as well are version 2, which has no checksums, and version 1, in which
``physical_state`` ended with the time left."""

_HEADER = ("env_args", "format_version", "model_signature", "stages")
"""Attributes under a checksum."""

GYM_TYPE = 2
"""robomimic's number for an environment made by gymnasium."""


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
        names = episode_names(data)
        if not names:
            raise DataError(f"{path} holds no episode: expected at least demo_0 in its group 'data'.")
        trajectories, budget = [], Budget()
        for name in names:
            try:
                trajectories.append(
                    read_episode(data, name, spec, version=header["version"], pixels=pixels, budget=budget)
                )
            except DataError as error:
                raise DataError(f"{path}, episode {name}, {error}") from error
    kwargs = header["env_kwargs"]
    return Demonstrations(
        task=spec.task,
        trajectories=tuple(trajectories),
        top_stage=len(spec.stages) - 1,
        control_timestep=spec.control_timestep,
        randomization=kwargs.get("randomization", "unknown"),
        camera_hz=kwargs.get("camera_hz") or 0,
    )


@contextlib.contextmanager
def open_demonstrations(path: pathlib.Path) -> Iterator[h5py.Group]:
    """The group ``data`` of a file, with HDF5's own errors put in words.

    Raises:
        ConfigurationError: no such file.
        DataError: not HDF5, truncated, damaged, or without the group.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"no demonstration file at '{path}': record one with 'handful demonstrate', or give the path of another."
        )
    try:
        with h5py.File(path, "r") as file:
            data = member(file, "data")
            if not isinstance(data, h5py.Group):
                raise DataError(f"{path} has no group 'data': expected demonstrations in robomimic's layout.")
            yield data
    except (
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        SystemError,
    ) as error:  # h5py's, on damage
        problem = f"it is truncated, damaged or something else ({error})"
        raise DataError(f"{path} is not a whole HDF5 file: {problem}.") from error


class _Recorded(msgspec.Struct):
    """What is known of the environment in which demonstrations were recorded."""

    randomization: Literal["none", "task", "full"] | None = None
    camera_hz: Annotated[int, msgspec.Meta(ge=1, le=CONTROL_HZ)] | None = None
    seed: int | None = None


def read_header(data: h5py.Group, path: pathlib.Path, spec: DemonstrationSpec) -> dict[str, Any]:
    """The description of a file; refuses one of another format, task or model version by a `DataError`."""
    version = attribute(data, "format_version")
    if not isinstance(version, int | np.integer) or not 1 <= version <= FORMAT_VERSION:
        raise DataError(f"{path}, attribute format_version: expected {FORMAT_VERSION}, got {str(version)[:50]}.")
    try:
        check_attributes(data, _HEADER, required=bool(version >= SEALED_VERSION))
        header = json.loads(text(attribute(data, "env_args")))
        recorded_task = str(header["env_name"])
        msgspec.convert(header["env_kwargs"], _Recorded)
        header["version"] = int(version)
    except DataError as error:
        raise DataError(f"{path}, {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"expected JSON with env_name and env_kwargs ({str(error)[:100]})"
        raise DataError(f"{path}, attribute env_args: {problem}.") from error
    if recorded_task != spec.task:
        raise DataError(f"{path} holds demonstrations of the task '{recorded_task}', not of '{spec.task}'.")
    signature = text(attribute(data, "model_signature") or "none")[:80]
    if signature != spec.signature:
        raise DataError(
            f"{path}, attribute model_signature: recorded with another version of the model "
            f"({signature}, this is {spec.signature}), whose states do not fit: record them again."
        )
    return header


def describe_environment(environment: TaskEnvironment, seed: int) -> dict[str, Any]:
    """Attributes of the group ``data`` for demonstrations recorded in that environment.

    Texts have a fixed length: HDF5 keeps others in a heap which, when damaged, can hang its reader (seen with 2.0).
    """
    camera_hz = CONTROL_HZ // environment.spec.camera_period if PIXELS in environment.spec.observations else None
    kwargs = {"randomization": environment.level.name.lower(), "camera_hz": camera_hz, "seed": seed}
    env_args = {"env_name": environment.task.name, "type": GYM_TYPE, "env_kwargs": kwargs}
    return {
        "env_args": np.bytes_(json.dumps(env_args)),
        "format_version": FORMAT_VERSION,
        "model_signature": np.bytes_(DemonstrationSpec.of(environment).signature),
        "stages": np.bytes_(json.dumps(environment.task.stages)),
    }


def write_episode(data: h5py.Group, name: str, trajectory: Trajectory) -> None:
    """Write one episode as the group ``name`` and bring ``total`` up to date."""
    episode = data.create_group(name)
    length = len(trajectory)
    episode.attrs["num_samples"] = length
    episode.attrs["success_step"] = trajectory.success_step
    episode.attrs["seed"] = np.asarray(trajectory.seed, np.int64)
    seal_attributes(episode, EPISODE_ATTRIBUTES)
    for field in ("actions", "rewards", "stages"):
        _write(episode, field, getattr(trajectory, field))
    _write(episode, "dones", (np.arange(length) == length - 1).astype(np.int64))
    _write(episode, "states", trajectory.states[:-1], compress=True)
    _write(episode, "final_state", trajectory.states[-1])
    for group, values in trajectory.observations.items():
        _write(episode, f"obs/{group}", values[:-1], compress=True)
        _write(episode, f"final_obs/{group}", values[-1])
    for parameter, value in trajectory.parameters.items():
        _write(episode, f"world/{parameter}", np.asarray(value))
    data.attrs["total"] = int(data.attrs.get("total", 0)) + length


def write_header(data: h5py.Group, attributes: dict[str, Any]) -> None:
    """Write what `describe_environment` says, to the group ``data`` of a file without episodes."""
    data.attrs.update({**attributes, "total": 0})
    seal_attributes(data, _HEADER)


def _write(episode: h5py.Group, name: str, values: np.ndarray, *, compress: bool = False) -> None:
    """A dataset and its checksum; compressed in chunks of 32 rows, a held image costs almost nothing after the first."""
    options: dict[str, Any] = {}
    if compress:
        chunks = (min(32, len(values)), *values.shape[1:])
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "fletcher32": True}
    seal(episode.create_dataset(name, data=values, **options), values)


def episode_names(data: h5py.Group) -> list[str]:
    """Names of the episodes in the order of their numbers."""
    return sorted((name for name in member_names(data) if name.startswith("demo_")), key=episode_number)


def episode_number(name: str) -> int:
    """Number of an episode by its name; what has none comes last."""
    digits = name.removeprefix("demo_")
    return int(digits) if digits.isdecimal() and len(digits) < 18 else 1 << 62
