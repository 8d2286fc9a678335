"""The scene every task shares: table, backdrop, light, camera and the arm.

World frame: base of the arm at the origin, table top at z = 0, x away from the robot towards the camera, z up; metres.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from handful.simulation.arm import Arm
from handful.simulation.jaco import JACO

CAMERA = "front"
"""Name of the fixed camera in front of the table. It looks at the workspace and the robot behind it."""

CAMERA_POSITION = (0.95, 0.0, 0.45)
"""Nominal camera position [m]. A block of 5 cm covers six pixels of a 64 x 64 image."""

CAMERA_TARGET = (0.38, 0.0, 0.10)
"""Point that the camera looks at [m], a little above the middle of the workspace."""

CAMERA_FOVY = 42.0
"""Vertical field of view [deg]."""

LIGHT = "lamp"
LIGHT_POSITION = (0.9, -0.6, 1.5)
"""Nominal position of the lamp [m], in front of and above the table, so that it lights what the camera sees."""

TABLE = "table"
FLOOR = "floor"
WALL = "wall"
TABLE_COLOR = (0.55, 0.45, 0.36)
BACKDROP_COLOR = (0.35, 0.42, 0.50)

WORKSPACE_CENTER = (0.42, 0.0)
"""Middle of the area where objects begin [m]."""

OBSERVED_REGION = np.array([(-0.3, -0.7, -0.1), (1.0, 0.7, 1.2)])
"""Lowest and highest observed positions of objects [m]: the table, ten centimetres around it, and the space above that the
arm reaches. An object that fell off the table is observed at the edge of this region (`Snapshot.observed_position`)."""

PHYSICS_TIMESTEP = 0.01
"""MuJoCo's time step [s]: the largest at which grasps hold as well as at half of it (docs/decisions/0007). A prop that needs
a smaller one sets ``spec.option.timestep`` in its `add`."""

FRICTION_STIFFNESS = 30.0
"""Stiffness of friction relative to the normal direction (MuJoCo's ``impratio``). A held block creeps out of the hand at a
speed inverse to this number; larger numbers cost solver time (docs/decisions/0007)."""

CONTROL_TIMESTEP = 0.05
"""Time between two actions [s]: 20 Hz (paper, section IV-A)."""


def build_scene(arm: Arm = JACO) -> mujoco.MjSpec:
    """Table, backdrop, light, camera and arm; a task adds its props and compiles it."""
    spec = mujoco.MjSpec()
    # The options are set here, because attaching a model drops the model's own options.
    spec.compiler.degree = False
    spec.option.timestep = PHYSICS_TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = FRICTION_STIFFNESS
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_NATIVECCD
    spec.visual.headlight.ambient = (0.35, 0.35, 0.35)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    world = spec.worldbody
    world.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(0.35, 0.0, -0.02),
        size=(0.55, 0.60, 0.02),
        rgba=(*TABLE_COLOR, 1.0),
        friction=(1.0, 0.005, 0.0001),
        condim=4,
    )
    # The floor is thick, so that nothing falls through it in one time step.
    for name, pos, size, solid in (
        (FLOOR, (0.0, 0.0, -0.98), (3.0, 3.0, 0.20), 1),
        (WALL, (-0.90, 0.0, 0.50), (0.02, 3.0, 1.5), 0),
    ):
        world.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=pos,
            size=size,
            rgba=(*BACKDROP_COLOR, 1.0),
            contype=solid,
            conaffinity=solid,
        )
    world.add_light(
        name=LIGHT,
        pos=LIGHT_POSITION,
        type=mujoco.mjtLightType.mjLIGHT_POINT,
        diffuse=(0.6, 0.6, 0.6),
        specular=(0.0, 0.0, 0.0),
        castshadow=False,
    )
    world.add_camera(name=CAMERA, pos=CAMERA_POSITION, quat=look_at(CAMERA_POSITION, CAMERA_TARGET), fovy=CAMERA_FOVY)
    spec.attach(arm.load(), frame=world.add_frame(), prefix=arm.prefix)
    return spec


def look_at(position: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Orientation (wxyz) of a MuJoCo camera (looks along -z, y up) at ``position`` [m] that faces ``target`` [m]."""
    backward = np.asarray(position, float) - np.asarray(target, float)
    backward /= np.linalg.norm(backward)
    right = np.cross((0.0, 0.0, 1.0), backward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(backward, right), backward], axis=1)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, rotation.ravel())
    return quat
