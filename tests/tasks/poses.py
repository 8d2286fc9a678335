"""Poses of a task's objects, for tests that move them."""

import numpy as np


def pose(environment, name):
    """Live position and quaternion of a free body, [env, 7]."""
    address = environment.physics.model.joint(name).qposadr[0]
    return environment.physics.qpos[:, address : address + 7]


def moved(environment):
    """The snapshot after poses were written."""
    environment.physics.forward(np.arange(environment.num_envs))
    return environment.snapshot
