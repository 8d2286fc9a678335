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

robomimic's own keys have its meaning and its T rows; what has T+1 entries here keeps the last one apart, under
``final_``. ``next_obs`` is not stored: it is ``obs`` one row later. ``model_file`` is not stored: a task compiles its
model, and ``model_signature`` says which.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PHYSICAL_STATE, PIXELS
from handful.errors import ConfigurationError, DataError
from handful.simulation.randomization import Parameters, check_parameters
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.trajectory import Demonstrations, Trajectory

FORMAT_VERSION = 2
"""Version of what is written. Version 1, in which ``physical_state`` ended with the time left, is read as well."""

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
        trajectories = []
        for name in names:
            try:
                trajectories.append(_read_episode(data, name, spec, header["version"], pixels))
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
            data = file.get("data")
            if not isinstance(data, h5py.Group):
                raise DataError(f"{path} has no group 'data': expected demonstrations in robomimic's layout.")
            yield data
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:  # h5py raises any of these on damage
        problem = f"it is truncated, damaged or something else ({error})"
        raise DataError(f"{path} is not a whole HDF5 file: {problem}.") from error


def read_header(data: h5py.Group, path: pathlib.Path, spec: DemonstrationSpec) -> dict[str, Any]:
    """The description of a file; refuses one of another format, task or model version by a `DataError`."""
    version = data.attrs.get("format_version")
    if not isinstance(version, int | np.integer) or not 1 <= version <= FORMAT_VERSION:
        raise DataError(f"{path}, attribute format_version: expected {FORMAT_VERSION}, got {version}.")
    try:
        header = json.loads(_text(data.attrs["env_args"]))
        recorded_task, header["env_kwargs"] = header["env_name"], dict(header["env_kwargs"])
        header["version"] = int(version)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"expected JSON with env_name and env_kwargs ({error!r})"
        raise DataError(f"{path}, attribute env_args: {problem}.") from error
    if recorded_task != spec.task:
        raise DataError(f"{path} holds demonstrations of the task '{recorded_task}', not of '{spec.task}'.")
    signature = _text(data.attrs.get("model_signature", "none"))
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
    for field in ("actions", "rewards", "stages"):
        episode[field] = getattr(trajectory, field)
    episode["dones"] = (np.arange(length) == length - 1).astype(np.int64)
    _compress(episode, "states", trajectory.states[:-1])
    episode["final_state"] = trajectory.states[-1]
    for group, values in trajectory.observations.items():
        _compress(episode, f"obs/{group}", values[:-1])
        episode[f"final_obs/{group}"] = values[-1]
    for parameter, value in trajectory.parameters.items():
        episode[f"world/{parameter}"] = value
    data.attrs["total"] = int(data.attrs.get("total", 0)) + length


def _compress(episode: h5py.Group, name: str, values: np.ndarray) -> None:
    """A dataset in one compressed chunk for every 32 rows: a held image costs almost nothing after the first."""
    chunks = (min(32, len(values)), *values.shape[1:])
    episode.create_dataset(name, data=values, chunks=chunks, compression="gzip", compression_opts=4, fletcher32=True)


def _read_episode(data: h5py.Group, name: str, spec: DemonstrationSpec, version: int, pixels: bool) -> Trajectory:
    """One episode of a file of that version, checked; errors begin with the field's name."""
    episode = data.get(name)
    if not isinstance(episode, h5py.Group):
        raise DataError(f"expected a group, got {type(episode).__name__}.")
    length = _attribute(episode, "num_samples")
    observations = {}
    for group, array in spec.observations.items():
        (size,), extra = array.shape, 1 if version == 1 and group == PHYSICAL_STATE else 0
        rows = _with_final(episode, f"obs/{group}", f"final_obs/{group}", (length, size + extra), array.dtype)
        observations[group] = rows[:, :size]
    images = episode.get(f"obs/{PIXELS}")
    if pixels and isinstance(images, h5py.Dataset):
        shape = images.shape[1:]
        if len(shape) != 3 or shape[-1] != 3:
            raise DataError(f"obs/{PIXELS}: expected images [T, height, width, 3], got rows of shape {shape}.")
        pictures = _with_final(episode, f"obs/{PIXELS}", f"final_obs/{PIXELS}", (length, *shape), "uint8")
        observations = {PIXELS: pictures, **observations}
    trajectory = Trajectory(
        observations=observations,
        actions=_read(episode, "actions", (length, *spec.action.shape), "float32"),
        states=_with_final(episode, "states", "final_state", (length, spec.state_size), "float64"),
        rewards=_read(episode, "rewards", (length,), "float32"),
        stages=_read(episode, "stages", (length + 1,), "int64"),
        parameters=_read_parameters(episode, spec),
        success_step=_attribute(episode, "success_step"),
        seed=tuple(int(part) for part in np.atleast_1d(episode.attrs.get("seed", ()))),
    )
    top = len(spec.stages) - 1
    if trajectory.stages.min() < 0 or trajectory.stages.max() > top:
        raise DataError(f"stages: expected numbers from 0 to {top}.")
    if (trajectory.stages[trajectory.success_step :] != top).any():
        raise DataError(f"success_step: the stages do not stay at the top from step {trajectory.success_step} on.")
    return trajectory


def _read_parameters(episode: h5py.Group, spec: DemonstrationSpec) -> Parameters:
    """The recorded draw, with the task's parameters checked one by one."""
    group = episode.get("world")
    if not isinstance(group, h5py.Group):
        raise DataError("world: the group is missing.")
    shapes = {parameter.name: parameter.nominal.shape for parameter in spec.parameters}
    parameters = {name: _read(episode, f"world/{name}", shape, "float64") for name, shape in shapes.items()}
    extra = {name: np.zeros(()) for name in map(str, group) if name not in parameters}
    try:
        check_parameters(spec.parameters, {**parameters, **extra})
    except DataError as error:
        raise DataError(f"world: {error}") from error
    return parameters


def _with_final(episode: h5py.Group, rows: str, final: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """T rows and the one that the last action led to, [T+1, ...]."""
    return np.concatenate([_read(episode, rows, shape, dtype), _read(episode, final, shape[1:], dtype)[None]])


def _read(episode: h5py.Group, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A dataset of that shape and type of number, finite."""
    dataset = episode.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{name}: the field is missing.")
    if dataset.shape != shape:
        raise DataError(f"{name}: expected shape {shape}, got {dataset.shape}.")
    if dataset.dtype != np.dtype(dtype):
        raise DataError(f"{name}: expected numbers of type {dtype}, got {dataset.dtype}.")
    try:
        values = dataset[()]
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read, its bytes are damaged ({error}).") from error
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds a number that is not finite.")
    return values


def _attribute(episode: h5py.Group, name: str) -> int:
    """A whole number among an episode's attributes."""
    value = episode.attrs.get(name)
    if not isinstance(value, int | np.integer) or value < 0:
        raise DataError(f"attribute {name}: expected a whole number of at least 0, got {value}.")
    return int(value)


def _text(value: object) -> str:
    """A text attribute, whether it is stored with a fixed length or not."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def episode_names(data: h5py.Group) -> list[str]:
    """Names of the episodes in the order of their numbers."""
    return sorted((name for name in map(str, data) if name.startswith("demo_")), key=episode_number)


def episode_number(name: str) -> int:
    """Number of an episode by its name; what has none comes last."""
    digits = name.removeprefix("demo_")
    return int(digits) if digits.isdecimal() else 1 << 62
