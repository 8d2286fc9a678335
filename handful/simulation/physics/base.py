"""What the backends of the physics have in common."""

from __future__ import annotations

import abc
import itertools
import os

import mujoco
import numpy as np
from mujoco.batch import Batch

from handful.errors import ConfigurationError, DataError, check_count
from handful.simulation.physics.protocol import STATE_FIELDS, Physics

ARRAYS = (
    "qpos",
    "qvel",
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
"""Names of the arrays of states and poses."""


class BasePhysics(Physics, abc.ABC):
    """The part of `handful.simulation.physics.protocol.Physics` that does not depend on the backend.

    Attributes:
        num_substeps: Steps of the model's physics in one control step.
    """

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
        self.num_substeps = _count_substeps(model, control_timestep)
        # Holds the model fields of each simulation; on the CPU, it also holds and steps the simulations themselves.
        self._batch = Batch(model, nsim=num_envs, nthread=min(self.num_threads, num_envs))
        self._fields: dict[str, np.ndarray] = {}
        widths = (1, model.nq, model.nv, model.nv, model.nu)
        stops = list(itertools.accumulate(widths))
        # Columns of each field in a saved state.
        self._columns = {
            name: slice(stop - width, stop) for name, width, stop in zip(STATE_FIELDS, widths, stops, strict=True)
        }

    @abc.abstractmethod
    def _read(self, name: str) -> np.ndarray:
        """The array of a field of `mujoco.MjData`, shape [env, ...]."""

    @abc.abstractmethod
    def _write(self, ids: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        """Write state fields, each [len(ids), width], of the simulations ``ids``."""

    @property
    def qpos(self) -> np.ndarray:
        return self._read("qpos")

    @property
    def qvel(self) -> np.ndarray:
        return self._read("qvel")

    @property
    def xpos(self) -> np.ndarray:
        return self._read("xpos")

    @property
    def xmat(self) -> np.ndarray:
        return self._read("xmat")

    @property
    def site_xpos(self) -> np.ndarray:
        return self._read("site_xpos")

    @property
    def site_xmat(self) -> np.ndarray:
        return self._read("site_xmat")

    @property
    def geom_xpos(self) -> np.ndarray:
        return self._read("geom_xpos")

    @property
    def geom_xmat(self) -> np.ndarray:
        return self._read("geom_xmat")

    @property
    def cam_xpos(self) -> np.ndarray:
        return self._read("cam_xpos")

    @property
    def cam_xmat(self) -> np.ndarray:
        return self._read("cam_xmat")

    @property
    def light_xpos(self) -> np.ndarray:
        return self._read("light_xpos")

    @property
    def light_xdir(self) -> np.ndarray:
        return self._read("light_xdir")

    @property
    def state_size(self) -> int:
        return self._columns[STATE_FIELDS[-1]].stop

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
        ids = np.asarray(ids)
        self._write_state(ids, self._checked_states(state, num_states=len(ids)))
        self.forward(ids)

    def place(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        state = np.zeros((len(qpos), self.state_size))
        state[:, self._columns["qpos"]] = qpos
        self.set_state(ids, state)

    def _write_state(self, ids: np.ndarray, state: np.ndarray) -> None:
        """Write saved states [len(ids), state_size]; poses stay as they are."""
        self._write(ids, {name: state[:, columns] for name, columns in self._columns.items()})

    def _checked_states(self, state: np.ndarray, *, num_states: int) -> np.ndarray:
        """Saved states as float64 [num_states, state_size].

        Raises:
            DataError: the states have another size or are not finite.
        """
        state = np.asarray(state)
        if state.dtype.kind not in "fiu":
            raise DataError(f"expected states of numbers, got {state.dtype}.")
        if state.shape != (num_states, self.state_size):
            raise DataError(f"expected {num_states} states of {self.state_size} numbers, got shape {state.shape}.")
        state = state.astype(np.float64)
        if not np.isfinite(state).all():
            raise DataError("a physical state holds numbers that are not finite.")
        return state


def _count_substeps(model: mujoco.MjModel, control_timestep: float) -> int:
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
