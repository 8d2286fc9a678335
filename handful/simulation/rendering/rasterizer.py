"""Pictures of many worlds on the CPU; the same picture as the ray caster's, a hundred times sooner.

Every thread draws whole images, with buffers of its own: `surfaces` finds what each pixel sees, `lighting` lights it, and
`shapes` holds what there is to see.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import inspect
import os
from typing import TYPE_CHECKING

import mujoco
import numba
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.rendering import kernel, lighting, shapes, surfaces, triangles
from handful.simulation.rendering.kernel import JIT_OPTIONS
from handful.simulation.rendering.lighting import PAINT, STRIP, light_surfaces
from handful.simulation.rendering.shapes import Shapes, visible_shapes
from handful.simulation.rendering.surfaces import find_surfaces

if TYPE_CHECKING:
    from handful.simulation.physics.protocol import Physics

_WORLDS_PER_CHUNK = 4
"""Worlds that a thread takes at a time."""


def _compile_kernel():
    """The function that draws worlds, from Numba's cache if it can be.

    The cache looks for changes in this file and in what the function closes over: hence the text of the other files.
    """
    modules = (kernel, shapes, triangles, surfaces, lighting)
    sources = hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()

    @numba.njit(cache=True, **JIT_OPTIONS)
    def draw_worlds(ids, out, geoms, camera, lights, shapes, scratch):
        assert len(sources) == 64
        for world in ids:
            find_surfaces(world, geoms, camera, shapes, scratch)
            light_surfaces(world, out[world], geoms, camera, lights, shapes, scratch)

    return draw_worlds


_draw_worlds = _compile_kernel()


class Rasterizer:
    """Draws images of the simulations of a batch; see `raycaster.RayCaster` for the same by rays."""

    device: str | None = None

    def __init__(
        self,
        physics: Physics,
        *,
        camera: str = scene.CAMERA,
        width: int = 64,
        height: int = 64,
        num_threads: int | None = None,
    ) -> None:
        """Prepare the shapes; the first time on a machine, Numba compiles the kernels (some seconds, then cached).

        Args:
            physics: The simulations to look at.
            camera: Name of the model's camera that looks.
            width: Image width [px].
            height: Image height [px].
            num_threads: Threads that draw; None takes every core.

        Raises:
            ConfigurationError: the model has a light that is neither a point nor a directional light.
        """
        self.width, self.height = width, height
        self.num_envs = physics.num_envs
        self._physics = physics
        model = physics.model
        kinds = (mujoco.mjtLightType.mjLIGHT_POINT, mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        if not np.isin(model.light_type, [int(kind) for kind in kinds]).all():
            raise ConfigurationError("the rasteriser draws point and directional lights only.")
        self._shapes = visible_shapes(model)
        self._camera = model.camera(camera).id
        self._directional = model.light_type == int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        headlight = model.vis.headlight
        self._headlight = np.stack([headlight.ambient, headlight.diffuse]).astype(np.float32) * np.float32(
            headlight.active
        )
        self._fields = {
            name: physics.field(name) for name in ("geom_size", "geom_rgba", "mat_rgba", "light_diffuse", "cam_fovy")
        }
        num_threads = min(num_threads or os.cpu_count() or 1, physics.num_envs)
        self._scratch = [_Scratch(self._shapes, width, height) for _ in range(num_threads)]
        self._threads = concurrent.futures.ThreadPoolExecutor(num_threads) if num_threads > 1 else None

    def render(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3].

        Raises:
            ConfigurationError: ``out`` is of another size or type, or its pixels do not lie one after the other.
        """
        shape = (self._physics.num_envs, self.height, self.width, 3)
        if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ConfigurationError(f"expected a contiguous uint8 array {shape}, got {out.dtype} {out.shape}.")
        ids = np.asarray(ids, np.int64)
        num_threads = len(self._scratch)
        if self._threads is None or len(ids) <= _WORLDS_PER_CHUNK:
            self._draw(self._scratch[0], ids, out)
            return
        shares = [
            self._threads.submit(self._draw, scratch, ids[k::num_threads], out)
            for k, scratch in enumerate(self._scratch)
        ]
        for share in shares:
            share.result()

    def close(self) -> None:
        """Stop the threads."""
        if self._threads is not None:
            self._threads.shutdown()

    def _draw(self, scratch: _Scratch, ids: np.ndarray, out: np.ndarray) -> None:
        physics, fields = self._physics, self._fields
        _draw_worlds(
            ids,
            out,
            (physics.geom_xpos, physics.geom_xmat, fields["geom_size"], fields["geom_rgba"], fields["mat_rgba"]),
            (physics.cam_xpos[:, self._camera], physics.cam_xmat[:, self._camera], fields["cam_fovy"][:, self._camera]),
            (physics.light_xpos, physics.light_xdir, fields["light_diffuse"], self._directional, self._headlight),
            self._shapes.arrays(),
            scratch.arrays(),
        )


class _Scratch:
    """One thread's buffers: 160 KB for 64 x 64 pixels of block-stacking; a simulation has none of its own."""

    def __init__(self, shapes: Shapes, width: int, height: int) -> None:
        self._arrays = (
            np.empty((height, width), np.float32),  # inverse depth [1/m]
            np.empty((height, width), np.int32),  # surface
            np.empty((height, width), np.float32),  # rays' x
            np.empty((height, width), np.float32),  # rays' y
            np.empty((len(shapes.geoms), 5, 3), np.float32),  # poses
            np.empty((len(shapes.geoms), 3), np.float32),  # colours
            np.empty((5, shapes.vertices.shape[1]), np.float32),  # vertices
            np.empty(len(shapes.corners), np.int32),  # chosen triangles
            np.empty((len(shapes.corners), 6), np.float32),  # planes
            np.empty((10, STRIP + PAINT), np.float32),  # normals, colours, light and cosines of a strip
            np.empty((3, STRIP), np.uint8),  # bytes of a strip
        )

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self._arrays
