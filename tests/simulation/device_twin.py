"""Physics of the CPU in the arrays of `mujoco_warp`; no physics kernel compiles."""

from __future__ import annotations

import copy

import mujoco_warp
import numpy as np
import warp as wp

from handful.simulation import scene
from handful.simulation.physics.cpu import BatchPhysics
from handful.simulation.physics.protocol import IMAGE_POSES
from handful.simulation.physics.warp_runtime import initialize_warp
from handful.simulation.rendering.device_raycaster import DeviceRayCaster
from handful.simulation.rendering.raycaster import LOOKS


class DeviceTwin:
    """A `handful.simulation.physics.protocol.DevicePhysics` with the poses and looks of a `BatchPhysics`."""

    def __init__(self, physics: BatchPhysics, device: str = "cpu") -> None:
        initialize_warp()
        self._physics = physics
        self.model = copy.copy(physics.model)
        self.model.opt.disableflags = 0  # `mujoco_warp` refuses some of them
        self.num_envs = physics.num_envs
        self.num_replaced = 0
        self.device = wp.get_device(device)
        with wp.ScopedDevice(self.device):
            self.warp_model = mujoco_warp.put_model(self.model)
            self.warp_data = mujoco_warp.make_data(self.model, nworld=self.num_envs, nconmax=1, njmax=1)
        for name in LOOKS:
            array = getattr(self.warp_model, name)
            rows = np.repeat(array.numpy()[:1], self.num_envs, axis=0)
            setattr(self.warp_model, name, wp.array(rows, dtype=array.dtype, device=self.device))
        self.follow()

    def follow(self) -> None:
        """Copy the present poses and looks."""
        for target, names, source in (
            (self.warp_data, IMAGE_POSES, lambda name: getattr(self._physics, name)),
            (self.warp_model, LOOKS, self._physics.field),
        ):
            for name in names:
                array = getattr(target, name)
                array.assign(source(name).reshape(array.numpy().shape))


class FollowingCamera(DeviceRayCaster):
    """Draws a `BatchPhysics` through its twin, which follows it before each image."""

    def __init__(self, physics: BatchPhysics, **options) -> None:
        self._twin = DeviceTwin(physics)
        super().__init__(self._twin, camera=scene.CAMERA, **options)

    def render(self, ids, out) -> None:
        self._twin.follow()
        super().render(ids, out)
