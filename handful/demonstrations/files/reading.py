"""Demonstration files read episode by episode, for tools that go through many of them."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

from handful.demonstrations.dataset import holds_actions
from handful.demonstrations.episode_reading import read_episode
from handful.demonstrations.header import episode_names, open_demonstrations, read_environment, read_header
from handful.demonstrations.sealed import Budget
from handful.demonstrations.specification import DemonstrationSpec
from handful.errors import DataError, unknown_name
from handful.tasks.registry import TASKS
from handful.trajectory import OWN_BODY, Trajectory


@dataclasses.dataclass(frozen=True)
class OpenFile:
    """A demonstration file while it is open."""

    path: pathlib.Path
    data: Any
    """The group ``data``, an `h5py.Group`."""
    spec: DemonstrationSpec
    """What its episodes must hold."""
    version: int
    """Version of its format."""
    level: str
    """Level of randomisation."""
    camera_hz: int | None
    """Rate of the camera [Hz]; None where there are no images."""
    seed: int
    """Seed of the recording."""
    body: str
    """Whose body is in it."""
    actions: bool
    """Whether there are actions."""

    @property
    def names(self) -> list[str]:
        """Names of the episodes, in their order."""
        return episode_names(self.data)

    def read(self, name: str, *, pixels: bool = True) -> Trajectory:
        """One episode; a `DataError` names file, episode and field."""
        try:
            return read_episode(
                self.data,
                name,
                self.spec,
                version=self.version,
                pixels=pixels,
                budget=Budget(),
                actions=self.actions,
            )
        except DataError as error:
            raise DataError(f"{self.path}, episode {name}, {error}") from error

    def episodes(self, *, pixels: bool = True) -> Iterator[tuple[str, Trajectory]]:
        """All episodes with their names."""
        for name in self.names:
            yield name, self.read(name, pixels=pixels)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[OpenFile]:
    """A demonstration file of whatever task, with its header checked.

    Raises:
        ConfigurationError: no such file.
        DataError: it cannot be read, or is of an unknown task or of another version of it.
    """
    with open_demonstrations(path) as data:
        task = read_environment(data, path)["task"]
        if task not in TASKS:
            raise DataError(f"{path}: {unknown_name('task', task, TASKS)}")
        spec = DemonstrationSpec.of_task(task)
        header = read_header(data, path, spec)
        if not episode_names(data):
            raise DataError(f"{path} holds no episode: expected at least demo_0 in its group 'data'.")
        kwargs, actions = header["env_kwargs"], holds_actions(data)
        if actions and header["body"] != OWN_BODY:
            raise DataError(f"{path} holds actions of the body '{header['body']}': expected none.")
        yield OpenFile(
            path=path,
            data=data,
            spec=spec.for_body(header["body"]),
            version=header["version"],
            level=str(kwargs.get("randomization", "task")),
            camera_hz=kwargs.get("camera_hz"),
            seed=int(kwargs.get("seed") or 0),
            body=header["body"],
            actions=actions,
        )
