"""Many simulations on a GPU: `mujoco_warp`, a control step as one CUDA graph.

Task code stays NumPy on the host. After each control step the arrays that it has read before are copied to the host
(`Mirrors`), and at a reset the rows of the simulations that begin an episode are copied to the device. What the camera reads
stays on the device.

Warp's CPU device runs the same kernels, slowly, on one thread; tests use it where there is no GPU.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import operator

import mujoco
import mujoco_warp
import numpy as np
import warp as wp
from mujoco_warp import DisableBit

from handful.errors import ConfigurationError
from handful.simulation.physics.base import BasePhysics
from handful.simulation.physics.capacity import ContactCapacity, OverflowCounter
from handful.simulation.physics.graph import RecordedLaunches
from handful.simulation.physics.mirror import Mirrors, is_writable, write_rows
from handful.simulation.physics.warp_runtime import find_device

CONSTANTS = (
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "actuator_acc0",
    "cam_pos0",
    "cam_poscom0",
    "cam_mat0",
    "light_pos0",
    "light_poscom0",
    "light_dir0",
)
"""Fields that ``mj_setConst`` derives from others and that `mujoco_warp` reads."""


class WarpPhysics(BasePhysics):
    """Simulations in `mujoco_warp`; see `handful.simulation.physics.protocol` for `Physics` and `DevicePhysics`.

    On the host, a `mujoco.batch.Batch` holds the model fields of each simulation and derives constants from them; it runs
    no physics.

    Attributes:
        capacity: Memory for contacts and constraints, fixed from the start; by default `ContactCapacity.for_model`.
        overflows: What did not fit into it.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        num_envs: int,
        control_timestep: float,
        num_threads: int | None = None,
        device: str = "cuda",
        capacity: ContactCapacity | None = None,
    ) -> None:
        """Put the simulations on the device; see `handful.simulation.physics.factory.make_physics`."""
        super().__init__(model, num_envs=num_envs, control_timestep=control_timestep, num_threads=num_threads)
        self.capacity = capacity or ContactCapacity.for_model(model)
        self.overflows = OverflowCounter(self.capacity, num_envs)
        self.device = find_device(device)
        with wp.ScopedDevice(self.device):
            self.warp_model = mujoco_warp.put_model(_with_supported_flags(model))
            self.warp_model.opt.warn_overflow = 0  # it would print; `OverflowCounter` logs and counts
            if self.device.is_cuda:
                self.warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
            self.warp_data = mujoco_warp.make_data(model, nworld=num_envs, **dataclasses.asdict(self.capacity))
            self._control = wp.zeros((num_envs, model.nu), dtype=float, device="cpu", pinned=self.device.is_cuda)
        self._mirrors = Mirrors(self.warp_data, self.device)
        self._run_step = RecordedLaunches(self._launch_step, self.device)
        self._run_forward = RecordedLaunches(self._launch_forward, self.device)
        self.num_replaced = 0
        self._mirrors.read("overflow")
        self.forward(np.arange(num_envs))

    def _read(self, name: str) -> np.ndarray:
        return self._mirrors.read(name)

    def _write(self, ids: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        self._write_rows(self.warp_data, fields, ids)

    @property
    def num_overflows(self) -> int:
        return self.overflows.total

    def field(self, name: str) -> np.ndarray:
        """See `Physics.field`; the array is on the host, and `update_constants` sends it to the device.

        Poses of what is fixed to the world frame are computed once for all simulations: ``geom_pos`` and ``body_pos`` move
        only what can move.
        """
        if name not in self._fields:
            if name not in _per_simulation_fields() or not is_writable(getattr(self.warp_model, name)):
                raise ConfigurationError(
                    f"the field '{name}' cannot differ between simulations on the backend cuda; those that can: "
                    f"{', '.join(sorted(_per_simulation_fields()))}."
                )
            # From now on each simulation has its own row of the field on the device.
            array = getattr(self.warp_model, name)
            rows = np.repeat(array.numpy()[:1], self.num_envs, axis=0)
            setattr(self.warp_model, name, wp.array(rows, dtype=array.dtype, device=self.device))
            self.num_replaced += 1
            self._run_step.forget()
            self._run_forward.forget()
        return super().field(name)

    def update_constants(self, ids: np.ndarray) -> None:
        ids = np.asarray(ids)
        for name in CONSTANTS:
            if getattr(self.model, name).size:
                self.field(name)
        self._batch.set_const(ids)
        self._write_rows(self.warp_model, {name: values[ids] for name, values in self._fields.items()}, ids)

    def forward(self, ids: np.ndarray) -> None:
        # All simulations are computed; those that are not in ``ids`` keep their values.
        self._run_forward()
        self._mirrors.refresh()

    def jacobian(self, site: str) -> np.ndarray:
        site_id = self.model.site(site).id
        with wp.ScopedDevice(self.device):
            linear, angular = (wp.empty((self.num_envs, 3, self.model.nv), dtype=float) for _ in range(2))
            body = wp.full(self.num_envs, int(self.model.site_bodyid[site_id]), dtype=int)
            points = self.warp_data.site_xpos[:, site_id]
            mujoco_warp.jac(self.warp_model, self.warp_data, linear, angular, points, body)
        return np.concatenate([linear.numpy(), angular.numpy()], axis=1, dtype=np.float64)

    def step(self, control: np.ndarray) -> np.ndarray:
        self._control.numpy()[:] = control
        wp.copy(self.warp_data.ctrl, self._control)
        self._run_step()
        self._mirrors.refresh()
        self.overflows.count(self._mirrors.read("overflow"))
        diverged = ~(_is_bounded(self.qpos) & _is_bounded(self.qvel))
        ids = np.flatnonzero(diverged)
        if len(ids):
            self.place(ids, np.tile(self.model.qpos0, (len(ids), 1)))
        return diverged

    def _launch_step(self) -> None:
        self.warp_data.overflow.zero_()
        for _ in range(self.num_substeps):
            mujoco_warp.step(self.warp_model, self.warp_data)
        self._launch_forward()

    def _launch_forward(self) -> None:
        """Poses of everything from the positions, and what `jacobian` needs."""
        mujoco_warp.kinematics(self.warp_model, self.warp_data)
        mujoco_warp.com_pos(self.warp_model, self.warp_data)
        mujoco_warp.camlight(self.warp_model, self.warp_data)

    def _write_rows(self, target: object, rows: dict[str, np.ndarray], ids: np.ndarray) -> None:
        with wp.ScopedDevice(self.device):
            write_rows([(getattr(target, name), values) for name, values in rows.items()], ids)


def _with_supported_flags(model: mujoco.MjModel) -> mujoco.MjModel:
    """The model with flags that `mujoco_warp` supports, chosen to come nearest to the CPU.

    `mujoco_warp` has no midphase and refuses the flag that switches it off. Of MuJoCo's two mesh colliders it has the
    native one alone. Between a finger's mesh and a block the native collider finds several contacts, and other ones than
    the older collider. For a model that asks for the older one, a single contact for each pair of meshes is ten times
    nearer to it: a block in the hand differs by 0.13 mm after five control steps, and by 1.2 mm otherwise.
    """
    model = copy.copy(model)
    if model.opt.disableflags & DisableBit.NATIVECCD:
        model.opt.disableflags |= DisableBit.MULTICCD
    model.opt.disableflags &= int(functools.reduce(operator.or_, DisableBit))
    return model


def _per_simulation_fields() -> set[str]:
    """Fields of the model that `mujoco_warp` can hold for each simulation."""
    return {
        field.name
        for field in dataclasses.fields(mujoco_warp.Model)
        if (getattr(field.type, "shape", None) or (None,))[0] == "*" and hasattr(mujoco.MjModel, field.name)
    }


def _is_bounded(numbers: np.ndarray) -> np.ndarray:
    """Whether all numbers of each row are finite and below MuJoCo's limit of divergence, bool [env]."""
    return (np.abs(numbers) <= mujoco.mjMAXVAL).all(axis=1)
