"""Many simulations on a GPU: `mujoco_warp`, a control step as one CUDA graph.

Task code stays NumPy on the host. After each control step the few arrays that it reads come over (`Mirrors`), and at a reset
the rows of the simulations that begin anew go back. What the camera reads never leaves the device.

Warp's CPU device runs the same kernels, slowly, on one thread: so they are tested where there is no GPU.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
import os
from functools import reduce

import mujoco
import mujoco_warp
import numpy as np
import warp as wp
from mujoco.batch import Batch
from mujoco_warp import DisableBit

from handful.errors import ConfigurationError, check_count
from handful.simulation.physics.capacity import ContactCapacity, OverflowCounter
from handful.simulation.physics.graph import RecordedLaunches
from handful.simulation.physics.mirror import Mirrors, is_writable, write_rows
from handful.simulation.physics.protocol import (
    DERIVED_FIELDS,
    STATE_FIELDS,
    checked_states,
    count_substeps,
    states_at_rest,
)
from handful.simulation.physics.warp_runtime import initialize_warp

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


class WarpPhysics:
    """N simulations of one model with model fields of their own; see `handful.simulation.physics.protocol.Physics`.

    Attributes:
        device: Warp's device.
        warp_model: The model on the device. A field that is given to each simulation becomes a new array in it, see
            ``num_replaced``.
        warp_data: States and derived fields on the device, current whenever those of the host are.
        num_replaced: How many arrays of ``warp_model`` have been replaced: whoever captured a graph of them captures it
            anew when this has grown.
        room: ContactCapacity for contacts and constraints, an argument and from then on fixed.
        losses: What was lost where it was too small.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    xpos: np.ndarray
    xmat: np.ndarray
    site_xpos: np.ndarray
    site_xmat: np.ndarray
    geom_xpos: np.ndarray
    geom_xmat: np.ndarray
    cam_xpos: np.ndarray
    cam_xmat: np.ndarray
    light_xpos: np.ndarray
    light_xdir: np.ndarray

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        num_envs: int,
        control_timestep: float,
        num_threads: int | None = None,
        device: str = "cuda",
        room: ContactCapacity | None = None,
    ) -> None:
        """Put the simulations on the device.

        Args:
            model: The nominal model; every simulation begins with it.
            num_envs: Number of simulations.
            control_timestep: Time of one ``step`` [s], a whole number of the model's time steps.
            num_threads: Threads that derive constants on the host; None takes every core.
            device: Warp's name of the device; "cuda" is the first GPU.
            room: ContactCapacity for contacts and constraints; None is `ContactCapacity.for_model`'s.

        Raises:
            ConfigurationError: no such device here, a count is not positive or the times do not divide.
        """
        check_count("a number of simulations", num_envs)
        if num_threads is not None:
            check_count("a number of threads", num_threads)
        self.model = model
        self.num_envs = num_envs
        self.room = room or ContactCapacity.for_model(model)
        self.losses = OverflowCounter(self.room, num_envs)
        self.num_threads = num_threads or os.cpu_count() or 1
        self.num_substeps = count_substeps(model, control_timestep)
        self.device = find_device(device)
        with wp.ScopedDevice(self.device):
            self.warp_model = mujoco_warp.put_model(_as_warp_takes_it(model))
            self.warp_model.opt.warn_overflow = 0  # it would print; `OverflowCounter` logs and counts
            if self.device.is_cuda:
                self.warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
            self.warp_data = mujoco_warp.make_data(model, nworld=num_envs, **dataclasses.asdict(self.room))
            self._control = wp.zeros((num_envs, model.nu), dtype=float, device="cpu", pinned=self.device.is_cuda)
        self._state_widths = [getattr(self.warp_data, name).size // num_envs for name in STATE_FIELDS]
        # The simulations' models on the host: a batch that holds fields and derives constants, and runs no physics.
        self._models = Batch(model, nsim=num_envs, nthread=min(self.num_threads, num_envs))
        self._fields: dict[str, np.ndarray] = {}
        self._mirrors = Mirrors(self.warp_data, self.device)
        self._run_step = RecordedLaunches(self._launch_step, self.device)
        self._run_forward = RecordedLaunches(self._launch_forward, self.device)
        self.num_replaced = 0
        self._mirrors.read("overflow")
        self._forward()

    def __getattr__(self, name: str) -> np.ndarray:
        """The copy on the host of a field that was not asked for before; from now on it is an attribute, kept current."""
        if name not in ("qpos", "qvel", *DERIVED_FIELDS):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        copied = self._mirrors.read(name)
        setattr(self, name, copied)
        return copied

    @property
    def state_size(self) -> int:
        """Numbers in one saved state: time, nq positions, nv velocities, nv warm-start accelerations, nu controls."""
        return sum(self._state_widths)

    @property
    def num_overflows(self) -> int:
        """How often a simulation had more contacts or constraints than there was room for, and lost some."""
        return self.losses.total

    def field(self, name: str) -> np.ndarray:
        """A model field with a value for each simulation, on the host, [env, ...]; `update_constants` sends it over.

        Poses of what is fixed to the world are computed once for all simulations, so that ``geom_pos`` and ``body_pos``
        move only what moves.

        Raises:
            ConfigurationError: `mujoco_warp` has one value for all simulations.
        """
        if name not in self._fields:
            if name not in _per_world_fields() or not is_writable(getattr(self.warp_model, name)):
                raise ConfigurationError(
                    f"the field '{name}' cannot differ between simulations on the backend cuda; those that can: "
                    f"{', '.join(sorted(_per_world_fields()))}."
                )
            self._replace(name)
            self._fields[name] = self._models.expand(name)
        return self._fields[name]

    def model_of(self, env: int) -> mujoco.MjModel:
        """A copy of the model with the fields that simulation ``env`` has of its own, for whoever draws or inspects it."""
        return self._models.get_model(env)

    def update_constants(self, ids: np.ndarray) -> None:
        """Derive constants (`mj_setConst`, on the host) of the simulations ``ids`` and send all their fields over."""
        ids = np.asarray(ids)
        for name in CONSTANTS:
            if getattr(self.model, name).size:
                self.field(name)
        self._models.set_const(ids)
        self._write_rows(self.warp_model, {name: values[ids] for name, values in self._fields.items()}, ids)

    def get_state(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """States to go on from, float64 [len(ids), state_size]; the device holds them as float32, so no bit is lost."""
        fields = [self._mirrors.read(name)[ids] for name in STATE_FIELDS]
        return np.concatenate([field.reshape(len(field), -1) for field in fields], axis=1, dtype=np.float64)

    def set_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Put the simulations ``ids`` into saved states, rounded to float32, and compute their derived fields.

        Raises:
            DataError: the states have another size or are not finite.
        """
        ids = np.asarray(ids)
        state = checked_states(state, num_states=len(ids), state_size=self.state_size)
        parts = np.split(state, np.cumsum(self._state_widths)[:-1], axis=1)
        self._write_rows(self.warp_data, dict(zip(STATE_FIELDS, parts, strict=True)), ids)
        self._forward()

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        """Put the simulations ``ids`` at rest at positions ``qpos`` [len(ids), nq] and compute their derived fields."""
        self.set_state(ids, states_at_rest(qpos, state_size=self.state_size))

    def forward(self, ids: np.ndarray) -> None:
        """Compute derived fields from the states: of all simulations, which leaves those of the others as they are."""
        self._forward()

    def jacobian(self, site: str) -> np.ndarray:
        """Geometric Jacobian of a site: joint velocities to its linear [m/s] and angular [rad/s] velocity, world frame.

        Leaves states and derived fields as they are; shape [env, 6, nv].
        """
        site_id = self.model.site(site).id
        with wp.ScopedDevice(self.device):
            linear, angular = (wp.empty((self.num_envs, 3, self.model.nv), dtype=float) for _ in range(2))
            body = wp.full(self.num_envs, int(self.model.site_bodyid[site_id]), dtype=int)
            points = self.warp_data.site_xpos[:, site_id]
            mujoco_warp.jac(self.warp_model, self.warp_data, linear, angular, points, body)
        return np.concatenate([linear.numpy(), angular.numpy()], axis=1, dtype=np.float64)

    def step(self, control: np.ndarray) -> np.ndarray:
        """Advance every simulation by one control step under velocity commands [rad/s], shape [env, nu].

        Returns:
            Whether the physics of each simulation blew up, bool [env]; those are at the model's default state.
        """
        self._control.numpy()[:] = control
        wp.copy(self.warp_data.ctrl, self._control)
        self._run_step()
        self._mirrors.refresh()
        self.losses.count(self._mirrors.read("overflow"))
        diverged = ~(_is_sane(self.qpos) & _is_sane(self.qvel))
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

    def _forward(self) -> None:
        self._run_forward()
        self._mirrors.refresh()

    def _write_rows(self, target: object, rows: dict[str, np.ndarray], ids: np.ndarray) -> None:
        with wp.ScopedDevice(self.device):
            write_rows([(getattr(target, name), values) for name, values in rows.items()], ids)

    def _replace(self, name: str) -> None:
        """Give each simulation its own row of a field of the model on the device."""
        array = getattr(self.warp_model, name)
        rows = np.repeat(array.numpy()[:1], self.num_envs, axis=0)
        own = wp.array(rows, dtype=array.dtype, device=self.device)
        setattr(self.warp_model, name, own)
        self.num_replaced += 1
        self._run_step.forget()
        self._run_forward.forget()


def find_device(name: str) -> wp.Device:
    """Warp's device of a name.

    Raises:
        ConfigurationError: there is none.
    """
    initialize_warp()
    if name.partition(":")[0] == "cuda" and not wp.is_cuda_available():
        raise ConfigurationError("no CUDA device was found, which the backend 'cuda' needs; the choices here are: cpu.")
    try:
        return wp.get_device(name)
    except ValueError as error:
        choices = ", ".join(str(device) for device in wp.get_devices())
        raise ConfigurationError(f"unknown device '{name}'; the choices here are: {choices}.") from error


def _as_warp_takes_it(model: mujoco.MjModel) -> mujoco.MjModel:
    """The model with flags that `mujoco_warp` knows, and by which it comes nearest to the CPU.

    It has no midphase and refuses the flag that switches it off. Of MuJoCo's colliders it has the native one, whose several
    contacts between a finger's mesh and a block are not those that the older one finds. Where the older one is asked for,
    one contact a pair of meshes is ten times nearer: a block in the hand, after five control steps, 0.13 mm instead of 1.2.
    """
    model = copy.copy(model)
    if model.opt.disableflags & DisableBit.NATIVECCD:
        model.opt.disableflags |= DisableBit.MULTICCD
    model.opt.disableflags &= int(reduce(operator.or_, DisableBit))
    return model


def _per_world_fields() -> set[str]:
    """Fields of the model that `mujoco_warp` can hold for each simulation."""
    return {
        field.name
        for field in dataclasses.fields(mujoco_warp.Model)
        if (getattr(field.type, "shape", None) or (None,))[0] == "*" and hasattr(mujoco.MjModel, field.name)
    }


def _is_sane(numbers: np.ndarray) -> np.ndarray:
    """Whether the numbers of each row are finite and not beyond what MuJoCo takes for a blow-up, bool [env]."""
    return (np.abs(numbers) <= mujoco.mjMAXVAL).all(axis=1)
