"""What an arm must tell of itself, so that every task can be done with it.

Another arm is one file with an `Arm`, and a line in `handful.simulation.arms`; docs/adding-an-arm.md shows one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import mujoco
import numpy as np

from handful.errors import ConfigurationError

OPEN, CLOSED = 0.15, 1.35
"""What an open and a closed finger are called in observations and scripts: the Jaco's angles [rad]. Positions of other
arms' fingers are mapped to this range, linearly."""

VISUAL_GROUP, COLLISION_GROUP = 2, 3
"""Geom groups of visible geoms and of collision geoms; renderers draw groups 0 to 2."""


@dataclasses.dataclass(frozen=True, eq=False)
class Arm:
    """An arm with fingers, driven by velocity servos. Base at the origin, z up, the table in front of it towards +x.

    The names are those in a scene, where everything of the arm has the prefix ``NAME/``.
    """

    name: str
    """Name on the command line, and without the slash the prefix of its parts."""
    load: Callable[[], mujoco.MjSpec]
    """Makes the model without a prefix: bodies, the joints below in this order and no other, a velocity servo for each."""
    joints: tuple[str, ...]
    """Hinges from base to wrist, at least six."""
    finger_joints: tuple[str, ...]
    """A joint for each finger, at least two, the first opposite to the others. A positive command closes it."""
    velocity_limits: np.ndarray
    """Speed of each of the ``joints`` that an action of 1 commands [rad/s]."""
    finger_velocity_limit: float
    """Speed of a finger that an action of 1 commands [rad/s or m/s]."""
    finger_open: float
    """Position of an open finger [rad or m]."""
    finger_closed: float
    """Position of a closed finger [rad or m]."""
    home: np.ndarray
    """Positions of the ``joints`` [rad] with the tool at (0.45, 0, 0.20) m and pointing down: tool to world is the rotation
    whose columns are (0, -1, 0), (-1, 0, 0) and (0, 0, -1)."""
    tool_site: str
    """Site of the tool point, between the finger tips, where a pinch grasp holds an object. Its z axis points away from the
    hand, and the fingers close along its x axis."""
    materials: tuple[tuple[str, ...], tuple[str, ...]]
    """Names of the dark and of the light materials of all visible parts, whose shade is randomised."""

    @property
    def prefix(self) -> str:
        """Prefix of the names of its parts in a scene."""
        return f"{self.name}/"

    @property
    def all_joints(self) -> tuple[str, ...]:
        """Joints of arm and fingers, as actions command them."""
        return self.joints + self.finger_joints

    @property
    def num_arm(self) -> int:
        """Number of joints without the fingers."""
        return len(self.joints)

    @property
    def num_joints(self) -> int:
        """Number of joints with the fingers."""
        return len(self.joints) + len(self.finger_joints)

    def velocity_commands(self, action: np.ndarray, num_envs: int) -> np.ndarray:
        """Velocity commands [rad/s] of actions in [-1, 1], [env, joint]; larger ones are clipped.

        Raises:
            ConfigurationError: the actions have a wrong shape or are not finite numbers.
        """
        action, expected = np.asarray(action), (num_envs, self.num_joints)
        if action.shape != expected:
            raise ConfigurationError(f"expected an action of shape {expected}, got {action.shape}.")
        if action.dtype.kind not in "fiu":
            raise ConfigurationError(f"expected an action of numbers, got {action.dtype}.")
        if not np.isfinite(action).all():
            raise ConfigurationError("expected finite actions in [-1, 1], got one that is not a number or infinite.")
        fingers = np.full(len(self.finger_joints), self.finger_velocity_limit)
        return np.clip(action, -1.0, 1.0) * np.concatenate([self.velocity_limits, fingers])

    def finger_angles(self, positions: np.ndarray) -> np.ndarray:
        """Finger positions [rad or m] in the range from `OPEN` to `CLOSED`."""
        if (self.finger_open, self.finger_closed) == (OPEN, CLOSED):
            return positions
        return OPEN + (positions - self.finger_open) * self._finger_scale

    def finger_rates(self, velocities: np.ndarray) -> np.ndarray:
        """Finger velocities [rad/s or m/s] in the same unit."""
        return velocities * self._finger_scale

    def finger_positions(self, angles: np.ndarray) -> np.ndarray:
        """The inverse of `finger_angles`."""
        if (self.finger_open, self.finger_closed) == (OPEN, CLOSED):
            return angles
        return self.finger_open + (angles - OPEN) / self._finger_scale

    @property
    def _finger_scale(self) -> float:
        if (self.finger_open, self.finger_closed) == (OPEN, CLOSED):
            return 1.0
        return (CLOSED - OPEN) / (self.finger_closed - self.finger_open)


def add_velocity_servo(
    spec: mujoco.MjSpec, joint: str, *, gain: float, speed: float, force: float, gear: float = 1.0
) -> None:
    """Add a servo with force = gain * (command - joint velocity), both limited; a gear of -1 turns it round."""
    actuator = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_velocity(kv=gain)
    actuator.gear[0] = gear
    actuator.ctrllimited = True
    actuator.ctrlrange = (-speed, speed)
    actuator.forcelimited = True
    actuator.forcerange = (-force, force)


def add_visual_meshes(arm: mujoco.MjSpec) -> None:
    """Add a simplified, visible mesh for each mesh, and hide the original, which keeps contact and inertia.

    An original link has about a thousand triangles: more than a 64 x 64 image can show, and slow in every renderer.
    """
    from handful.simulation.simplification import simplified_mesh

    compiled = arm.copy().compile()
    for mesh in list(arm.meshes):
        vertices, faces = simplified_mesh(compiled, mesh.name)
        visual = arm.add_mesh(name=f"{mesh.name}_look", uservert=vertices.ravel(), userface=faces.ravel())
        visual.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # unused, but thin meshes do not compile without it
    for body in arm.bodies:
        # As in the real controllers; without it the Jaco sags by a degree a second under a zero command.
        body.gravcomp = 1.0
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
