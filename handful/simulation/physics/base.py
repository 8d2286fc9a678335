"""What the backends of the physics have in common."""

from __future__ import annotations

import abc
import itertools
import os
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from handful.errors import ConfigurationError, DataError, check_count
from handful.simulation.physics.protocol import IMAGE_POSES, STATE_FIELDS, Physics

ARRAYS = ("qpos", "qvel", "xpos", "xmat", "site_xpos", "site_xmat", *IMAGE_POSES)
"""Names of the arrays of states and poses."""


def _array(name: str) -> Any:
    """A property that reads the array of that name from the backend."""
    return property(lambda physics: physics._read(name))


class BasePhysics(Physics, abc.ABC):
    """The part of `handful.simulation.physics.protocol.Physics` that does not depend on the backend.

    Attributes:
        num_substeps: Steps of the model's physics in one control step.
    """

    qpos = _array("qpos")
    qvel = _array("qvel")
    xpos = _array("xpos")
    xmat = _array("xmat")
    site_xpos = _array("site_xpos")
    site_xmat = _array("site_xmat")
    geom_xpos = _array("geom_xpos")
    geom_xmat = _array("geom_xmat")
    cam_xpos = _array("cam_xpos")
    cam_xmat = _array("cam_xmat")
    light_xpos = _array("light_xpos")
    light_xdir = _array("light_xdir")

    def __init__(
        self, model: mujoco.MjModel, *, num_envs: int, control_timestep: float, num_threads: int | None
    ) -> None:
        """Check the arguments, which are those of `handful.simulation.physics.factory.make_physics`."""
        check_count("a number of simulations", num_envs)
        if num_threads is not None:
            check_count("a number of threads", num_threads)
        self.model = model
        self.num_envs = num_envs
        self.num_threads = num_threads or os.cpu_count() or 1
        self.num_substeps = round(control_timestep / model.opt.timestep)
        if self.num_substeps < 1 or abs(self.num_substeps * model.opt.timestep - control_timestep) > 1e-9:
            raise ConfigurationError(
                f"the control time step {control_timestep} s is not a multiple of the physics' {model.opt.timestep} s."
            )
        # Holds the model fields of each simulation; on the CPU, it also holds and steps the simulations themselves.
        self._batch = Batch(model, nsim=num_envs, nthread=min(self.num_threads, num_envs))
        self._fields: dict[str, np.ndarray] = {}
        # Columns of each field in a saved state.
        stops = list(itertools.accumulate((1, model.nq, model.nv, model.nv, model.nu), initial=0))
        self._columns = dict(zip(STATE_FIELDS, itertools.starmap(slice, itertools.pairwise(stops)), strict=True))
        self.state_size = stops[-1]

    @abc.abstractmethod
    def _read(self, name: str) -> np.ndarray:
        """The array of a field of `mujoco.MjData`, shape [env, ...]."""

    @abc.abstractmethod
    def _write(self, ids: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        """Write state fields, each [len(ids), width], of the simulations ``ids``."""

    def field(self, name: str) -> np.ndarray:
        if name not in self._fields:
            self._fields[name] = self._batch.expand(name)
        return self._fields[name]

    def model_of(self, env: int) -> mujoco.MjModel:
        return self._batch.get_model(env)

    def get_state(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        fields = [self._read(name).reshape(self.num_envs, -1)[ids] for name in STATE_FIELDS]
        return np.concatenate(fields, axis=1, dtype=np.float64)

    def set_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        ids, state = np.asarray(ids), np.asarray(state)
        if state.dtype.kind not in "fiu":
            raise DataError(f"expected states of numbers, got {state.dtype}.")
        if state.shape != (len(ids), self.state_size):
            raise DataError(f"expected {len(ids)} states of {self.state_size} numbers, got shape {state.shape}.")
        state = state.astype(np.float64)
        if not np.isfinite(state).all():
            raise DataError("a physical state holds numbers that are not finite.")
        self._write_state(ids, state)
        self.forward(ids)

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        state = np.zeros((len(qpos), self.state_size))
        state[:, self._columns["qpos"]] = qpos
        self.set_state(ids, state)

    def _write_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Write saved states [len(ids), state_size]; poses stay as they are."""
        self._write(ids, {name: state[:, columns] for name, columns in self._columns.items()})
