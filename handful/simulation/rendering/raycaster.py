"""Pictures of many worlds without OpenGL: `mujoco_warp`'s ray caster, on Warp's CPU device.

Warp's CPU kernels run on one thread, so each of several threads owns a context of a few worlds and works through its share
in chunks. Only poses and looks are copied into the context; no Warp physics runs. On a GPU
`handful.simulation.rendering.device_raycaster` casts the same picture where the physics is.
"""

from __future__ import annotations

import concurrent.futures
import copy
import os
from typing import TYPE_CHECKING

import numpy as np

from handful.simulation import scene
from handful.simulation.physics.warp_runtime import initialize_warp

if TYPE_CHECKING:
    import mujoco
    from mujoco_warp import RenderContext

    from handful.simulation.physics.protocol import Physics

POSES = ("geom_xpos", "geom_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
"""Fields of `mujoco_warp`'s data that make a picture."""

LOOKS = ("geom_size", "geom_rgba", "mat_rgba", "light_diffuse")
"""Fields of its model that do, and that differ from world to world."""

_WORLDS_PER_CHUNK = 8
"""Worlds cast in one call; small, so that a few worlds at a reset cost little and threads share the work evenly."""


def render_context(
    model: mujoco.MjModel, *, num_worlds: int, camera: str, width: int, height: int, shadows: bool
) -> RenderContext:
    """What one camera's rays of a number of worlds are cast with, on Warp's current device.

    Materials are matt (no specular light, no emission), which is what the scene asks of every renderer, and so are shadows
    left out unless asked for.
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


class RayCaster:
    """Casts images of the simulations of a batch."""

    device: str | None = None

    def __init__(
        self,
        physics: Physics,
        *,
        camera: str = scene.CAMERA,
        width: int = 64,
        height: int = 64,
        shadows: bool = False,
        num_threads: int | None = None,
    ) -> None:
        """Build the contexts; the first time on a machine, Warp compiles its kernels (some seconds, then cached).

        Args:
            physics: The simulations to look at.
            camera: Name of the model's camera that looks.
            width: Image width [px].
            height: Image height [px].
            shadows: Whether lights cast shadows: another ray for every pixel and light.
            num_threads: Threads that cast; None takes every core.
        """
        self.width, self.height = width, height
        self.num_envs = physics.num_envs
        self._physics = physics
        for name in LOOKS:
            physics.field(name)
        num_threads = min(num_threads or os.cpu_count() or 1, -(-physics.num_envs // _WORLDS_PER_CHUNK))
        size = min(_WORLDS_PER_CHUNK, physics.num_envs)
        self._contexts = [_Context(physics, camera, size, width, height, shadows) for _ in range(num_threads)]
        for context in self._contexts:
            context.cast()  # one after the other, since Warp loads a kernel at its first launch
        self._threads = concurrent.futures.ThreadPoolExecutor(num_threads) if num_threads > 1 else None

    def render(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Cast the images of the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3]."""
        chunks = [ids[i : i + _WORLDS_PER_CHUNK] for i in range(0, len(ids), _WORLDS_PER_CHUNK)]
        if self._threads is None or len(chunks) == 1:
            self._work(0, chunks, out)
            return
        shares = [
            self._threads.submit(self._work, k, chunks[k :: len(self._contexts)], out)
            for k in range(len(self._contexts))
        ]
        for share in shares:
            share.result()

    def close(self) -> None:
        """Stop the threads."""
        if self._threads is not None:
            self._threads.shutdown()

    def _work(self, k: int, chunks: list[np.ndarray], out: np.ndarray) -> None:
        for chunk in chunks:
            self._contexts[k].render(self._physics, chunk, out)


class _Context:
    """One thread's render context, with slots for a few worlds."""

    def __init__(self, physics: Physics, camera: str, num_slots: int, width: int, height: int, shadows: bool) -> None:
        import warp as wp

        initialize_warp()
        import mujoco_warp

        self._mujoco_warp = mujoco_warp
        model = copy.copy(physics.model)
        model.opt.disableflags = 0  # for physics, which Warp does not run here, and it refuses some of them
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
        # Views of Warp's memory, shape [slot, ...]: writing to them is the whole transfer.
        self._slots = {name: getattr(self._data, name).numpy() for name in POSES}
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
        """Cast the images of all slots as they are."""
        self._mujoco_warp.refit_bvh(self._model, self._data, self._context)
        self._mujoco_warp.render(self._model, self._data, self._context)
