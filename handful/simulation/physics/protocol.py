"""What tasks, operators, recorders and cameras use of the physics, and the backends to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import mujoco
import numpy as np

from handful.errors import ConfigurationError, DataError, unknown_name

if TYPE_CHECKING:
    import mujoco_warp
    import warp

BACKENDS = ("cpu", "cuda")
"""MuJoCo on a thread pool, and `mujoco_warp` on a GPU."""

STATE_FIELDS = ("time", "qpos", "qvel", "qacc_warmstart", "ctrl")
"""Fields of a saved state, in order. The solver's warm start belongs to it: without it a replay differs in the last bits."""

DERIVED_FIELDS = (
    "xpos",
    "xmat",
    "site_xpos",
    "site_xmat",
    "geom_xpos",
    "geom_xmat",
    "cam_xpos",
    "cam_xmat",
    "light_xpos",
    "light_xdir",
)


class Physics(Protocol):
    """N simulations of one model with model fields of their own.

    The arrays of state and derived fields are current after ``step``, ``forward`` and whatever puts simulations elsewhere;
    they are float64 on the CPU and float32 on a GPU, whose copies on the host they are. Write states by ``set_state`` and
    ``place``, fields by ``field`` and then ``update_constants``.
    """

    model: mujoco.MjModel
    """The nominal model."""
    num_envs: int
    """Number of simulations."""
    num_threads: int
    """Threads that work on the host."""

    @property
    def qpos(self) -> np.ndarray:
        """Positions [m or rad], shape [env, nq]."""
        ...

    @property
    def qvel(self) -> np.ndarray:
        """Velocities [m/s or rad/s], shape [env, nv]."""
        ...

    @property
    def xpos(self) -> np.ndarray:
        """World positions of the bodies [m], shape [env, count, 3]; so for sites, geoms, cameras and lights."""
        ...

    @property
    def xmat(self) -> np.ndarray:
        """Rotations of the bodies to the world, shape [env, count, 9]; so for sites, geoms and cameras."""
        ...

    @property
    def site_xpos(self) -> np.ndarray: ...  # noqa: D102

    @property
    def site_xmat(self) -> np.ndarray: ...  # noqa: D102

    @property
    def geom_xpos(self) -> np.ndarray: ...  # noqa: D102

    @property
    def geom_xmat(self) -> np.ndarray: ...  # noqa: D102

    @property
    def cam_xpos(self) -> np.ndarray: ...  # noqa: D102

    @property
    def cam_xmat(self) -> np.ndarray: ...  # noqa: D102

    @property
    def light_xpos(self) -> np.ndarray: ...  # noqa: D102

    @property
    def light_xdir(self) -> np.ndarray:
        """World directions of the lights, shape [env, count, 3]."""
        ...

    @property
    def state_size(self) -> int:
        """Numbers in one saved state: time, nq positions, nv velocities, nv warm-start accelerations, nu controls."""
        ...

    @property
    def num_overflows(self) -> int:
        """How often a simulation had more contacts or constraints than there was room for, and lost some."""
        ...

    def field(self, name: str) -> np.ndarray:
        """A model field with a value for each simulation, shape [env, ...]; see `mujoco.batch.MODEL_FIELDS`.

        Raises:
            ConfigurationError: the backend has one value for all simulations.
        """
        ...

    def update_constants(self, ids: np.ndarray) -> None:
        """Make what was written to fields of the simulations ``ids`` count, with all that MuJoCo derives from them."""
        ...

    def model_of(self, env: int) -> mujoco.MjModel:
        """A copy of the model with the fields that simulation ``env`` has of its own, for whoever draws or inspects it."""
        ...

    def get_state(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """States to go on from, float64 [len(ids), state_size]."""
        ...

    def set_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Put the simulations ``ids`` into saved states and compute their derived fields.

        Raises:
            DataError: the states have another size or are not finite.
        """
        ...

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        """Put the simulations ``ids`` at rest at positions ``qpos`` [len(ids), nq] and compute their derived fields."""
        ...

    def forward(self, ids: np.ndarray) -> None:
        """Compute derived fields of the simulations ``ids`` from their states."""
        ...

    def jacobian(self, site: str) -> np.ndarray:
        """Geometric Jacobian of a site: joint velocities to its linear [m/s] and angular [rad/s] velocity, world frame.

        Leaves states and derived fields as they are; shape [env, 6, nv].
        """
        ...

    def step(self, control: np.ndarray) -> np.ndarray:
        """Advance every simulation by one control step under velocity commands [rad/s], shape [env, nu].

        Returns:
            Whether the physics of each simulation blew up, bool [env]; those are at the model's default state.
        """
        ...


@runtime_checkable
class DevicePhysics(Protocol):
    """What a camera needs of physics that runs in `mujoco_warp`."""

    model: mujoco.MjModel
    num_envs: int
    device: warp.Device
    warp_model: mujoco_warp.Model
    warp_data: mujoco_warp.Data
    num_replaced: int
    """Arrays of the model that others have taken the place of, ever; graphs of them are captured anew when it grows."""


def make_physics(
    backend: str,
    model: mujoco.MjModel,
    *,
    num_envs: int,
    control_timestep: float,
    num_threads: int | None = None,
    device: str | None = None,
) -> Physics:
    """The simulations of a model on the backend of that name.

    Args:
        backend: One of `BACKENDS`.
        model: The nominal model; every simulation begins with it.
        num_envs: Number of simulations.
        control_timestep: Time of one ``step`` [s], a whole number of the model's time steps.
        num_threads: Threads on the host; None takes every core.
        device: Warp's name of the device of the backend ``cuda``; None is its first GPU, "cpu" runs the same kernels
            without one, as the tests do.

    Raises:
        ConfigurationError: no such backend, or no such device here, or a count that cannot be.
    """
    if backend == "cuda":
        from handful.simulation.physics.cuda import WarpPhysics

        return WarpPhysics(
            model,
            num_envs=num_envs,
            control_timestep=control_timestep,
            num_threads=num_threads,
            device=device or "cuda",
        )
    check_backend(backend)
    from handful.simulation.physics.cpu import BatchPhysics

    if device not in (None, "cpu"):
        raise ConfigurationError(f"the backend 'cpu' runs on the device cpu, not on '{device}'.")
    return BatchPhysics(model, num_envs=num_envs, control_timestep=control_timestep, num_threads=num_threads)


def check_backend(backend: str) -> None:
    """Refuse a backend that there is not, or not on this machine.

    Raises:
        ConfigurationError: no backend has that name, or its device is missing.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend == "cuda":
        from handful.simulation.physics.cuda import find_device

        find_device("cuda")


def count_substeps(model: mujoco.MjModel, control_timestep: float) -> int:
    """Steps of the model's physics in one control step.

    Raises:
        ConfigurationError: the times do not divide.
    """
    num_substeps = round(control_timestep / model.opt.timestep)
    if num_substeps < 1 or abs(num_substeps * model.opt.timestep - control_timestep) > 1e-9:
        raise ConfigurationError(
            f"the control time step {control_timestep} s is not a multiple of the physics' {model.opt.timestep} s."
        )
    return num_substeps


def checked_states(state: np.ndarray, *, num_states: int, state_size: int) -> np.ndarray:
    """Saved states as float64 [num_states, state_size].

    Raises:
        DataError: the states have another size or are not finite.
    """
    state = np.asarray(state)
    if state.dtype.kind not in "fiu":
        raise DataError(f"expected states of numbers, got {state.dtype}.")
    state = state.astype(np.float64)
    if state.shape != (num_states, state_size):
        raise DataError(f"expected {num_states} states of {state_size} numbers, got shape {state.shape}.")
    if not np.isfinite(state).all():
        raise DataError("a physical state holds numbers that are not finite.")
    return state


def states_at_rest(qpos: np.ndarray, *, state_size: int) -> np.ndarray:
    """States at positions ``qpos`` [count, nq] at time 0, with no velocity, warm start or control."""
    state = np.zeros((len(qpos), state_size))
    state[:, 1 : 1 + qpos.shape[1]] = qpos
    return state
