"""The Kinova Jaco: six arm joints, three fingers, nine velocity servos.

Geometry, inertia and (decimated) meshes are those of Kinova's own model, which DeepMind ships in
``dm_control/third_party/kinova``. Its files have no actuators: the gains and limits below are those of the data sheet, as
``dm_control`` derives them.
"""

from __future__ import annotations

import importlib.util
import pathlib

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation.simplification import simplified_mesh

ARM_PREFIX = "jaco/"
"""Prefix of the names of the arm's parts in a scene."""

ARM_JOINTS = tuple(f"jaco/joint_{i}" for i in range(1, 7))
"""Hinges from base to wrist; 1, 4, 5 and 6 have no limits."""

FINGER_JOINTS = tuple(f"jaco/hand/finger_{i}" for i in range(1, 4))
"""Proximal finger hinges; 0.15 rad is open, 1.35 rad is closed."""

JOINTS = ARM_JOINTS + FINGER_JOINTS

ARM_VELOCITY_LIMITS = np.deg2rad([36.0, 36.0, 36.0, 48.0, 48.0, 48.0])
"""Highest joint speeds [rad/s] (Kinova data sheet)."""

ARM_TORQUE_LIMITS = np.array([30.5, 30.5, 30.5, 6.8, 6.8, 6.8])
"""Highest joint torques [N m] (Kinova data sheet, peak)."""

ARM_VELOCITY_GAIN = 500.0
"""Velocity gain of the arm's servos [N m s/rad] (dm_control's Jaco)."""

FINGER_VELOCITY_LIMIT = 1.0
"""Highest finger speed commanded [rad/s]: 1.2 rad of travel in the data sheet's closing time of 1.2 s."""

FINGER_TORQUE_LIMIT = 1.0
"""Highest finger torque [N m]: a grip of about 25 N (data sheet, as dm_control tunes it)."""

FINGER_VELOCITY_GAIN = 10.0
"""Velocity gain of the fingers' servos [N m s/rad] (dm_control's Jaco)."""

VELOCITY_LIMITS = np.concatenate([ARM_VELOCITY_LIMITS, np.full(3, FINGER_VELOCITY_LIMIT)])
"""Speed of each joint that an action of 1 commands [rad/s]."""

FINGER_OPEN, FINGER_CLOSED = 0.15, 1.35
"""Range of a finger joint [rad] (Kinova's model)."""

HOME_QPOS = np.array([0.125, 2.549, 4.701, 0.317, -1.161, 0.443, 0.15, 0.15, 0.15])
"""Joint angles [rad] with the tool at (0.45, 0, 0.20) m and pointing down, the fingers open, and one finger on each side of
the camera's vertical plane (found by inverse kinematics, checked in a test)."""

TCP_SITE = "jaco/hand/pinchsite"
"""Site of the tool point, between the finger tips, where a pinch grasp holds an object."""

VISUAL_GROUP, COLLISION_GROUP = 2, 3
"""Geom groups of visible geoms and of collision geoms; renderers draw groups 0 to 2."""

GRAY_MATERIALS = ("jaco/dark_gray", "jaco/light_gray", "jaco/hand/dark_gray", "jaco/hand/light_gray")
"""Materials of all visible parts of the arm."""


def velocity_commands(action: np.ndarray, num_envs: int) -> np.ndarray:
    """Velocity commands [rad/s] of actions in [-1, 1], [env, joint]; larger ones are clipped.

    Raises:
        ConfigurationError: the actions have a wrong shape or are not finite numbers.
    """
    action, expected = np.asarray(action), (num_envs, len(JOINTS))
    if action.shape != expected:
        raise ConfigurationError(f"expected an action of shape {expected}, got {action.shape}.")
    if action.dtype.kind not in "fiu":
        raise ConfigurationError(f"expected an action of numbers, got {action.dtype}.")
    if not np.isfinite(action).all():
        raise ConfigurationError("expected finite actions in [-1, 1], got one that is not a number or infinite.")
    return np.clip(action, -1.0, 1.0) * VELOCITY_LIMITS


def load_jaco() -> mujoco.MjSpec:
    """The arm with hand and actuators; base at the origin, z up.

    It has no options or flags: `MjSpec.attach` drops them, so the scene sets its own.

    Raises:
        ConfigurationError: ``dm-control``, which holds the model files, is not installed.
    """
    folder = _model_folder()
    arm = mujoco.MjSpec.from_file(str(folder / "jaco_arm.xml"))
    hand = mujoco.MjSpec.from_file(str(folder / "jaco_hand.xml"))
    arm.attach(hand, site=arm.site("wristsite"), prefix="hand/")
    for joint, speed, torque in zip(ARM_JOINTS, ARM_VELOCITY_LIMITS, ARM_TORQUE_LIMITS, strict=True):
        _add_velocity_servo(arm, joint, gain=ARM_VELOCITY_GAIN, speed=speed, torque=torque)
    for joint in FINGER_JOINTS:
        speed, torque = FINGER_VELOCITY_LIMIT, FINGER_TORQUE_LIMIT
        _add_velocity_servo(arm, joint, gain=FINGER_VELOCITY_GAIN, speed=speed, torque=torque)
    _add_visual_meshes(arm)
    for body in arm.bodies:
        # As in the real controller; without it the arm sags by a degree a second under a zero command.
        body.gravcomp = 1.0
    return arm


def _add_velocity_servo(spec: mujoco.MjSpec, joint: str, *, gain: float, speed: float, torque: float) -> None:
    """Add a servo with torque = gain * (command - joint velocity), both limited."""
    name = joint.removeprefix(ARM_PREFIX)
    actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_velocity(kv=gain)
    actuator.ctrllimited = True
    actuator.ctrlrange = (-speed, speed)
    actuator.forcelimited = True
    actuator.forcerange = (-torque, torque)


def _add_visual_meshes(arm: mujoco.MjSpec) -> None:
    """Add a simplified, visible mesh for each mesh, and hide the original, which keeps contact and inertia.

    An original link has about a thousand triangles: more than a 64 x 64 image can show, and slow in every renderer.
    """
    compiled = arm.copy().compile()
    for mesh in list(arm.meshes):
        vertices, faces = simplified_mesh(compiled, mesh.name)
        visual = arm.add_mesh(name=f"{mesh.name}_look", uservert=vertices.ravel(), userface=faces.ravel())
        visual.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # unused, but thin meshes do not compile without it
    for body in arm.bodies:
        for geom in list(body.geoms):
            if geom.type != mujoco.mjtGeom.mjGEOM_MESH:
                continue
            body.add_geom(
                name=f"{geom.name}_look",
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=f"{geom.meshname}_look",
                material=geom.material,
                pos=geom.pos,
                quat=geom.quat,
                contype=0,
                conaffinity=0,
                mass=0.0,
                group=VISUAL_GROUP,
            )
            geom.group = COLLISION_GROUP


def _model_folder() -> pathlib.Path:
    """Folder of Kinova's model; found without an import of dm_control, which would load OpenGL bindings."""
    package = importlib.util.find_spec("dm_control")
    if package is None or package.submodule_search_locations is None:
        raise ConfigurationError("the package 'dm-control', which holds Kinova's model of the Jaco, is not installed.")
    return pathlib.Path(next(iter(package.submodule_search_locations))) / "third_party" / "kinova"
