"""A video of recorded episodes that are replayed, one after the other."""

from __future__ import annotations

import contextlib
import pathlib
from types import TracebackType
from typing import Self

from handful.simulation.rendering.camera import Camera
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment
from handful.viewing.sheet import VIEW_SIZE
from handful.viewing.video import Cell, EpisodeGridVideo, Outcome

IMAGE_SIZE = 64
"""Height and width of the small picture in the corner, as a policy sees it [px]."""


class ReplayFilm:
    """Adds every state that it is shown to a video; the file appears when the ``with`` block ends well."""

    def __init__(self, path: pathlib.Path) -> None:
        """Prepare a video at a path in ``.mp4``; another name is refused by a `ConfigurationError`."""
        self._path = path
        self._video = EpisodeGridVideo(path, num_rows=1, num_columns=1, frame_rate=20)
        self._open = contextlib.ExitStack()
        self._cameras: tuple[Camera, Camera] | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        self._video.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the file, or remove it after an exception."""
        self._open.close()
        self._video.__exit__(kind, error, traceback)

    def add(self, name: str, environment: TaskEnvironment) -> None:
        """Add the present state of the first simulation, of the episode of that name."""
        if self._cameras is None:
            view = make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE, num_threads=1)
            small = make_camera(None, environment.physics, width=IMAGE_SIZE, height=IMAGE_SIZE, num_threads=1)
            self._cameras = view, small
            self._open.callback(view.close)
            self._open.callback(small.close)
        view, small = self._cameras
        stage = int(environment.task.stage(environment.snapshot)[0])
        solved = stage == len(environment.task.stages) - 1
        cell = Cell(
            view=environment.render(view)[0],
            pixels=environment.render(small)[0],
            episode=int(name.removeprefix("demo_") or 0),
            stage=environment.task.stages[stage],
            outcome=Outcome.SUCCESS if solved else Outcome.RUNNING,
        )
        self._video.add_frame([cell])
