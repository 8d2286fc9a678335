"""The interface of a camera, which draws images of N simulations. No camera needs OpenGL or a display."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from handful.environment import Images
from handful.errors import ConfigurationError
from handful.simulation.physics.protocol import Physics
from handful.workers import Workers


class Camera(Protocol):
    """Draws images of N simulations."""

    width: int
    """Image width [px]."""
    height: int
    """Image height [px]."""
    num_envs: int
    """Number of simulations."""
    device: str | None
    """Torch's name of the device on which it draws into torch tensors; None if it draws into NumPy arrays."""

    def render(self, ids: np.ndarray, out: Images) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``; the other rows stay as they are.

        Raises:
            ConfigurationError: ``out`` is not as `empty_images` makes it, uint8 [env, height, width, 3]: it is of another
                type or size, on another device, or not contiguous.
        """

    def close(self) -> None:
        """Stop the threads."""


def empty_images(camera: Camera) -> Images:
    """Uninitialised images of the camera's type and on its device, uint8 [env, height, width, 3]."""
    shape = (camera.num_envs, camera.height, camera.width, 3)
    if camera.device is None:
        return np.empty(shape, np.uint8)
    import torch

    return torch.empty(shape, dtype=torch.uint8, device=camera.device)


def images_of(camera: Camera, array: np.ndarray) -> Images:
    """A copy of an array of images, of the camera's type and on its device."""
    if camera.device is None:
        return array.copy()
    import torch

    return torch.tensor(array, device=camera.device)


class HostCamera(Camera):
    """The part of a camera that draws into arrays, on threads, which does not depend on how it draws."""

    device = None

    def __init__(self, physics: Physics, *, width: int, height: int, num_threads: int) -> None:
        """Start the threads."""
        self.width, self.height = width, height
        self.num_envs = physics.num_envs
        self._physics = physics
        self._workers = Workers(num_threads)

    def close(self) -> None:
        """Stop the threads."""
        self._workers.close()

    def _checked(self, out: Images) -> np.ndarray:
        """The argument ``out`` of ``render``, if it can be drawn into."""
        shape = (self.num_envs, self.height, self.width, 3)
        if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            got = f"{type(out).__name__} of {out.dtype} {tuple(out.shape)}"
            raise ConfigurationError(f"expected a contiguous uint8 array {shape}, got {got}.")
        return out
