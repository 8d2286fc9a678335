"""Many simulations on the CPU: MuJoCo's own batch, stepped on a thread pool, the same bits at any number of threads."""

from __future__ import annotations

import os

import mujoco
import numpy as np
from mujoco.batch import Batch

from handful.errors import check_count
from handful.simulation.physics.protocol import (
    DERIVED_FIELDS,
    STATE_FIELDS,
    checked_states,
    count_substeps,
    states_at_rest,
)

_BAD_NUMBERS = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
        mujoco.mjtWarning.mjWARN_BADCTRL,
    )
]

_OVERFLOWS = [int(mujoco.mjtWarning.mjWARN_CONTACTFULL), int(mujoco.mjtWarning.mjWARN_CNSTRFULL)]


class BatchPhysics:
    """N simulations of one model with model fields of their own.

    Arrays are live: ``qpos[i] = ...`` writes simulation i's state, and ``xpos`` and the other derived fields are current
    after ``step`` and ``forward``.

    Attributes:
        qpos: Positions [m or rad], shape [env, nq].
        qvel: Velocities [m/s or rad/s], shape [env, nv].
        xpos, site_xpos, geom_xpos, cam_xpos, light_xpos: World positions [m], shape [env, count, 3].
        xmat, site_xmat, geom_xmat, cam_xmat: Rotations to world, shape [env, count, 9].
    """

    def __init__(
        self, model: mujoco.MjModel, *, num_envs: int, control_timestep: float, num_threads: int | None = None
    ) -> None:
        """Build the batch.

        Args:
            model: The nominal model; every simulation begins with it.
            num_envs: Number of simulations.
            control_timestep: Time of one ``step`` [s], a whole number of the model's time steps.
            num_threads: Threads that step; None takes every core.

        Raises:
            ConfigurationError: a count is not positive or the times do not divide.
        """
        check_count("a number of simulations", num_envs)
        if num_threads is not None:
            check_count("a number of threads", num_threads)
        # MuJoCo writes its warnings to stderr and to a file in the working folder; `step` counts and reports them.
        if mujoco.get_mju_user_warning() is None:
            mujoco.set_mju_user_warning(lambda message: None)
        self.model = model
        self.num_envs = num_envs
        self.num_threads = num_threads or os.cpu_count() or 1
        self.num_substeps = count_substeps(model, control_timestep)
        self._batch = Batch(model, nsim=num_envs, nthread=min(self.num_threads, num_envs))
        self._state_fields = [self._batch.bind(name).reshape(num_envs, -1) for name in STATE_FIELDS]
        self._control = self._batch.bind("ctrl")
        self._fields: dict[str, np.ndarray] = {}
        self.qpos = self._batch.bind("qpos")
        self.qvel = self._batch.bind("qvel")
        for name in DERIVED_FIELDS:
            setattr(self, name, self._batch.bind(name))
        self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)

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

    @property
    def state_size(self) -> int:
        """Numbers in one saved state: time, nq positions, nv velocities, nv warm-start accelerations, nu controls."""
        return sum(field.shape[1] for field in self._state_fields)

    @property
    def num_overflows(self) -> int:
        """How often a simulation had more contacts or constraints than MuJoCo's memory holds, and lost some."""
        return int(self._batch.warning[:, _OVERFLOWS, 1].sum())

    def field(self, name: str) -> np.ndarray:
        """A model field with a value for each simulation, live, shape [env, ...]; see `mujoco.batch.MODEL_FIELDS`."""
        if name not in self._fields:
            self._fields[name] = self._batch.expand(name)
        return self._fields[name]

    def model_of(self, env: int) -> mujoco.MjModel:
        """A copy of the model with the fields that simulation ``env`` has of its own, for whoever draws or inspects it."""
        return self._batch.get_model(env)

    def update_constants(self, ids: np.ndarray) -> None:
        """Recompute what MuJoCo derives from masses, inertias and sizes (`mj_setConst`) in the simulations ``ids``."""
        saved = self.get_state(ids)
        self._batch.set_const(ids)
        self._write_state(ids, saved)

    def get_state(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """States to go on from, bit by bit, float64 [len(ids), state_size]."""
        return np.concatenate([field[ids] for field in self._state_fields], axis=1)

    def set_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Put the simulations ``ids`` into saved states and compute their derived fields.

        Raises:
            DataError: the states have another size or are not finite.
        """
        state = checked_states(state, num_states=len(ids), state_size=self.state_size)
        self._write_state(ids, state)
        self.forward(ids)

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        """Put the simulations ``ids`` at rest at positions ``qpos`` [len(ids), nq] and compute their derived fields."""
        self.set_state(ids, states_at_rest(qpos, state_size=self.state_size))

    def forward(self, ids: np.ndarray) -> None:
        """Compute derived fields of the simulations ``ids`` from their states."""
        self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_VEL)

    def jacobian(self, site: str) -> np.ndarray:
        """Geometric Jacobian of a site: joint velocities to its linear [m/s] and angular [rad/s] velocity, world frame.

        Leaves states and derived fields as they are; shape [env, 6, nv].
        """
        site_id = self.model.site(site).id
        linear, angular = self._batch.jac(self.model.site_bodyid[site_id], self.site_xpos[:, site_id])
        return np.concatenate([linear, angular], axis=1)

    def step(self, control: np.ndarray) -> np.ndarray:
        """Advance every simulation by one control step under velocity commands [rad/s], shape [env, nu].

        Returns:
            Whether the physics of each simulation blew up, bool [env]; MuJoCo has put those at its default state.
        """
        self._control[:] = control
        before = self._batch.warning[:, _BAD_NUMBERS, 1].sum(axis=1)
        self._batch.step(nstep=self.num_substeps, stage=mujoco.mjtStage.mjSTAGE_VEL)
        after = self._batch.warning[:, _BAD_NUMBERS, 1].sum(axis=1)
        return (after > before) | ~np.isfinite(self.qpos).all(axis=1)

    def _write_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        column = 0
        for field in self._state_fields:
            field[ids] = state[:, column : column + field.shape[1]]
            column += field.shape[1]
