"""Serves a page with recorded episodes: pictures drawn from the states, stages and actions as curves."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from handful.demonstrations.files.reading import OpenFile, opened
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import ACTORS, Trajectory
from handful.viewing.gate import LOOPBACK, BadMessage, Gate
from handful.viewing.operating.serving import static_files
from handful.viewing.page_server import PageServer, Visitor

PICTURE_SIZE = 400
"""Height and width of a picture [px]."""


def show_episodes(
    path: pathlib.Path,
    *,
    host: str = LOOPBACK,
    port: int = 8080,
    on_ready: Callable[[str], None] = print,
    on_warning: Callable[[str], None] = print,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Serve the page until ``stopped``.

    Raises:
        ConfigurationError: no such file or address.
        DataError: what is in the file cannot be read.
    """
    with opened(path) as file, contextlib.ExitStack() as stack:
        gate = stack.enter_context(contextlib.closing(Gate(host, port)))
        album = stack.enter_context(contextlib.closing(Album(file)))
        files = static_files("handful.viewing.episodes")
        server = PageServer(gate, files, check=_refuse, events=_Silent(), dynamic=album.find)
        stack.enter_context(contextlib.closing(server))
        if gate.warning:
            on_warning(gate.warning)
        on_ready(gate.url)
        while not stopped():
            time.sleep(0.1)


class Album:
    """The episodes of a file, as a page asks for them."""

    def __init__(self, file: OpenFile) -> None:
        """Read all episodes but their images."""
        self._file = file
        self._episodes: dict[str, Trajectory] = dict(file.episodes(pixels=False))
        self._environment = TaskEnvironment(file.spec.task, num_envs=1, pixels=False, num_threads=1)
        self._environment.reset()
        physics = self._environment.physics
        self._camera = make_camera(None, physics, width=PICTURE_SIZE, height=PICTURE_SIZE, num_threads=1)
        self._lock = threading.Lock()

    def find(self, path: str) -> tuple[str, bytes] | None:
        """What is at a path of the page: ``/episodes.json``, ``/demo_0.json`` or ``/demo_0/17.jpg``."""
        if path == "/episodes.json":
            return "application/json", json.dumps(self._overview()).encode()
        match = re.fullmatch(r"/(demo_\d{1,9})(?:\.json|/(\d{1,7})\.jpg)", path)
        trajectory = self._episodes.get(match[1]) if match else None
        if match is None or trajectory is None:
            return None
        if match[2] is None:
            return "application/json", json.dumps(self._described(trajectory)).encode()
        return ("image/jpeg", self._picture(trajectory, int(match[2]))) if int(match[2]) <= len(trajectory) else None

    def close(self) -> None:
        """Stop the camera's threads."""
        self._camera.close()

    def _overview(self) -> dict[str, Any]:
        spec = self._file.spec
        rows = [
            {"name": name, "steps": len(each), "success_step": each.success_step}
            for name, each in self._episodes.items()
        ]
        return {
            "file": self._file.path.name,
            "task": spec.task,
            "stages": spec.stages,
            "joints": spec.action.names,
            "timestep": spec.control_timestep,
            "actors": ACTORS,
            "episodes": rows,
        }

    def _described(self, trajectory: Trajectory) -> dict[str, Any]:
        def listed(values: np.ndarray | None) -> list[Any] | None:
            return None if values is None else values.round(4).tolist()

        return {
            "stages": trajectory.stages.tolist(),
            "actions": listed(trajectory.actions),
            "rewards": listed(trajectory.rewards),
            "acted_by": listed(trajectory.acted_by),
        }

    def _picture(self, trajectory: Trajectory, step: int) -> bytes:
        with self._lock:
            self._environment.restore(np.arange(1), [trajectory.parameters], trajectory.states[step : step + 1])
            image = self._environment.render(self._camera)[0].copy()
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=85)
        return buffer.getvalue()


def _refuse(message: str | bytes) -> str:
    raise BadMessage("expected no messages: this page only asks for files.")


class _Silent:
    """Takes no notice of visitors."""

    def opened(self, visitor: Visitor) -> None: ...

    def received(self, visitor: Visitor, message: str) -> None: ...

    def closed(self, visitor: Visitor) -> None: ...
