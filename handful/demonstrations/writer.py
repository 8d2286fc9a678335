"""Adds episodes to a demonstration file so that a crash at any moment leaves a whole file."""

from __future__ import annotations

import json
import pathlib
import weakref
from collections.abc import Mapping

import h5py
import numpy as np

from handful.demonstrations.dataset import write_episode, write_masks
from handful.demonstrations.episode_reading import read_seed
from handful.demonstrations.header import (
    FORMAT_VERSION,
    describe_environment,
    episode_names,
    episode_number,
    open_demonstrations,
    read_header,
    write_header,
)
from handful.demonstrations.sealed import member
from handful.demonstrations.specification import DemonstrationSpec
from handful.errors import ConfigurationError, DataError, StorageError
from handful.storage import lock, reason, replaced_when_complete
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import OWN_BODY, Trajectory


class DemonstrationWriter:
    """A demonstration file that is whole after every episode.

    HDF5 keeps no journal: a process that dies while it writes can leave a file that does not open. So each episode is
    added to a copy in memory, written beside the file, flushed to the disk, and put in the file's place in one step; the
    file that a reader sees always holds every episode finished so far. Thirty episodes are a few megabytes: copying them is
    cheap. No other process can write the file meanwhile.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        environment: TaskEnvironment,
        *,
        seed: int = 0,
        overwrite: bool = False,
        append: bool = False,
        body: str = OWN_BODY,
    ) -> None:
        """Prepare to write; the file appears, or is replaced, with the first episode.

        An existing file is replaced (``overwrite``) or extended (``append``). The seed of the recording is kept in the file.
        ``body`` is whose body will be in the episodes.

        Raises:
            ConfigurationError: the file exists and neither option is given, or it was recorded with other options.
            DataError: the file to extend is of another task or another model, or damaged.
            ConfigurationError: another process writes the file.
            StorageError: the folder cannot be made.
        """
        self.path = pathlib.Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder '{self.path.parent}': {reason(error)}.") from error
        self.close = weakref.finalize(self, lock(self.path.with_name(f".{self.path.name}.lock"), what=f"'{self.path}'"))
        """Let other processes write the file."""
        self._attributes = describe_environment(environment, seed, body=body)
        self.seeds: list[tuple[int, ...]] = []
        """Seeds of the episodes in the file."""
        self._next_number = 0
        if self.path.exists():
            if append:
                self._read_existing(environment)
            elif not overwrite:
                raise ConfigurationError(f"'{self.path}' is there already: choose to append to it or to overwrite it.")

    def __len__(self) -> int:
        """Number of episodes in the file."""
        return len(self.seeds)

    def append(self, trajectory: Trajectory, *, beside: Mapping[str, np.ndarray] | None = None) -> None:
        """Add one episode; when this returns it is safe. Arrays ``beside`` it are kept in its group, under their names.

        Raises:
            StorageError: the disk refused; the file is as it was before.
        """
        try:
            # In memory: HDF5 can end the process where the disk is full (a segmentation fault was seen with 2.0).
            with h5py.File.in_memory(self.path.read_bytes() if self.seeds else None) as file:
                data = file.require_group("data")
                if "total" not in data.attrs:
                    write_header(data, self._attributes)
                write_episode(data, f"demo_{self._next_number}", trajectory, beside=beside or {})
                write_masks(file)
                file.flush()
                image = file.id.get_file_image()
            with replaced_when_complete(self.path) as draft:
                draft.write_bytes(image)
        except OSError as error:
            raise StorageError(
                f"cannot write '{self.path}', which holds {len(self)} episodes: {reason(error)}."
            ) from error
        self.seeds.append(trajectory.seed)
        self._next_number += 1

    def _read_existing(self, environment: TaskEnvironment) -> None:
        """Take over an existing file after checking that it was recorded the same way."""
        with open_demonstrations(self.path) as data:
            header = read_header(data, self.path, DemonstrationSpec.of(environment))
            recorded, names = header["env_kwargs"], episode_names(data)
            seeds = [read_seed(episode) for name in names if isinstance(episode := member(data, name), h5py.Group)]
        if header["version"] != FORMAT_VERSION:
            problem = "is of an older version, to which nothing can be added"
            raise DataError(f"'{self.path}' {problem}: record to another file.")
        ours = json.loads(self._attributes["env_args"])["env_kwargs"]
        for option in ("randomization", "camera_hz"):
            if recorded.get(option) != ours.get(option):
                raise ConfigurationError(
                    f"'{self.path}' was recorded with {option} {recorded.get(option)}, not {ours.get(option)}: "
                    "append with the same options, or record to another file."
                )
        self.seeds = seeds
        self._next_number = max((episode_number(name) + 1 for name in names), default=0)
