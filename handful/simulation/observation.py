"""Observations of the arm: what its own sensors measure, and its state in the simulator."""

from __future__ import annotations

import numpy as np

from handful.simulation import jaco
from handful.simulation.physics.protocol import Physics

_NUM_ARM = len(jaco.ARM_JOINTS)
_NUM_JOINTS = len(jaco.JOINTS)

PROPRIOCEPTION_NAMES = (
    *(f"sin_joint_{i}" for i in range(1, _NUM_ARM + 1)),
    *(f"cos_joint_{i}" for i in range(1, _NUM_ARM + 1)),
    *(f"velocity_joint_{i}" for i in range(1, _NUM_ARM + 1)),
    *(f"finger_{i}" for i in range(1, 4)),
    *(f"velocity_finger_{i}" for i in range(1, 4)),
)
"""Entries of the group ``proprioception``. Arm joints appear as sine and cosine because some have no limits.
The list follows the paper's table A, which is cited from memory."""


def proprioception(physics: Physics) -> np.ndarray:
    """Sines and cosines of the arm's joints, their velocities [rad/s], finger positions [rad] and velocities; [env, 24]."""
    joints = physics.qpos[:, :_NUM_ARM]
    return np.concatenate(
        [
            np.sin(joints),
            np.cos(joints),
            physics.qvel[:, :_NUM_ARM],
            physics.qpos[:, _NUM_ARM:_NUM_JOINTS],
            physics.qvel[:, _NUM_ARM:_NUM_JOINTS],
        ],
        axis=1,
        dtype=np.float32,
        casting="same_kind",
    )


def arm_state_names() -> tuple[str, ...]:
    """Names of the entries of `arm_state`."""
    return (
        *PROPRIOCEPTION_NAMES,
        *(f"tcp_{axis}" for axis in "xyz"),
        *(f"tcp_rotation_{row}{column}" for row in range(3) for column in range(3)),
    )


def arm_state(physics: Physics) -> np.ndarray:
    """Proprioception, then position [m] and rotation of the tool point in the world frame; [env, 36]."""
    tcp = physics.model.site(jaco.TCP_SITE).id
    return np.concatenate(
        [proprioception(physics), physics.site_xpos[:, tcp], physics.site_xmat[:, tcp].reshape(-1, 9)], axis=1
    )
