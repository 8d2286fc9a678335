"""Many simulations on the CPU: MuJoCo's own batch, stepped on a thread pool, the same bits at any number of threads."""

from __future__ import annotations

import mujoco
import numpy as np
from mujoco import mjtWarning

from handful.simulation.physics.base import ARRAYS, BasePhysics
from handful.simulation.physics.protocol import STATE_FIELDS

_BAD_NUMBERS = [
    int(mjtWarning.mjWARN_BADQPOS),
    int(mjtWarning.mjWARN_BADQVEL),
    int(mjtWarning.mjWARN_BADQACC),
    int(mjtWarning.mjWARN_BADCTRL),
]
_OVERFLOWS = [int(mjtWarning.mjWARN_CONTACTFULL), int(mjtWarning.mjWARN_CNSTRFULL)]


class BatchPhysics(BasePhysics):
    """Simulations in a `mujoco.batch.Batch`; see `handful.simulation.physics.protocol.Physics`.

    Its arrays are MuJoCo's own memory: ``qpos[i] = ...`` writes the state of simulation i, and what is written to a
    ``field`` counts at once, except for what `update_constants` derives from it.
    """

    def __init__(
        self, model: mujoco.MjModel, *, num_envs: int, control_timestep: float, num_threads: int | None = None
    ) -> None:
        """Build the batch; see `handful.simulation.physics.factory.make_physics` for the arguments and errors."""
        super().__init__(model, num_envs=num_envs, control_timestep=control_timestep, num_threads=num_threads)
        # MuJoCo writes its warnings to stderr and to a file in the working folder; `step` counts and reports them.
        if mujoco.get_mju_user_warning() is None:
            mujoco.set_mju_user_warning(lambda message: None)
        self._num_overflows = 0
        self._arrays = {name: self._batch.bind(name) for name in {*STATE_FIELDS, *ARRAYS}}
        self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)

    def _read(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def _write(self, ids: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        for name, rows in fields.items():
            self._arrays[name].reshape(self.num_envs, -1)[ids] = rows

    @property
    def num_overflows(self) -> int:
        return self._num_overflows + int(self._batch.warning[:, _OVERFLOWS, 1].sum())

    def update_constants(self, ids: np.ndarray) -> None:
        state = self.get_state(ids)
        self._batch.set_const(ids)  # moves the simulations to the model's default positions
        self._write_state(ids, state)

    def forward(self, ids: np.ndarray) -> None:
        self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_VEL)

    def jacobian(self, site: str) -> np.ndarray:
        site_id = self.model.site(site).id
        linear, angular = self._batch.jac(self.model.site_bodyid[site_id], self.site_xpos[:, site_id])
        return np.concatenate([linear, angular], axis=1)

    def step(self, control: np.ndarray) -> np.ndarray:
        self._arrays["ctrl"][:] = control
        # MuJoCo resets a simulation that diverges and its warnings with it, so each step counts from 0.
        self._num_overflows = self.num_overflows
        self._batch.warning[:] = 0
        # Poses would be those of the state before the last substep if no stage were asked for.
        self._batch.step(nstep=self.num_substeps, stage=mujoco.mjtStage.mjSTAGE_VEL)
        diverged = self._batch.warning[:, _BAD_NUMBERS, 1].any(axis=1)
        return diverged | ~np.isfinite(self.qpos).all(axis=1)
