"""Images of random simulations, and how far two images of one simulation differ."""

from __future__ import annotations

import numpy as np

from handful.environment import on_host
from handful.simulation.rendering.camera import Camera, empty_images
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment


def random_simulations(task: str, num_envs: int, **options) -> TaskEnvironment:
    """Simulations of a task at full randomisation, 25 random steps after their start."""
    environment = TaskEnvironment(task, num_envs=num_envs, randomization="full", pixels=False, seed=3, **options)
    environment.reset()
    generator = np.random.default_rng(0)
    for _ in range(25):
        environment.step(generator.uniform(-1, 1, (num_envs, 9)))
    return environment


def images_by(camera: Camera) -> np.ndarray:
    """An image of every simulation; the camera is closed."""
    images = empty_images(camera)
    camera.render(np.arange(camera.num_envs), images)
    camera.close()
    return on_host(images)


def images_of(physics, renderer: str, width: int = 64, height: int = 64, **options) -> np.ndarray:
    """An image of every simulation by one renderer."""
    return images_by(make_camera(renderer, physics, width=width, height=height, **options))


def differences(cast: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest difference of a channel in grey levels, and whether an edge is near, both [env, height, width].

    A pixel is at an edge if it differs by more than 8 levels from one of its eight neighbours in the image that was cast.
    """
    cast, drawn = cast.astype(int), drawn.astype(int)
    around = np.pad(cast, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = cast.shape[1:3]
    shifted = [around[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    edge = np.max([np.abs(image - cast).max(axis=-1) for image in shifted], axis=0) > 8
    return np.abs(drawn - cast).max(axis=-1), edge
