"""Pictures of many worlds where their physics is: `mujoco_warp`'s ray caster straight on its model and data.

Nothing passes through the host. Poses and looks are read where the physics wrote them, and images are written into torch's
memory on the same device. Everything here also runs on Warp's CPU device, which is how tests hold it to the rasteriser's
picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import warp as wp

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.physics.graph import RecordedLaunches
from handful.simulation.rendering.raycaster import render_context

if TYPE_CHECKING:
    from handful.simulation.physics.protocol import DevicePhysics


class DeviceRayCaster:
    """Casts images of the simulations of a `DevicePhysics`.

    All worlds are cast, whichever are asked for: cameras of a batch mostly look at the same moment, and one graph of one
    size serves every call. It runs in Warp's current stream of the device, where the physics runs. Torch's own stream, the
    device's default one, waits for Warp's and Warp's for it, as CUDA orders all streams that were not made non-blocking.

    Attributes:
        width, height: Of the image [px].
        num_envs: Number of simulations.
        device: Torch's name of the device where the images are.
    """

    def __init__(
        self,
        physics: DevicePhysics,
        *,
        camera: str = scene.CAMERA,
        width: int = 64,
        height: int = 64,
        shadows: bool = False,
    ) -> None:
        """Build the context; the first time on a machine, Warp compiles its kernels (some seconds, then cached).

        Args:
            physics: The simulations to look at.
            camera: Name of the model's camera that looks.
            width: Image width [px].
            height: Image height [px].
            shadows: Whether lights cast shadows, here and in every other picture of this physics that asks for some.
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
            self._everyone = wp.array(np.arange(self.num_envs), dtype=wp.int32)
        self._cast = RecordedLaunches(self._launch, physics.device)
        self._num_replaced = physics.num_replaced

    def render(self, ids: np.ndarray, out: torch.Tensor) -> None:
        """Cast the images of the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3].

        Raises:
            ConfigurationError: ``out`` is of another size, type or device, or its pixels do not lie one after the other.
        """
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
                    self._everyone if len(ids) == self.num_envs else wp.array(ids, dtype=wp.int32),
                    self._context.rgb_data,
                    self.width,
                ],
                outputs=[wp.from_torch(out)],
            )

    def close(self) -> None:
        """Nothing to stop."""

    def _launch(self) -> None:
        """Cast all worlds, into the context's packed pixels."""
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
    """Write the pixels 0x00RRGGBB of the worlds ``ids`` as three bytes each."""
    k, row, column = wp.tid()  # pyright: ignore[reportAssignmentType, reportGeneralTypeIssues]
    world = ids[k]
    color = packed[world, row * width + column]  # pyright: ignore[reportOperatorIssue]
    for channel in range(3):
        images[world, row, column, channel] = wp.uint8((color >> wp.uint32(16 - 8 * channel)) & wp.uint32(255))
