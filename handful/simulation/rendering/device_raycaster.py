"""Draws images with `mujoco_warp`'s ray caster on the device of the physics.

No data pass through the host: the caster reads the model and data of the physics, and writes images into torch's memory on
the same device. It also runs on Warp's CPU device, where tests compare its image with the rasteriser's.
"""

from __future__ import annotations

import numpy as np
import torch
import warp as wp

from handful.environment import Images
from handful.errors import ConfigurationError
from handful.simulation.physics.graph import RecordedLaunches
from handful.simulation.physics.protocol import DevicePhysics
from handful.simulation.rendering.camera import Camera
from handful.simulation.rendering.raycaster import render_context


class DeviceRayCaster(Camera):
    """Draws images of a `DevicePhysics`; see `handful.simulation.rendering.camera.Camera`.

    All simulations are cast at each call, and those in ``ids`` are copied out: most calls ask for all of them, and launches
    of one size are one CUDA graph. The launches run in Warp's current stream, as the physics does. Torch works in the
    device's default stream; CUDA makes these two wait for each other, since neither was made non-blocking.
    """

    device: str

    def __init__(self, physics: DevicePhysics, *, camera: str, width: int, height: int, shadows: bool = False) -> None:
        """Make the context; see `handful.simulation.rendering.factory.make_camera` for the arguments.

        With ``shadows``, all lights cast them, whatever the model says. The first time on a machine, Warp compiles its
        kernels, which takes some seconds.
        """
        import mujoco_warp

        self.width, self.height = width, height
        self.num_envs = physics.num_envs
        self.device = wp.device_to_torch(physics.device)
        self._mujoco_warp = mujoco_warp
        self._physics = physics
        with wp.ScopedDevice(physics.device):
            self._context = render_context(
                physics.model, num_worlds=self.num_envs, camera=camera, width=width, height=height, shadows=shadows
            )
            if shadows:
                physics.warp_model.light_castshadow.fill_(True)
            self._all_ids = wp.array(np.arange(self.num_envs), dtype=wp.int32)
        self._cast = RecordedLaunches(self._launch, physics.device)
        self._num_replaced = physics.num_replaced

    def render(self, ids: np.ndarray, out: Images) -> None:
        """Draw images; see `Camera.render`."""
        shape = (self.num_envs, self.height, self.width, 3)
        if (
            not isinstance(out, torch.Tensor)
            or tuple(out.shape) != shape
            or out.dtype != torch.uint8
            or out.device != torch.device(self.device)
            or not out.is_contiguous()
        ):
            raise ConfigurationError(f"expected a contiguous uint8 tensor {shape} on the device {self.device}.")
        if self._physics.num_replaced != self._num_replaced:
            self._cast.forget()
            self._num_replaced = self._physics.num_replaced
        self._cast()
        with wp.ScopedDevice(self._physics.device):
            wp.launch(
                _unpack,
                dim=(len(ids), self.height, self.width),
                inputs=[
                    self._all_ids if len(ids) == self.num_envs else wp.array(ids, dtype=wp.int32),
                    self._context.rgb_data,
                    self.width,
                ],
                outputs=[wp.from_torch(out)],
            )

    def close(self) -> None:
        """Nothing to stop."""

    def _launch(self) -> None:
        """Cast the images of all simulations into the context's packed pixels."""
        model, data = self._physics.warp_model, self._physics.warp_data
        self._mujoco_warp.refit_bvh(model, data, self._context)
        self._mujoco_warp.render(model, data, self._context)


@wp.kernel(enable_backward=False)
def _unpack(
    ids: wp.array(dtype=wp.int32),  # pyright: ignore[reportInvalidTypeForm]
    packed: wp.array2d(dtype=wp.uint32),  # pyright: ignore[reportInvalidTypeForm]
    width: wp.int32,
    images: wp.array4d(dtype=wp.uint8),  # pyright: ignore[reportInvalidTypeForm]
):
    """Write the pixels 0x00RRGGBB of the simulations ``ids`` as three bytes each."""
    k, row, column = wp.tid()  # pyright: ignore[reportAssignmentType, reportGeneralTypeIssues]
    env = ids[k]
    color = packed[env, row * width + column]  # pyright: ignore[reportOperatorIssue]
    for channel in range(3):
        images[env, row, column, channel] = wp.uint8((color >> wp.uint32(16 - 8 * channel)) & wp.uint32(255))
