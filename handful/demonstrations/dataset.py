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

robomimic's own keys have its meaning and its T rows, so its loader reads these files with its defaults. ``model_file`` is
not stored: a task compiles its model, and ``model_signature`` says which.

The attribute ``body`` says whose body is in the demonstrations. Where it is not the arm's own, the arm's part of a state
means nothing: only objects are observed, there are no actions, and no training episode begins in such a state.
"""

from __future__ import annotations

import pathlib

import h5py
import numpy as np

from handful.demonstrations.header import (
    FORMAT_VERSION,
    episode_names,
    open_demonstrations,
    read_header,
)
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PHYSICAL_STATE, PIXELS
from handful.errors import DataError
from handful.simulation.randomization import Parameters, check_parameters
from handful.trajectory import ACTORS, OWN_BODY, Demonstrations, Trajectory

__all__ = ["FORMAT_VERSION", "holds_actions", "load_demonstrations", "read_episode", "write_episode", "write_masks"]


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
        if actions and header["body"] != OWN_BODY:
            raise DataError(
                f"{path} holds actions of the body '{header['body']}': expected none, as they are not the arm's."
            )
        if not names:
            raise DataError(f"{path} holds no episode: expected at least demo_0 in its group 'data'.")
        trajectories = []
        for name in names:
            try:
                trajectories.append(read_episode(data, name, spec, header["version"], pixels=pixels, actions=actions))
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


def write_episode(data: h5py.Group, name: str, trajectory: Trajectory) -> None:
    """Write one episode as the group ``name`` and bring ``total`` up to date."""
    episode = data.create_group(name)
    length = len(trajectory)
    episode.attrs["num_samples"] = length
    episode.attrs["success_step"] = trajectory.success_step
    episode.attrs["seed"] = np.asarray(trajectory.seed, np.int64)
    for field in ("actions", "acted_by", "rewards", "stages"):
        if (values := getattr(trajectory, field)) is not None:
            episode[field] = values
    episode["dones"] = (np.arange(length) == length - 1).astype(np.int64)
    _compress(episode, "states", trajectory.states[:-1])
    episode["final_state"] = trajectory.states[-1]
    for group, values in trajectory.observations.items():
        _compress(episode, f"obs/{group}", values[:-1])
        _compress(episode, f"next_obs/{group}", values[1:])
    for parameter, value in trajectory.parameters.items():
        episode[f"world/{parameter}"] = value
    data.attrs["total"] = int(data.attrs.get("total", 0)) + length


def write_masks(file: h5py.File, *, valid: frozenset[str] = frozenset()) -> None:
    """Say which episodes are to be learned from: all but those named ``valid``, which are to be tested on."""
    names = episode_names(file["data"])  # type: ignore[arg-type]
    if "mask" in file:
        del file["mask"]
    masks = {"train": [name for name in names if name not in valid], "valid": [name for name in names if name in valid]}
    for mask, members in masks.items():
        if members:
            file[f"mask/{mask}"] = np.asarray(members, "S")


def _compress(episode: h5py.Group, name: str, values: np.ndarray) -> None:
    """A dataset in one compressed chunk for every 32 rows: a held image costs almost nothing after the first."""
    chunks = (min(32, len(values)), *values.shape[1:])
    episode.create_dataset(name, data=values, chunks=chunks, compression="gzip", compression_opts=4, fletcher32=True)


def read_episode(
    data: h5py.Group, name: str, spec: DemonstrationSpec, version: int, *, pixels: bool = True, actions: bool = True
) -> Trajectory:
    """One episode of a file of that version, checked; a `DataError` begins with the field's name.

    Without ``pixels`` images are not read; without ``actions`` none are expected, see `holds_actions`.
    """
    episode = data.get(name)
    if not isinstance(episode, h5py.Group):
        raise DataError(f"expected a group, got {type(episode).__name__}.")
    length = _attribute(episode, "num_samples")
    observations = {}
    for group, array in spec.observations.items():
        (size,), extra = array.shape, 1 if version == 1 and group == PHYSICAL_STATE else 0
        rows = _observed(episode, group, (length, size + extra), array.dtype, version)
        observations[group] = rows[:, :size]
    images = episode.get(f"obs/{PIXELS}")
    if pixels and isinstance(images, h5py.Dataset):
        shape = images.shape[1:]
        if len(shape) != 3 or shape[-1] != 3:
            raise DataError(f"obs/{PIXELS}: expected images [T, height, width, 3], got rows of shape {shape}.")
        pictures = _observed(episode, PIXELS, (length, *shape), "uint8", version)
        observations = {PIXELS: pictures, **observations}
    trajectory = Trajectory(
        observations=observations,
        actions=_read(episode, "actions", (length, *spec.action.shape), "float32") if actions else None,
        acted_by=_read_actors(episode, length),
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


def holds_actions(data: h5py.Group) -> bool:
    """Whether the episodes of a file have actions: all of them, or none."""
    return any(isinstance(data.get(f"{name}/actions"), h5py.Dataset) for name in episode_names(data))


def _read_actors(episode: h5py.Group, length: int) -> np.ndarray | None:
    """Who acted, if it is known."""
    if "acted_by" not in episode:
        return None
    values = _read(episode, "acted_by", (length,), "int64")
    if values.min() < 0 or values.max() >= len(ACTORS):
        raise DataError(f"acted_by: expected numbers from 0 to {len(ACTORS) - 1}.")
    return values


def _observed(episode: h5py.Group, group: str, shape: tuple[int, ...], dtype: str, version: int) -> np.ndarray:
    """A group before the first action and after each, [T+1, ...]."""
    if version < 3:
        return _with_final(episode, f"obs/{group}", f"final_obs/{group}", shape, dtype)
    rows = _read(episode, f"obs/{group}", shape, dtype)
    return np.concatenate([rows, _read(episode, f"next_obs/{group}", shape, dtype)[-1:]])


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
