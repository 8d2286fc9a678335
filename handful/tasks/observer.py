"""What is observed of a task: vectors at every step, and images at the camera's rate."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from handful.environment import (
    OBJECT_FEATURES,
    OBJECT_POSITIONS,
    PHYSICAL_STATE,
    PIXELS,
    PROPRIOCEPTION,
    TIME_LEFT,
    TOOL_STATE,
    ArraySpec,
    Images,
    Observation,
    on_host,
)
from handful.errors import ConfigurationError
from handful.profiling import span
from handful.simulation.observable import Observable, entry_names, observe
from handful.simulation.observation import arm_sensors, arm_state, seen_from_tool
from handful.simulation.rendering.camera import Camera, empty_images, images_of
from handful.simulation.snapshot import Snapshot
from handful.tasks.episodes import EpisodeCounters
from handful.tasks.task import Task


class Observer:
    """Computes the observation groups of all simulations; without a camera, there is no group ``pixels``.

    Attributes:
        camera: The camera, if there is one.
        pixels: The last image of each simulation, uint8 [env, height, width, 3]; black before the first.
        latest: The last observation; None before the first.
    """

    latest: Observation | None = None

    def __init__(
        self,
        task: Task,
        episodes: EpisodeCounters,
        camera: Camera | None,
        *,
        image_size: int,
        camera_period: int,
        tool_state: bool = False,
    ) -> None:
        self.camera = camera
        self._episodes = episodes
        self._camera_period = camera_period
        self._observables = {
            PROPRIOCEPTION: arm_sensors(task.arm),
            PHYSICAL_STATE: (*arm_state(task.arm), *task.object_state),
            TIME_LEFT: (Observable.scalar("time_left", lambda snapshot: episodes.time_left),),
            OBJECT_FEATURES: task.object_features,
            OBJECT_POSITIONS: task.object_positions,
        }
        if tool_state:
            self._observables[TOOL_STATE] = seen_from_tool(task.object_state)
        self.load_pixels(np.zeros((len(episodes.length), image_size, image_size, 3), np.uint8))

    def specs(self) -> dict[str, ArraySpec]:
        """The groups, and the names of their entries."""
        names = {group: entry_names(observables) for group, observables in self._observables.items()}
        specs = {group: ArraySpec((len(entries),), "float32", entries) for group, entries in names.items()}
        return specs if self.camera is None else {PIXELS: ArraySpec(self.pixels.shape[1:], "uint8"), **specs}

    def observe(self, snapshot: Snapshot) -> Observation:
        """All groups, now; ``pixels`` are the last images."""
        self.latest = self._compute(snapshot)
        return Observation(self.latest)

    def final_observation(self, snapshot: Snapshot, diverged: np.ndarray) -> Observation:
        """The observation before ended episodes begin anew; where the physics diverged, the one before that."""
        assert self.latest is not None
        now = self._compute(snapshot)
        for group, values in now.items():
            if diverged.any() and group != PIXELS:
                values[diverged] = self.latest[group][diverged]
        return now

    def take_images(self) -> np.ndarray:
        """Take new images where the camera is due to, and return where that is, bool [env]."""
        due = self._episodes.length % self._camera_period == 0
        if self.camera is not None and due.any():
            with span("camera"):
                images = empty_images(self.camera)  # the last ones belong to the caller now
                if not due.all():
                    images[:] = cast("Any", self.pixels)  # both are arrays or both tensors
                self.camera.render(np.flatnonzero(due), images)
                self.pixels = images
        return due

    def render(self, camera: Camera | None) -> np.ndarray:
        """See `handful.tasks.environment.TaskEnvironment.render`."""
        camera = camera or self.camera
        if camera is None:
            raise ConfigurationError("this environment has no camera: it was built with pixels=False.")
        images = empty_images(camera)
        camera.render(np.arange(camera.num_envs), images)
        return on_host(images)

    def load_pixels(self, pixels: np.ndarray) -> None:
        """Resume with these images."""
        self.pixels: Images = pixels.copy() if self.camera is None else images_of(self.camera, pixels)

    def _compute(self, snapshot: Snapshot) -> Observation:
        vectors: dict[str, Any] = {
            group: observe(observables, snapshot).astype(np.float32) for group, observables in self._observables.items()
        }
        return Observation(vectors if self.camera is None else {PIXELS: self.pixels, **vectors})
