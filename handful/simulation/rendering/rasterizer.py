"""Draws images of many simulations on the CPU: the ray caster's image, many times faster.

Each thread draws whole images and has its own buffers. `shapes` holds the visible geoms, `surfaces` finds the surface that
each pixel sees, and `lighting` lights it.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import pathlib

import mujoco
import numba
import numpy as np

from handful.environment import Images
from handful.errors import ConfigurationError
from handful.simulation.physics.protocol import Physics
from handful.simulation.rendering import kernel, lighting, shapes, surfaces, triangles
from handful.simulation.rendering.camera import HostCamera
from handful.simulation.rendering.kernel import JIT_OPTIONS
from handful.simulation.rendering.lighting import PAINT, STRIP, light_surfaces
from handful.simulation.rendering.shapes import Shapes, visible_shapes
from handful.simulation.rendering.surfaces import find_surfaces

_MAX_IMAGES_ALONE = 4
"""Up to this many images are drawn by the calling thread alone."""


def _compile_kernel():
    """The function that draws images, compiled or from Numba's cache.

    The cache notices changes in this file and in values that the function closes over. The hash of the other files is such
    a value.
    """
    modules = (kernel, shapes, triangles, surfaces, lighting)
    sources = hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()

    @numba.njit(cache=True, **JIT_OPTIONS)
    def draw_images(ids, out, geoms, camera, lights, shapes, scratch):
        assert len(sources) == 64
        for env in ids:
            find_surfaces(env, geoms, camera, shapes, scratch)
            light_surfaces(env, out[env], geoms, camera, lights, shapes, scratch)

    return draw_images


_draw_images = _compile_kernel()


def _is_cached() -> bool:
    """Whether Numba's cache holds the kernels as they are now; where it does not, they are compiled when first used."""
    folder = _draw_images.stats.cache_path
    if folder is None:
        return False
    sources = [pathlib.Path(inspect.getfile(module)) for module in (kernel, shapes, triangles, surfaces, lighting)]
    newest = max(path.stat().st_mtime for path in (*sources, pathlib.Path(__file__)))
    found = pathlib.Path(folder).glob(f"{pathlib.Path(__file__).stem}.*draw_images*.nbi")
    return any(path.stat().st_mtime >= newest for path in found)


class Rasterizer(HostCamera):
    """Draws images by rasterisation; see `handful.simulation.rendering.camera.Camera`."""

    def __init__(self, physics: Physics, *, camera: str, width: int, height: int, num_threads: int | None) -> None:
        """Prepare the shapes; see `handful.simulation.rendering.factory.make_camera` for the arguments.

        The first time on a machine, Numba compiles the kernels, which takes some seconds.

        Raises:
            ConfigurationError: the model has a light that is neither a point nor a directional light.
        """
        num_threads = min(num_threads or os.cpu_count() or 1, physics.num_envs)
        super().__init__(physics, width=width, height=height, num_threads=num_threads)
        model = physics.model
        kinds = (mujoco.mjtLightType.mjLIGHT_POINT, mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        if not np.isin(model.light_type, [int(kind) for kind in kinds]).all():
            raise ConfigurationError("the rasteriser draws point and directional lights only.")
        if not _is_cached():
            logging.getLogger(__name__).info(
                "Compiling the renderer for this machine, once; this takes about 20 seconds."
            )
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
        self._scratch = [_scratch(self._shapes, width, height) for _ in range(num_threads)]

    def render(self, ids: np.ndarray, out: Images) -> None:
        """Draw images; see `Camera.render`."""
        images, ids = self._checked(out), np.asarray(ids, np.int64)
        num_parts = len(self._scratch) if len(ids) > _MAX_IMAGES_ALONE else 1
        self._workers.map(lambda k: self._draw(self._scratch[k], ids[k::num_parts], images), range(num_parts))

    def _draw(self, scratch: tuple[np.ndarray, ...], ids: np.ndarray, out: np.ndarray) -> None:
        physics, fields = self._physics, self._fields
        _draw_images(
            ids,
            out,
            (physics.geom_xpos, physics.geom_xmat, fields["geom_size"], fields["geom_rgba"], fields["mat_rgba"]),
            (physics.cam_xpos[:, self._camera], physics.cam_xmat[:, self._camera], fields["cam_fovy"][:, self._camera]),
            (physics.light_xpos, physics.light_xdir, fields["light_diffuse"], self._directional, self._headlight),
            tuple(self._shapes),
            scratch,
        )


def _scratch(shapes: Shapes, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Buffers of one thread, 160 KB for 64 x 64 pixels of block-stacking. Simulations have no buffers."""
    return (
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
