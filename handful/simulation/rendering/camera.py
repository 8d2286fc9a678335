"""What an environment needs of a camera, and the renderers to choose from. None of them needs OpenGL or a display."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from handful.environment import Images
from handful.errors import ConfigurationError, unknown_name
from handful.simulation import scene
from handful.simulation.physics.protocol import DevicePhysics, Physics

RENDERERS = ("rasterizer", "raycaster", "raycaster-shadows")
"""The CPU's rasteriser; `mujoco_warp`'s ray caster, to whose picture tests hold the rasteriser; and the same with shadows,
which no other has. Where the physics is on a GPU, the ray caster is there too, and the only choice."""


class Camera(Protocol):
    """Draws images of the simulations of a batch."""

    width: int
    height: int
    num_envs: int

    @property
    def device(self) -> str | None:
        """Torch's name of the device on which it draws into torch tensors; None where it draws into NumPy arrays."""
        ...

    def render(self, ids: np.ndarray, out: Any) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3].

        The other rows are left as they are; ``out`` is an array or a tensor, as `empty_images` makes it.
        """
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


def empty_images(camera: Camera) -> Images:
    """An uninitialised image of every simulation where the camera draws, uint8 [env, height, width, 3]."""
    shape = (camera.num_envs, camera.height, camera.width, 3)
    if camera.device is None:
        return np.empty(shape, np.uint8)
    import torch

    return torch.empty(shape, dtype=torch.uint8, device=camera.device)


def images_of(camera: Camera, array: np.ndarray) -> Images:
    """A copy of an array of images where the camera draws."""
    if camera.device is None:
        return array.copy()
    import torch

    return torch.tensor(array, device=camera.device)


def check_renderer(renderer: str | None) -> None:
    """Refuse a renderer that does not exist; None, which leaves the choice open, is one that does.

    Raises:
        ConfigurationError: it does not; the message names those there are.
    """
    if renderer not in (None, *RENDERERS):
        raise unknown_name("renderer", str(renderer), RENDERERS)


def make_camera(
    renderer: str | None,
    physics: Physics,
    *,
    camera: str = scene.CAMERA,
    width: int = 64,
    height: int = 64,
    num_threads: int | None = None,
) -> Camera:
    """One camera of the model, drawn by the renderer of that name.

    Args:
        renderer: Who draws, one of `RENDERERS`; None takes the faster: on the CPU the rasteriser, on a GPU the ray caster.
        physics: The simulations to look at.
        camera: Name of the model's camera; to look through several, make several.
        width: Image width [px].
        height: Image height [px].
        num_threads: Threads that draw, if the physics is on the CPU; None takes every core.

    Raises:
        ConfigurationError: no renderer or no camera of the model has that name, or the renderer cannot draw this physics.
    """
    check_renderer(renderer)
    names = [physics.model.camera(i).name for i in range(physics.model.ncam)]
    if camera not in names:
        raise unknown_name("camera", camera, names)
    shadows = renderer == "raycaster-shadows"
    if isinstance(physics, DevicePhysics):
        if renderer == "rasterizer":
            raise ConfigurationError(
                f"the rasterizer draws on the CPU, and the physics is on {physics.device}: the choices there are: "
                "raycaster, raycaster-shadows."
            )
        from handful.simulation.rendering.device_raycaster import DeviceRayCaster

        return DeviceRayCaster(physics, camera=camera, width=width, height=height, shadows=shadows)
    if renderer in ("raycaster", "raycaster-shadows"):
        from handful.simulation.rendering.raycaster import RayCaster

        return RayCaster(physics, camera=camera, width=width, height=height, shadows=shadows, num_threads=num_threads)
    from handful.simulation.rendering.rasterizer import Rasterizer

    return Rasterizer(physics, camera=camera, width=width, height=height, num_threads=num_threads)
