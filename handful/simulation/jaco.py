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
from handful.simulation.arm import Arm, add_velocity_servo, add_visual_meshes

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

GRAY_MATERIALS = ("jaco/dark_gray", "jaco/light_gray", "jaco/hand/dark_gray", "jaco/hand/light_gray")
"""Materials of all visible parts of the arm."""


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
        name = joint.removeprefix(ARM_PREFIX)
        add_velocity_servo(arm, name, gain=ARM_VELOCITY_GAIN, speed=speed, force=torque)
    for joint in FINGER_JOINTS:
        name, speed = joint.removeprefix(ARM_PREFIX), FINGER_VELOCITY_LIMIT
        add_velocity_servo(arm, name, gain=FINGER_VELOCITY_GAIN, speed=speed, force=FINGER_TORQUE_LIMIT)
    add_visual_meshes(arm)
    return arm


def _model_folder() -> pathlib.Path:
    """Folder of Kinova's model; found without an import of dm_control, which would load OpenGL bindings."""
    package = importlib.util.find_spec("dm_control")
    if package is None or package.submodule_search_locations is None:
        raise ConfigurationError("the package 'dm-control', which holds Kinova's model of the Jaco, is not installed.")
    return pathlib.Path(next(iter(package.submodule_search_locations))) / "third_party" / "kinova"


JACO = Arm(
    name="jaco",
    load=load_jaco,
    joints=ARM_JOINTS,
    finger_joints=FINGER_JOINTS,
    velocity_limits=ARM_VELOCITY_LIMITS,
    finger_velocity_limit=FINGER_VELOCITY_LIMIT,
    finger_open=FINGER_OPEN,
    finger_closed=FINGER_CLOSED,
    home=HOME_QPOS[:6],
    tool_site=TCP_SITE,
    materials=(GRAY_MATERIALS[::2], GRAY_MATERIALS[1::2]),
)
"""The arm."""
