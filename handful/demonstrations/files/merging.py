"""Demonstration files put together, and divided into episodes to learn from and episodes to test on."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterable, Sequence

import h5py
import numpy as np

from handful.demonstrations.dataset import write_episode, write_masks
from handful.demonstrations.episode_reading import NEXT_VERSION
from handful.demonstrations.files.reading import OpenFile, opened
from handful.demonstrations.header import describe_environment, write_header
from handful.errors import ConfigurationError, DataError, StorageError
from handful.storage import reason, written_when_complete
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import Trajectory


def write_file(path: pathlib.Path, attributes: dict[str, object], episodes: Iterable[Trajectory]) -> int:
    """Write a whole demonstration file, or none; returns how many episodes it holds.

    ``attributes`` are those of `describe_environment`.

    Raises:
        DataError: there are no episodes.
        StorageError: the disk refused; an earlier file is as it was.
    """
    try:
        with written_when_complete(path) as draft:
            with h5py.File(draft, "w") as file:
                data = file.create_group("data")
                write_header(data, attributes)
                count = 0
                for count, trajectory in enumerate(episodes, start=1):
                    write_episode(data, f"demo_{count - 1}", trajectory)
                write_masks(file)
            if count == 0:
                raise DataError(f"there is no episode to write to {path}.")
    except RuntimeError as error:  # h5py raises it where HDF5 fails to close a file
        raise StorageError(f"cannot write {path}: {error}.") from error
    return count


def merge(output: pathlib.Path, sources: Sequence[pathlib.Path], *, overwrite: bool = False) -> tuple[int, int]:
    """Write the episodes of several files to one; returns how many there are, and how many were there twice.

    Episodes that begin in the same state and take the same course are kept once. The files must be of one task, recorded
    alike: level of randomisation, camera rate, body, and with actions or without.

    Raises:
        ConfigurationError: no such file, the output is there already, or the files do not fit together.
        DataError: a file cannot be read.
        StorageError: the disk refused.
    """
    if len(sources) < 2:
        raise ConfigurationError(f"expected at least two files to merge, got {len(sources)}.")
    check_free(output, overwrite=overwrite)
    attributes: dict[str, object] = {}
    first: OpenFile | None = None
    for source in sources:
        with opened(source) as file:
            if first is None:
                first, attributes = file, attributes_of(file)
            _check_alike(first, file)
    twice = 0

    def episodes() -> Iterable[Trajectory]:
        nonlocal twice
        seen = set()
        for source in sources:
            with opened(source) as file:
                for _, trajectory in file.episodes():
                    key = trajectory.states.tobytes()
                    if key in seen:
                        twice += 1
                        continue
                    seen.add(key)
                    yield trajectory

    count = write_file(output, attributes, episodes())
    return count, twice


def split(
    source: pathlib.Path, train: pathlib.Path, valid: pathlib.Path, *, share: float, seed: int, overwrite: bool = False
) -> tuple[list[str], list[str]]:
    """Write a ``share`` of a file's episodes, drawn by ``seed``, to ``valid`` and the others to ``train``.

    Returns the names, in the source, of the episodes in each.
    """
    for path in (train, valid):
        check_free(path, overwrite=overwrite)
        if path.resolve() == source.resolve():
            raise ConfigurationError(f"expected other files to write than {source} itself.")
    with opened(source) as file:
        attributes, chosen = attributes_of(file), draw_valid(file.names, share=share, seed=seed)
        parts = [[name for name in file.names if (name in chosen) == wanted] for wanted in (False, True)]
        for path, names in zip((train, valid), parts, strict=True):
            write_file(path, attributes, (file.read(name) for name in names))
    return parts[0], parts[1]


def mark_valid(source: pathlib.Path, *, share: float, seed: int) -> tuple[list[str], list[str]]:
    """The same by the masks of the file itself, as robomimic's filter keys ``train`` and ``valid``."""
    with opened(source) as file:
        if file.version < NEXT_VERSION:
            raise DataError(f"{source} is of an older version: bring it to this one by 'handful dataset convert'.")
        names, chosen = file.names, draw_valid(file.names, share=share, seed=seed)
    try:
        with written_when_complete(source) as draft:
            shutil.copyfile(source, draft)
            with h5py.File(draft, "a") as copy:
                write_masks(copy, valid=chosen)
    except OSError as error:
        raise StorageError(f"cannot write {source}: {reason(error)}.") from error
    return [name for name in names if name not in chosen], [name for name in names if name in chosen]


def draw_valid(names: Sequence[str], *, share: float, seed: int) -> frozenset[str]:
    """Which episodes to test on: a share of them, at least one, and never all."""
    if not 0.0 < share < 1.0:
        raise ConfigurationError(f"expected a share of episodes to test on between 0 and 1, got {share}.")
    if len(names) < 2:
        raise ConfigurationError("expected at least two episodes to split, got one.")
    count = min(len(names) - 1, max(1, round(share * len(names))))
    drawn = np.random.default_rng(seed).choice(len(names), count, replace=False)
    return frozenset(names[int(i)] for i in drawn)


def check_free(path: pathlib.Path, *, overwrite: bool) -> None:
    """Refuse to write where something is already, or to a name that no HDF5 file has."""
    if path.suffix not in (".hdf5", ".h5"):
        raise ConfigurationError(f"expected the name of a demonstration file to end in .hdf5, got {path}.")
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder: expected the name of a file to write.")
    if path.exists() and not overwrite:
        raise ConfigurationError(f"'{path}' is there already: name another file, or give --overwrite.")


def attributes_of(file: OpenFile) -> dict[str, object]:
    """Attributes of a new file of episodes from this one."""
    settings = {"pixels": False} if file.camera_hz is None else {"camera_hz": int(file.camera_hz)}
    environment = TaskEnvironment(
        file.spec.task,
        num_envs=1,
        randomization=file.level,
        num_threads=1,
        **settings,  # type: ignore[arg-type]
    )
    try:
        return describe_environment(environment, file.seed, body=file.body)
    finally:
        environment.close()


def _check_alike(first: OpenFile, other: OpenFile) -> None:
    """Refuse files that do not fit together."""
    compared = {
        "the task": (first.spec.task, other.spec.task),
        "randomization": (first.level, other.level),
        "camera_hz": (first.camera_hz, other.camera_hz),
        "the body": (first.body, other.body),
        "actions": ("some" if first.actions else "none", "some" if other.actions else "none"),
    }
    for what, (one, another) in compared.items():
        if one != another:
            raise ConfigurationError(
                f"cannot merge {first.path} and {other.path}, which differ in {what}: {one} and {another}."
            )
