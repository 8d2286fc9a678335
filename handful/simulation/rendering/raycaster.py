"""Draws images of many simulations with `mujoco_warp`'s ray caster on Warp's CPU device, without OpenGL.

A Warp kernel runs on one thread of the CPU. Each of several threads therefore has a render context with slots for a few
simulations, and casts its part of the images chunk by chunk. Only poses and looks are copied into a context; Warp runs no
physics. `handful.simulation.rendering.device_raycaster` casts the same image where the physics is on a GPU.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING

import numpy as np

from handful.environment import Images
from handful.simulation.physics.protocol import IMAGE_POSES, Physics
from handful.simulation.physics.warp_runtime import initialize_warp
from handful.simulation.rendering.camera import HostCamera

if TYPE_CHECKING:
    import mujoco
    from mujoco_warp import RenderContext

LOOKS = ("geom_size", "geom_rgba", "mat_rgba", "light_diffuse")
"""Fields of the model that an image depends on and that differ between simulations."""

_CHUNK_SIZE = 8
"""Images cast in one call; small, so that a call for few images casts few empty slots, and threads share the work evenly."""


def render_context(
    model: mujoco.MjModel, *, num_worlds: int, camera: str, width: int, height: int, shadows: bool
) -> RenderContext:
    """Make the context with which `mujoco_warp` casts the images of one camera, on Warp's current device.

    Materials are matt, without specular light or emission, as in every renderer here.
    """
    import mujoco_warp

    return mujoco_warp.create_render_context(
        model,
        nworld=num_worlds,
        cam_res=(width, height),
        cam_active=[camera],
        render_rgb=True,
        render_depth=False,
        render_seg=False,
        use_textures=False,
        use_shadows=shadows,
        enable_specular=False,
        enable_emission=False,
        enable_per_light_ambient=False,
    )


class RayCaster(HostCamera):
    """Draws images by casting rays; see `handful.simulation.rendering.camera.Camera`."""

    def __init__(
        self, physics: Physics, *, camera: str, width: int, height: int, shadows: bool, num_threads: int | None
    ) -> None:
        """Make the contexts; see `handful.simulation.rendering.factory.make_camera` for the arguments.

        Shadows take another ray for each pixel and light. The first time on a machine, Warp compiles its kernels, which
        takes some seconds.
        """
        num_threads = min(num_threads or os.cpu_count() or 1, -(-physics.num_envs // _CHUNK_SIZE))
        super().__init__(physics, width=width, height=height, num_threads=num_threads)
        for name in LOOKS:
            physics.field(name)
        size = min(_CHUNK_SIZE, physics.num_envs)
        self._contexts = [_Context(physics, camera, size, width, height, shadows) for _ in range(num_threads)]
        for context in self._contexts:
            context.cast()  # in sequence, since Warp loads a kernel at its first launch

    def render(self, ids: np.ndarray, out: Images) -> None:
        """Draw images; see `Camera.render`."""
        images = self._checked(out)
        chunks = [ids[i : i + _CHUNK_SIZE] for i in range(0, len(ids), _CHUNK_SIZE)]
        num_parts = min(len(self._contexts), len(chunks))

        def cast(k: int) -> None:
            for chunk in chunks[k::num_parts]:
                self._contexts[k].render(self._physics, chunk, images)

        self._workers.map(cast, range(num_parts))


class _Context:
    """Render context of one thread, with slots for a few simulations."""

    def __init__(self, physics: Physics, camera: str, num_slots: int, width: int, height: int, shadows: bool) -> None:
        import warp as wp

        initialize_warp()
        import mujoco_warp

        self._mujoco_warp = mujoco_warp
        model = copy.copy(physics.model)
        model.opt.disableflags = 0  # they concern physics, and Warp refuses some of them
        model.light_castshadow[:] = shadows
        with wp.ScopedDevice("cpu"):
            self._model = mujoco_warp.put_model(model)
            self._data = mujoco_warp.make_data(model, nworld=num_slots, nconmax=1, njmax=1)
            self._context = render_context(
                model, num_worlds=num_slots, camera=camera, width=width, height=height, shadows=shadows
            )
            for name in LOOKS:
                array = getattr(self._model, name)
                values = np.repeat(array.numpy()[:1], num_slots, axis=0)
                setattr(self._model, name, wp.array(values, dtype=array.dtype, device="cpu"))
        # Views of Warp's memory, shape [slot, ...]: what is written to them needs no transfer.
        self._slots = {name: getattr(self._data, name).numpy() for name in IMAGE_POSES}
        self._slots |= {name: getattr(self._model, name).numpy() for name in LOOKS}
        self._packed = self._context.rgb_data.numpy().reshape(num_slots, height, width)

    def render(self, physics: Physics, ids: np.ndarray, out: np.ndarray) -> None:
        count = len(ids)
        for name, slots in self._slots.items():
            source = physics.field(name) if name in LOOKS else getattr(physics, name)
            slots[:count] = source[ids].reshape(slots[:count].shape)
        self.cast()
        packed = self._packed[:count]  # 0x00RRGGBB
        for channel, shift in enumerate((16, 8, 0)):
            out[ids, :, :, channel] = (packed >> shift) & 0xFF

    def cast(self) -> None:
        """Cast the images of all slots."""
        self._mujoco_warp.refit_bvh(self._model, self._data, self._context)
        self._mujoco_warp.render(self._model, self._data, self._context)
