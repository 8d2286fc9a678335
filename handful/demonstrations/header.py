"""What a demonstration file says of itself: its format, the environment of its episodes, and who can be in them."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import h5py
import msgspec
import numpy as np

from handful.demonstrations.episode_reading import NEXT_VERSION, SEALED_VERSION
from handful.demonstrations.sealed import attribute, check_attributes, member, member_names, seal_attributes
from handful.demonstrations.sealed import text as text_of
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PIXELS
from handful.errors import ConfigurationError, DataError
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.tasks.gym_registration import gymnasium_id
from handful.trajectory import OWN_BODY

FORMAT_VERSION = 4
"""Version of what is written. Read as well are version 3, which has no ``next_obs`` and no masks, version 2, which has no
checksums either, and version 1, in which ``physical_state`` ended with the time left."""

_HEADER = ("env_args", "format_version", "model_signature", "stages")
"""Attributes under a checksum."""

GYM_TYPE = 2
"""robomimic's number for an environment made by gymnasium."""


_ON_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError, SystemError)
"""What h5py raises on damage."""


class _Recorded(msgspec.Struct):
    """What is known of the environment in which demonstrations were recorded."""

    randomization: Literal["none", "task", "full"] | None = None
    camera_hz: Annotated[int, msgspec.Meta(ge=1, le=CONTROL_HZ)] | None = None
    seed: int | None = None


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
    except _ON_DAMAGE as error:
        problem = f"it is truncated, damaged or something else ({error})"
        raise DataError(f"{path} is not a whole HDF5 file: {problem}.") from error


def read_environment(data: h5py.Group, path: pathlib.Path) -> dict[str, Any]:
    """What a file says of its version, ``task``, ``env_kwargs`` and ``body``, without a look at the task itself.

    Raises:
        DataError: it is of another format.
    """
    version = attribute(data, "format_version")
    if version is None and "env_args" in data.attrs:
        raise DataError(
            f"{path} was not written by handful: it has no attribute format_version. If it is a robomimic file whose "
            "states are of a task of handful, 'handful dataset convert' reads it."
        )
    if not isinstance(version, int | np.integer) or not 1 <= version <= FORMAT_VERSION:
        raise DataError(f"{path}, attribute format_version: expected {FORMAT_VERSION}, got {str(version)[:50]}.")
    try:
        check_attributes(data, _HEADER, required=bool(version >= SEALED_VERSION))
        header = json.loads(text_of(attribute(data, "env_args")))
        task = str(header["env_name"])
        msgspec.convert(header["env_kwargs"], _Recorded)
        header["task"] = text_of(attribute(data, "task")) if version >= NEXT_VERSION else task
        header["version"] = int(version)
        header["body"] = text_of(attribute(data, "body") or OWN_BODY)
    except DataError as error:
        raise DataError(f"{path}, {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"expected JSON with env_name and env_kwargs ({str(error)[:100]})"
        raise DataError(f"{path}, attribute env_args: {problem}.") from error
    return header


def read_header(data: h5py.Group, path: pathlib.Path, spec: DemonstrationSpec) -> dict[str, Any]:
    """The description of a file; refuses one of another format, task or model version by a `DataError`."""
    header = read_environment(data, path)
    if header["task"] != spec.task:
        raise DataError(f"{path} holds demonstrations of the task '{header['task']}', not of '{spec.task}'.")
    signature = text_of(attribute(data, "model_signature") or "none")[:80]
    if signature != spec.signature:
        raise DataError(
            f"{path}, attribute model_signature: recorded with another version of the model "
            f"({signature}, this is {spec.signature}), whose states do not fit: record them again."
        )
    return header


def describe_environment(environment: TaskEnvironment, seed: int, *, body: str = OWN_BODY) -> dict[str, Any]:
    """Attributes of the group ``data`` for demonstrations recorded in that environment.

    ``env_args`` name a Gymnasium id: ``gymnasium.make(env_name, **env_kwargs)`` builds the environment, after ``import
    handful``. Texts have a fixed length: HDF5 keeps others in a heap which, when damaged, can hang its reader (seen with
    2.0).
    """
    kwargs: dict[str, Any] = {"observation": "state", "randomization": environment.level.name.lower(), "seed": seed}
    if PIXELS in environment.spec.observations:
        kwargs |= {"observation": "all", "camera_hz": CONTROL_HZ // environment.spec.camera_period}
    env_args = {"env_name": gymnasium_id(environment.task.name), "type": GYM_TYPE, "env_kwargs": kwargs}
    return {
        "env_args": np.bytes_(json.dumps(env_args)),
        "format_version": FORMAT_VERSION,
        "task": np.bytes_(environment.task.name),
        "model_signature": np.bytes_(DemonstrationSpec.of(environment).signature),
        "stages": np.bytes_(json.dumps(environment.task.stages)),
        "body": np.bytes_(body),
    }


def write_header(data: h5py.Group, attributes: dict[str, Any]) -> None:
    """Write what `describe_environment` says, to the group ``data`` of a file without episodes."""
    data.attrs.update({**attributes, "total": 0})
    seal_attributes(data, _HEADER)


def episode_names(data: h5py.Group) -> list[str]:
    """Names of the episodes in the order of their numbers."""
    return sorted((name for name in member_names(data) if name.startswith("demo_")), key=episode_number)


def episode_number(name: str) -> int:
    """Number of an episode by its name; what has none comes last."""
    digits = name.removeprefix("demo_")
    return int(digits) if digits.isdecimal() and len(digits) < 18 else 1 << 62


def task_of(path: str | pathlib.Path) -> str:
    """Name of the task that a file's demonstrations are of; a `DataError` says what is wrong with the file."""
    path = pathlib.Path(path)
    with open_demonstrations(path) as data:
        return str(read_environment(data, path)["task"])
