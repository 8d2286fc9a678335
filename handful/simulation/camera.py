"""What an environment needs of a camera, and the renderers to choose from. None of them needs OpenGL or a display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from handful.errors import unknown_name

if TYPE_CHECKING:
    from handful.simulation.cpu import BatchPhysics

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
    renderer: str, physics: BatchPhysics, *, width: int = 64, height: int = 64, num_threads: int | None = None
) -> Camera:
    """A camera of the renderer of that name; see `RENDERERS`. Sizes in pixels; no count of threads takes every core.

    Raises:
        ConfigurationError: no renderer has that name.
    """
    if renderer == "rasterizer":
        from handful.simulation.rasterizer import Rasterizer

        return Rasterizer(physics, width=width, height=height, num_threads=num_threads)
    if renderer == "raycaster":
        from handful.simulation.raycaster import RayCaster

        return RayCaster(physics, width=width, height=height, num_threads=num_threads)
    raise unknown_name("renderer", renderer, RENDERERS)
