"""What an environment needs of a camera, and the renderers to choose from. None of them needs OpenGL or a display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from handful.errors import unknown_name
from handful.simulation import scene

if TYPE_CHECKING:
    from handful.simulation.physics import Physics

RENDERERS = ("rasterizer", "raycaster")
"""The CPU's rasteriser, and `mujoco_warp`'s ray caster, to whose picture tests hold the rasteriser."""


class Camera(Protocol):
    """Draws images of the simulations of a batch."""

    width: int
    height: int

    def render(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3]."""
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


def make_camera(
    renderer: str,
    physics: Physics,
    *,
    camera: str = scene.CAMERA,
    width: int = 64,
    height: int = 64,
    num_threads: int | None = None,
) -> Camera:
    """One camera of the model, drawn by the renderer of that name; see `RENDERERS`.

    Args:
        renderer: Who draws.
        physics: The simulations to look at.
        camera: Name of the model's camera; to look through several, make several.
        width: Image width [px].
        height: Image height [px].
        num_threads: Threads that draw; None takes every core.

    Raises:
        ConfigurationError: no renderer or no camera of the model has that name.
    """
    names = [physics.model.camera(i).name for i in range(physics.model.ncam)]
    if camera not in names:
        raise unknown_name("camera", camera, names)
    if renderer == "rasterizer":
        from handful.simulation.rasterizer import Rasterizer

        return Rasterizer(physics, camera=camera, width=width, height=height, num_threads=num_threads)
    if renderer == "raycaster":
        from handful.simulation.raycaster import RayCaster

        return RayCaster(physics, camera=camera, width=width, height=height, num_threads=num_threads)
    raise unknown_name("renderer", renderer, RENDERERS)
