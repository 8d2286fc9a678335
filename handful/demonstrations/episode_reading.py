"""One episode of a demonstration file, read with everything validated; see `handful.demonstrations.dataset`."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np

from handful.demonstrations.sealed import Budget, attribute, check_attributes, check_seal, member, member_names
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PHYSICAL_STATE, PIXELS
from handful.errors import DataError
from handful.simulation.randomization import Parameters, check_parameters, check_ranges
from handful.trajectory import ACTORS, ROBOT_BODY, Trajectory

SEALED_VERSION = 3
"""First version with checksums, as the attribute ``sha256`` of each dataset, of each episode and of ``data``."""

NEXT_VERSION = 4
"""First version with next observations, masks and the Gymnasium id of the environment."""

EPISODE_ATTRIBUTES = ("num_samples", "success_step", "seed")
"""Attributes of an episode under its checksum."""

MAX_LENGTH = 100_000
"""Longest episode [control steps]; the longest that is recorded has 1,200."""


def read_episode(
    data: h5py.Group,
    name: str,
    spec: DemonstrationSpec,
    *,
    version: int,
    pixels: bool,
    budget: Budget,
    actions: bool = True,
) -> Trajectory:
    """One episode of a file of that version, checked; without ``actions`` none are expected.

    Raises:
        DataError: the first thing wrong; it begins with the field's name.
    """
    node = member(data, name)
    if not isinstance(node, h5py.Group):
        raise DataError(f"expected a group, got {type(node).__name__}.")
    episode = _Episode(node, budget, sealed=version >= SEALED_VERSION)
    check_attributes(node, EPISODE_ATTRIBUTES, required=episode.sealed)
    length = _attribute(node, "num_samples")
    if not 1 <= length <= MAX_LENGTH:
        raise DataError(f"attribute num_samples: expected an episode of 1 to {MAX_LENGTH:,} steps, got {length:,}.")
    observations = {}
    for group, array in spec.observations.items():
        (size,), extra = array.shape, 1 if version == 1 and group == PHYSICAL_STATE else 0
        rows = _observed(episode, group, (length, size + extra), array.dtype, version)
        observations[group] = rows[:, :size]
    images = member(node, f"obs/{PIXELS}")
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
        success_step=_attribute(node, "success_step"),
        seed=read_seed(node),
    )
    if episode.sealed:
        _read(episode, "dones", (length,), "int64")
    top = len(spec.stages) - 1
    if trajectory.stages.min() < 0 or trajectory.stages.max() > top:
        raise DataError(f"stages: expected numbers from 0 to {top}.")
    if spec.body != ROBOT_BODY and (trajectory.stages[trajectory.success_step :] != top).any():
        raise DataError(f"success_step: the stages do not stay at the top from step {trajectory.success_step} on.")
    return trajectory


def _read_parameters(episode: _Episode, spec: DemonstrationSpec) -> Parameters:
    """The recorded draw, with the task's parameters checked one by one."""
    group = member(episode.group, "world")
    if not isinstance(group, h5py.Group):
        raise DataError("world: the group is missing.")
    shapes = {parameter.name: parameter.nominal.shape for parameter in spec.parameters}
    parameters = {name: _read(episode, f"world/{name}", shape, "float64") for name, shape in shapes.items()}
    extra = {name: np.zeros(()) for name in member_names(group) if name not in parameters}
    try:
        check_parameters(spec.parameters, {**parameters, **extra})
        check_ranges(spec.parameters, parameters)
    except DataError as error:
        raise DataError(f"world: {error}") from error
    return parameters


def _read_actors(episode: _Episode, length: int) -> np.ndarray | None:
    """Who acted, if it is known."""
    if member(episode.group, "acted_by") is None:
        return None
    values = _read(episode, "acted_by", (length,), "int64")
    if values.min() < 0 or values.max() >= len(ACTORS):
        raise DataError(f"acted_by: expected numbers from 0 to {len(ACTORS) - 1}.")
    return values


def _observed(episode: _Episode, group: str, shape: tuple[int, ...], dtype: str, version: int) -> np.ndarray:
    """A group before the first action and after each, [T+1, ...]."""
    if version < NEXT_VERSION:
        return _with_final(episode, f"obs/{group}", f"final_obs/{group}", shape, dtype)
    rows = _read(episode, f"obs/{group}", shape, dtype)
    return np.concatenate([rows, _read(episode, f"next_obs/{group}", shape, dtype)[-1:]])


def _with_final(episode: _Episode, rows: str, final: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """T rows and the one that the last action led to, [T+1, ...]."""
    return np.concatenate([_read(episode, rows, shape, dtype), _read(episode, final, shape[1:], dtype)[None]])


@dataclasses.dataclass(frozen=True)
class _Episode:
    """The group of an episode that is being read."""

    group: h5py.Group
    budget: Budget
    sealed: bool
    """Whether its datasets must have checksums."""


def _read(episode: _Episode, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A dataset of that shape and type of number, finite and as it was written."""
    dataset = member(episode.group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{name}: the field is missing.")
    if dataset.shape != shape:
        raise DataError(f"{name}: expected shape {shape}, got {dataset.shape}.")
    if dataset.dtype != np.dtype(dtype):
        raise DataError(f"{name}: expected numbers of type {dtype}, got {dataset.dtype}.")
    episode.budget.spend(dataset)
    try:
        values = dataset[()]
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read, its bytes are damaged ({error}).") from error
    check_seal(dataset, values, name, required=episode.sealed)
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds a number that is not finite.")
    return values


def read_seed(episode: h5py.Group) -> tuple[int, ...]:
    """The seed of an episode; empty if none is known."""
    seed = attribute(episode, "seed")
    if seed is None:
        return ()
    if np.asarray(seed).dtype.kind not in "iu":
        raise DataError("attribute seed: expected whole numbers.")
    return tuple(int(part) for part in np.atleast_1d(seed))


def _attribute(episode: h5py.Group, name: str) -> int:
    """A whole number among an episode's attributes."""
    value = attribute(episode, name)
    if not isinstance(value, int | np.integer) or value < 0:
        raise DataError(f"attribute {name}: expected a whole number of at least 0, got {str(value)[:50]}.")
    return int(value)
