"""What a demonstration file says of itself: its format, the environment of its episodes, and who can be in them."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PIXELS
from handful.errors import ConfigurationError, DataError
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.tasks.gym_registration import gymnasium_id
from handful.trajectory import OWN_BODY

FORMAT_VERSION = 3
"""Version of what is written. Version 1, in which ``physical_state`` ended with the time left, and version 2, which had no
``next_obs`` and no masks, are read as well."""

GYM_TYPE = 2
"""robomimic's number for an environment made by gymnasium."""


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


def read_environment(data: h5py.Group, path: pathlib.Path) -> dict[str, Any]:
    """What a file says of its version, ``task``, ``env_kwargs`` and ``body``, without a look at the task itself.

    Raises:
        DataError: it is of another format.
    """
    version = data.attrs.get("format_version")
    if version is None and "env_args" in data.attrs:
        raise DataError(
            f"{path} was not written by handful: it has no attribute format_version. If it is a robomimic file whose "
            "states are of a task of handful, 'handful dataset convert' reads it."
        )
    if not isinstance(version, int | np.integer) or not 1 <= version <= FORMAT_VERSION:
        raise DataError(f"{path}, attribute format_version: expected {FORMAT_VERSION}, got {version}.")
    try:
        header = json.loads(text_of(data.attrs["env_args"]))
        task, header["env_kwargs"] = header["env_name"], dict(header["env_kwargs"])
        header["task"] = text_of(data.attrs["task"]) if version >= 3 else task
        header["version"] = int(version)
        header["body"] = text_of(data.attrs.get("body", OWN_BODY))
    except (KeyError, TypeError, ValueError) as error:
        problem = f"expected JSON with env_name and env_kwargs ({error!r})"
        raise DataError(f"{path}, attribute env_args: {problem}.") from error
    return header


def read_header(data: h5py.Group, path: pathlib.Path, spec: DemonstrationSpec) -> dict[str, Any]:
    """The description of a file; refuses one of another format, task or model version by a `DataError`."""
    header = read_environment(data, path)
    if header["task"] != spec.task:
        raise DataError(f"{path} holds demonstrations of the task '{header['task']}', not of '{spec.task}'.")
    signature = text_of(data.attrs.get("model_signature", "none"))
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


def text_of(value: object) -> str:
    """A text attribute, whether it is stored with a fixed length or not."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def episode_names(data: h5py.Group) -> list[str]:
    """Names of the episodes in the order of their numbers."""
    return sorted((name for name in map(str, data) if name.startswith("demo_")), key=episode_number)


def episode_number(name: str) -> int:
    """Number of an episode by its name; what has none comes last."""
    digits = name.removeprefix("demo_")
    return int(digits) if digits.isdecimal() else 1 << 62


def task_of(path: str | pathlib.Path) -> str:
    """Name of the task that a file's demonstrations are of; a `DataError` says what is wrong with the file."""
    path = pathlib.Path(path)
    with open_demonstrations(path) as data:
        return str(read_environment(data, path)["task"])
