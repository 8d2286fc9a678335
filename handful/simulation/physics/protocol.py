"""The interface of physics: what tasks, operators, recorders and cameras use of N simulations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import mujoco
import numpy as np

if TYPE_CHECKING:
    import mujoco_warp
    import warp

STATE_FIELDS = ("time", "qpos", "qvel", "qacc_warmstart", "ctrl")
"""Fields of a saved state, in order. The solver's warm start is one of them: without it a simulation that is continued from
a saved state differs in the last bits."""

IMAGE_POSES = ("geom_xpos", "geom_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
"""Poses that an image depends on."""


class Physics(Protocol):
    """N simulations of one model, each with its own values of the model's fields.

    The arrays of states and poses are current after ``step``, ``forward``, ``set_state`` and ``place``. They are float64 on
    the CPU, and float32 copies of the device's arrays on a GPU. Write states with ``set_state`` or ``place``. Write model
    fields to the arrays of ``field``, then call ``update_constants``.
    """

    model: mujoco.MjModel
    """The nominal model."""
    num_envs: int
    """Number of simulations."""
    num_threads: int
    """Number of threads on the host."""
    state_size: int
    """Length of a saved state: time, nq positions, nv velocities, nv warm-start accelerations, nu controls."""
    qpos: np.ndarray
    """Positions [m or rad], shape [env, nq]."""
    qvel: np.ndarray
    """Velocities [m/s or rad/s], shape [env, nv]."""
    xpos: np.ndarray
    """World positions of the bodies [m], shape [env, count, 3]."""
    xmat: np.ndarray
    """Rotations of the bodies to the world frame, shape [env, count, 9]."""
    site_xpos: np.ndarray
    """World positions of the sites [m], shape [env, count, 3]."""
    site_xmat: np.ndarray
    """Rotations of the sites to the world frame, shape [env, count, 9]."""
    geom_xpos: np.ndarray
    """World positions of the geoms [m], shape [env, count, 3]."""
    geom_xmat: np.ndarray
    """Rotations of the geoms to the world frame, shape [env, count, 9]."""
    cam_xpos: np.ndarray
    """World positions of the cameras [m], shape [env, count, 3]."""
    cam_xmat: np.ndarray
    """Rotations of the cameras to the world frame, shape [env, count, 9]."""
    light_xpos: np.ndarray
    """World positions of the lights [m], shape [env, count, 3]."""
    light_xdir: np.ndarray
    """World directions of the lights, shape [env, count, 3]."""
    num_overflows: int
    """How often a simulation had more contacts or constraints than its memory holds, and lost some."""

    def field(self, name: str) -> np.ndarray:
        """A model field with a value for each simulation, shape [env, ...]; see `mujoco.batch.MODEL_FIELDS`.

        Raises:
            ConfigurationError: the backend has one value of this field for all simulations.
        """
        ...

    def update_constants(self, ids: np.ndarray) -> None:
        """Apply what was written to fields of the simulations ``ids``, and recompute what MuJoCo derives from them."""

    def model_of(self, env: int) -> mujoco.MjModel:
        """A copy of the model with the field values of simulation ``env``."""
        ...

    def get_state(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """States from which the simulations can be continued to the bit, float64 [len(ids), state_size]."""
        ...

    def set_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Put the simulations ``ids`` into saved states [len(ids), state_size] and compute their poses.

        Raises:
            DataError: the states have another size or are not finite.
        """

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        """Put the simulations ``ids`` at rest at positions ``qpos`` [len(ids), nq], at time 0, and compute their poses."""

    def forward(self, ids: np.ndarray) -> None:
        """Compute the poses of the simulations ``ids`` from their states."""

    def jacobian(self, site: str) -> np.ndarray:
        """Geometric Jacobian of a site, shape [env, 6, nv]; states and poses stay as they are.

        It maps joint velocities to the site's linear [m/s] and angular [rad/s] velocity in the world frame.
        """
        ...

    def step(self, control: np.ndarray) -> np.ndarray:
        """Advance every simulation by one control step under velocity commands [rad/s], shape [env, nu].

        Returns:
            Whether each simulation diverged, bool [env]; those that did are at the model's default state.
        """
        ...


@runtime_checkable
class DevicePhysics(Protocol):
    """What a camera uses of physics that runs in `mujoco_warp`."""

    model: mujoco.MjModel
    """The nominal model."""
    num_envs: int
    """Number of simulations."""
    device: warp.Device
    """Warp's device."""
    warp_model: mujoco_warp.Model
    """The model on the device."""
    warp_data: mujoco_warp.Data
    """States and poses on the device, current whenever those on the host are."""
    num_replaced: int
    """How many arrays of ``warp_model`` have been replaced so far. A captured graph reads the arrays of its time: capture it
    again when this number has grown."""
