"""Memory for contacts and constraints on a GPU, and a count of what did not fit into it."""

from __future__ import annotations

import dataclasses
import functools
import logging
import operator

import mujoco
import numpy as np
from mujoco_warp import OverflowType

CONTACTS_PER_DOF = 2.0
CONSTRAINTS_PER_DOF = 12.0
"""Capacity for each degree of freedom of the model, in addition to 32 contacts and 64 rows. Scripted episodes of the six
tasks, 16 side by side at full randomisation, had at most 0.3 to 1.3 contacts for each degree of freedom on average over the
simulations, which share their capacity for contacts, and 3 to 7 rows in any one of them (MuJoCo on the CPU)."""

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ContactCapacity:
    """Capacity for one simulation, under `mujoco_warp`'s names."""

    nconmax: int
    """Contacts. The simulations share their capacity: one may have more of them while others have fewer."""
    njmax: int
    """Rows of constraints: joint friction, joint limits, and several for each contact."""

    @classmethod
    def for_model(cls, model: mujoco.MjModel) -> ContactCapacity:
        """Capacity with a margin for any state of the six tasks; see `CONTACTS_PER_DOF`."""
        return cls(32 + round(CONTACTS_PER_DOF * model.nv), 64 + round(CONSTRAINTS_PER_DOF * model.nv))


_REMEDIES = {
    OverflowType.NEFC: "njmax",
    OverflowType.NJMAX_NNZ: "njmax",
    OverflowType.BROADPHASE: "nconmax",
    OverflowType.NARROWPHASE: "nconmax",
    OverflowType.CCD: "nconmax",
}
"""Overflows that lose contacts or constraints, and the capacity to raise. The other overflows are limits on iterations, at
which the solver stops with its present result, as MuJoCo's does."""

_LOSS = int(functools.reduce(operator.or_, _REMEDIES))


class OverflowCounter:
    """Counts the simulations that lost contacts or constraints, and logs a warning at the first loss.

    Attributes:
        latest: Simulations that lost some in the last control step, bool [env]. Where the shared capacity for contacts was
            too small, any simulation may have lost some, and all are marked.
        total: Control steps of simulations that lost some, since the beginning.
    """

    def __init__(self, capacity: ContactCapacity, num_envs: int) -> None:
        """Start at zero."""
        self._capacity = capacity
        self.latest = np.zeros(num_envs, bool)
        self.total = 0

    def count(self, overflow: np.ndarray) -> None:
        """Count one control step; ``overflow`` has `mujoco_warp`'s bits of each simulation, [env]."""
        self.latest = (overflow & _LOSS) != 0
        if self.latest.any() and not self.total:
            bits = int(np.bitwise_or.reduce(overflow))
            short = sorted({name for bit, name in _REMEDIES.items() if bits & bit})
            _logger.warning(
                "%d of %d simulations had more contacts or constraints than their capacity, and lost some: their physics "
                "is wrong. To prevent this, raise %s in `ContactCapacity`. This is logged once.",
                self.latest.sum(),
                len(self.latest),
                " and ".join(f"{name} ({getattr(self._capacity, name)} for each simulation)" for name in short),
            )
        self.total += int(self.latest.sum())
