"""The folder of a run: its files, and the one that says what it is.

config.json               task, demonstrations, recipe and configuration, from the first moment on
budget.json               how long it is trained, if it is trained by `handful train`
demonstrations.hdf5       unless they are elsewhere
metrics.csv               a row for each iteration, and TensorBoard files with the same
episodes.csv              a row for each training episode: where it began and how it ended
evaluations.csv           a row for each evaluation, in a run of `handful reproduce`
checkpoint.safetensors    everything that is needed to resume
policy.safetensors        the policy
teacher.safetensors       the policy that it learns from, if there is one
failure/                  what led to a number that is not finite, if one came up
.lock                     while a process trains the run: its number
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from handful.config import from_json, to_json
from handful.errors import ConfigurationError, DataError, StorageError
from handful.runs.config import RunConfig
from handful.storage import exists, read_json, reason, write_atomically

CONFIG_FILE = "config.json"
CHECKPOINT_FILE = "checkpoint.safetensors"
POLICY_FILE = "policy.safetensors"
DEMONSTRATIONS_FILE = "demonstrations.hdf5"
METRICS_FILE = "metrics.csv"
EPISODES_FILE = "episodes.csv"
TEACHER_FILE = "teacher.safetensors"
FAILURE_FOLDER = "failure"
LOCK_FILE = ".lock"
WRITTEN_FILES = (CONFIG_FILE, CHECKPOINT_FILE, POLICY_FILE, METRICS_FILE, EPISODES_FILE, TEACHER_FILE, "budget.json")
"""Files that are written whole, beside their place."""

RUN_FORMAT = 2
"""Version of ``config.json``; runs of another version are refused in a sentence."""


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """What ``config.json`` says."""

    task: str
    demonstrations: pathlib.Path
    recipe: str
    """Name of the recipe that the configuration began as."""
    config: RunConfig


def write_description(folder: pathlib.Path, description: RunDescription) -> None:
    """Make the folder of a run, with the file that says what it is; see `write_config`."""
    own = {"config": to_json(description.config)}
    write_config(
        folder, task=description.task, demonstrations=description.demonstrations, recipe=description.recipe, own=own
    )


def make_folder(folder: pathlib.Path) -> None:
    """Make the folder of a run; a `StorageError` says why that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else reason(error)
        raise StorageError(f"cannot make the folder {folder} of the run: {why}.") from error


def write_config(
    folder: pathlib.Path, *, task: str, demonstrations: pathlib.Path, recipe: str, own: dict[str, Any]
) -> None:
    """Make a folder with a ``config.json`` that says what every run says, and what is its ``own``.

    Demonstrations inside the folder are named relative to it, so that it can be moved; others by their absolute path, so
    that the run can be resumed from anywhere.
    """
    make_folder(folder)
    where = demonstrations.absolute()
    if where.is_relative_to(folder.absolute()):
        where = where.relative_to(folder.absolute())
    values = {
        "format": RUN_FORMAT,
        "task": task,
        "demonstrations": str(where),
        "recipe": recipe,
        **own,
    }
    # JSON has no infinity; Python's reader and writer agree on one.
    write_atomically(folder / CONFIG_FILE, (json.dumps(values, indent=2) + "\n").encode())


def read_description(folder: pathlib.Path) -> RunDescription:
    """What the run in a folder is; a `DataError` says that it holds none that can be resumed, or one of another version."""
    path = folder / CONFIG_FILE
    if not exists(path):
        raise DataError(f"{folder} holds no run to resume: {CONFIG_FILE} is missing.")
    try:
        values: dict[str, Any] = read_json(path)
        found = values.get("format", 1)
        if found != RUN_FORMAT:
            raise DataError(f"it is of version {str(found)[:50]}, and this program reads version {RUN_FORMAT}")
        return RunDescription(
            task=text_entry(values, "task"),
            demonstrations=folder / text_entry(values, "demonstrations"),
            recipe=text_entry(values, "recipe"),
            config=from_json(RunConfig, values["config"]),
        )
    except KeyError as error:
        raise DataError(f"{path} lacks the entry {error}.") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, DataError) as error:
        problem = str(error).rstrip(".")[:500]
        raise DataError(f"{path} cannot be read as a run's configuration: {problem}.") from error


def text_entry(values: dict[str, Any], name: str) -> str:
    """A short printable text of a configuration; a `DataError` says that the entry is none."""
    value = values[name]
    if not isinstance(value, str) or not 0 < len(value) <= 4096 or not value.isprintable():
        raise DataError(f"expected {name}, a text, got {str(value)[:50]}")
    return value


def check_new(folder: pathlib.Path) -> None:
    """Refuse a folder that holds a run already, by a `ConfigurationError`."""
    if exists(folder / CHECKPOINT_FILE):
        raise ConfigurationError(
            f"{folder} holds a run already: resume it by --resume {folder}, or name another folder by --run."
        )


def free_folder(task: str) -> pathlib.Path:
    """The first of runs/TASK-1, runs/TASK-2, ... that is free."""
    number = 1
    while (folder := pathlib.Path("runs") / f"{task}-{number}").exists():
        number += 1
    return folder
