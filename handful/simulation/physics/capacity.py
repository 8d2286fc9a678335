"""ContactCapacity for contacts and constraints on a GPU, and what was lost where it was too small."""

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
"""Capacity per degree of freedom of the model, besides 32 contacts and 64 rows.

Scripted episodes of the six tasks, 16 side by side at full randomisation, had at most 0.3 to 1.3 contacts on average over
the simulations, which share their room, and 3 to 7 rows in any one of them (MuJoCo on the CPU)."""

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ContactCapacity:
    """What is set aside for one simulation, under `mujoco_warp`'s names."""

    nconmax: int
    """Contacts; the simulations share theirs, so that one may have more while others have less."""
    njmax: int
    """Rows of constraints: friction of joints, limits, and some for each contact."""

    @classmethod
    def for_model(cls, model: mujoco.MjModel) -> ContactCapacity:
        """ContactCapacity with a margin for any state of one of our tasks; see `CONTACTS_PER_DOF`."""
        return cls(32 + round(CONTACTS_PER_DOF * model.nv), 64 + round(CONSTRAINTS_PER_DOF * model.nv))


_REMEDIES = {
    OverflowType.NEFC: "njmax",
    OverflowType.NJMAX_NNZ: "njmax",
    OverflowType.BROADPHASE: "nconmax",
    OverflowType.NARROWPHASE: "nconmax",
    OverflowType.CCD: "nconmax",
}
"""Overflows that lose contacts or constraints, and the room to enlarge. The others are limits on iterations, at which the
solver stops with what it has, as MuJoCo's does."""

_LOSS = int(functools.reduce(operator.or_, _REMEDIES))


class OverflowCounter:
    """Counts the simulations that lost contacts or constraints, and says so once.

    Attributes:
        latest: Where some were lost in the last control step, bool [env]. Where the shared room for contacts was too small,
            any simulation may have lost some, and all are named.
        total: How often a simulation lost some since the beginning, at most once a control step.
    """

    def __init__(self, room: ContactCapacity, num_envs: int) -> None:
        """Begin with nothing lost."""
        self._room = room
        self.latest = np.zeros(num_envs, bool)
        self.total = 0

    def count(self, overflow: np.ndarray) -> None:
        """Take in `mujoco_warp`'s bits of one control step, [env]."""
        self.latest = (overflow & _LOSS) != 0
        if self.latest.any() and not self.total:
            bits = int(np.bitwise_or.reduce(overflow))
            short = sorted({name for bit, name in _REMEDIES.items() if bits & bit})
            _logger.warning(
                "%d of %d simulations had more contacts or constraints than there was room for, and lost some: their "
                "physics is wrong until %s is raised in its ContactCapacity. This is logged once.",
                self.latest.sum(),
                len(self.latest),
                " and ".join(f"{name} ({getattr(self._room, name)} a simulation)" for name in short),
            )
        self.total += int(self.latest.sum())
