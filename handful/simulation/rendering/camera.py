"""The interface of a camera, which draws images of N simulations. No camera needs OpenGL or a display."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from handful.environment import Images
from handful.errors import ConfigurationError


class Camera(Protocol):
    """Draws images of N simulations."""

    width: int
    """Image width [px]."""
    height: int
    """Image height [px]."""
    num_envs: int
    """Number of simulations."""

    @property
    def device(self) -> str | None:
        """Torch's name of the device on which it draws into torch tensors; None if it draws into NumPy arrays."""
        ...

    def render(self, ids: np.ndarray, out: Images) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``; the other rows stay as they are.

        Args:
            ids: The simulations.
            out: Images as `empty_images` makes them, uint8 [env, height, width, 3].

        Raises:
            ConfigurationError: ``out`` is of another type or size, on another device, or not contiguous.
        """
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


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


def checked_array(camera: Camera, out: Images) -> np.ndarray:
    """The argument ``out`` of `Camera.render`, for a camera that draws into arrays.

    Raises:
        ConfigurationError: it is no array, or one of another size or type, or not contiguous.
    """
    shape = (camera.num_envs, camera.height, camera.width, 3)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        got = f"{type(out).__name__} of {out.dtype} {tuple(out.shape)}"
        raise ConfigurationError(f"expected a contiguous uint8 array {shape}, got {got}.")
    return out
