"""Franka's Panda: seven arm joints, two fingers. The model comes with the package ``gymnasium-robotics``, an optional one.

Of that model, the bodies, meshes and collision geoms are taken; servos, damping and looks are our own.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation.arm import Arm, add_velocity_servo, add_visual_meshes

_JOINTS = tuple(f"robot:panda0_joint{i}" for i in range(1, 8))
_FINGER_JOINTS = tuple(f"robot:panda0_finger_joint{i}" for i in (1, 2))
_HAND = "panda0_link7"

VELOCITY_LIMITS = np.array([0.7, 0.7, 0.7, 0.7, 0.9, 0.9, 0.9])
"""Speed that an action of 1 commands [rad/s]: a third of what the data sheet allows, so that the tool moves as fast as the
Jaco's."""

TORQUE_LIMITS = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
"""Highest joint torques [N m] (Franka's data sheet)."""

VELOCITY_GAINS = np.array([200.0, 200.0, 200.0, 200.0, 60.0, 60.0, 60.0])
"""Velocity gains of the servos [N m s/rad] (our choice)."""

ARMATURES = np.array([1.5, 1.5, 1.5, 1.5, 0.4, 0.4, 0.4])
"""Inertia of the motors behind their gears [kg m^2] (our choice). A servo at its highest torque must not pass, within one
time step, from one side of the range of speeds in which it is not at that torque to the other, or it chatters:
torque * time step / armature < 2 * torque / gain."""

FINGER_VELOCITY_GAIN, FINGER_ARMATURE = 600.0, 5.0
"""The same of a finger [N s/m], [kg]; the armature is that of Franka's model."""

FINGER_FORCE = 20.0
"""Highest force of a finger [N]; the data sheet allows 70."""

FINGER_OPEN, FINGER_CLOSED = 0.04, 0.0
"""Range of a finger joint [m] (Franka's model)."""

_TOOL_POSITION = (0.0, 0.0, 0.247)
"""The tool point in the frame of the last link [m]: 13 mm above the ends of the fingers."""

_TOOL_TURN = 0.25 * np.pi
"""Angle about z from the last link to the tool [rad], whose x axis is the one along which the fingers close."""

HOME = np.array([0.0, -0.1609, 0.0, -2.5109, 0.0, 0.78, 0.0])
"""Joint angles [rad] with the tool at (0.45, 0, 0.20) m, pointing down (found by inverse kinematics, checked in a test)."""


def load_panda() -> mujoco.MjSpec:
    """The arm with hand and servos.

    Raises:
        ConfigurationError: ``gymnasium-robotics``, which holds the model files, is not installed.
    """
    folder = _model_folder()
    parts = [re.sub(r"</?mujocoinclude>", "", (folder / name).read_text()) for name in ("assets.xml", "chain.xml")]
    assets = parts[0].replace('meshdir="franka_assets/meshes"', f'meshdir="{folder / "meshes"}"')
    assets = re.sub(r"<(size|option) [^>]*>", "", assets)  # the scene has its own
    arm = mujoco.MjSpec.from_string(f"<mujoco>{assets}<worldbody>{parts[1]}</worldbody></mujoco>")
    for shade in ("dark", "light"):
        arm.add_material(name=shade)
    for body in arm.bodies:
        for number, geom in enumerate(list(body.geoms)):
            geom.name = f"{body.name}_{number}"
            is_finger = "finger" in body.name
            if geom.classname.name == "panda_viz" and not is_finger:
                arm.delete(geom)
            elif geom.type == mujoco.mjtGeom.mjGEOM_MESH:
                geom.material = "dark" if is_finger else "light"
    limits = zip(_JOINTS, VELOCITY_LIMITS, TORQUE_LIMITS, VELOCITY_GAINS, ARMATURES, strict=True)
    for name, speed, torque, gain, armature in limits:
        add_velocity_servo(arm, name, gain=gain, speed=speed, force=torque)
        arm.joint(name).damping, arm.joint(name).armature = (1.0, 0.0, 0.0), armature
    for name in _FINGER_JOINTS:  # which close towards smaller positions
        options = {"gain": FINGER_VELOCITY_GAIN, "speed": PANDA.finger_velocity_limit, "force": FINGER_FORCE}
        add_velocity_servo(arm, name, **options, gear=-1.0)
        arm.joint(name).damping, arm.joint(name).armature = (1.0, 0.0, 0.0), FINGER_ARMATURE
    half = 0.5 * _TOOL_TURN
    arm.body(_HAND).add_site(name="tool", pos=_TOOL_POSITION, quat=(np.cos(half), 0.0, 0.0, np.sin(half)))
    add_visual_meshes(arm)
    return arm


def _model_folder() -> pathlib.Path:
    package = importlib.util.find_spec("gymnasium_robotics")
    if package is None or package.submodule_search_locations is None:
        raise ConfigurationError(
            "the arm 'panda' needs the package gymnasium-robotics, which holds its model: pip install gymnasium-robotics."
        )
    root = pathlib.Path(next(iter(package.submodule_search_locations)))
    return root / "envs" / "assets" / "kitchen_franka" / "franka_assets"


PANDA = Arm(
    name="panda",
    load=load_panda,
    joints=tuple(f"panda/{name}" for name in _JOINTS),
    finger_joints=tuple(f"panda/{name}" for name in _FINGER_JOINTS),
    velocity_limits=VELOCITY_LIMITS,
    finger_velocity_limit=1.0 / 30.0,
    finger_open=FINGER_OPEN,
    finger_closed=FINGER_CLOSED,
    home=HOME,
    tool_site="panda/tool",
    materials=(("panda/dark",), ("panda/light",)),
)
"""The arm."""
