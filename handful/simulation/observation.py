"""What the arm's own sensors measure, and its complete state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handful.simulation import jaco
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics

_ARM = slice(0, len(jaco.ARM_JOINTS))
_FINGERS = slice(len(jaco.ARM_JOINTS), len(jaco.JOINTS))


def _joints(name: str, joints: slice, function: Callable[[Physics], np.ndarray]) -> Observable:
    """An observable of one entry for each of those joints, numbered from 1."""
    numbers = [str(number) for number in range(1, joints.stop - joints.start + 1)]
    return Observable.vector(name, lambda snapshot: function(snapshot.physics), numbers)


ARM_SENSORS = (
    _joints("sin_joint", _ARM, lambda physics: np.sin(physics.qpos[:, _ARM])),
    _joints("cos_joint", _ARM, lambda physics: np.cos(physics.qpos[:, _ARM])),
    _joints("velocity_joint", _ARM, lambda physics: physics.qvel[:, _ARM]),
    _joints("finger", _FINGERS, lambda physics: physics.qpos[:, _FINGERS]),
    _joints("velocity_finger", _FINGERS, lambda physics: physics.qvel[:, _FINGERS]),
)
"""The 24 numbers of the group ``proprioception``: sines and cosines of the arm's joints, which turn without limit, their
velocities [rad/s], finger positions [rad] and velocities [rad/s] (our choice; the paper's appendix is not public)."""


ARM_STATE = (
    *ARM_SENSORS,
    Observable.vector("tcp", lambda snapshot: snapshot.tcp_position),
    Observable.matrix("tcp_rotation", lambda snapshot: snapshot.tcp_rotation),
)
"""Proprioception, position of the tool [m] and its rotation to the world."""
