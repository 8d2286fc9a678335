"""From a wanted motion of the tool to joint velocities that a person can trust.

Nothing goes through the table or past a joint's limit; near singular poses and at the edge of reach the arm slows down;
what is let go stops.
"""

from __future__ import annotations

import mujoco
import numpy as np

from handful.geometry import matrix_from_rotation_vector, rotation_error
from handful.simulation import jaco
from handful.simulation.physics.protocol import Physics

GAIN = 5.0
"""How fast an error of the tool decays, k [1/s]."""

LEASH_M, LEASH_RAD = 0.02, 0.15
"""How far the target may run ahead of the tool."""

SINGULAR_VALUE, DAMPING = 0.12, 0.12
"""Least singular value s of the Jacobian below which damping sets in, and the damping at s = 0 (rows of metres and
radians alike; Nakamura & Hanafusa 1986)."""

JOINT_MARGIN, JOINT_GAIN = 0.03, 4.0
"""Distance that is kept from a joint's limit [rad], and how fast a joint may approach it [1/s]."""

TABLE_MARGIN, TABLE_GAIN = 0.005, 6.0
"""Height over the table that every point of the hand keeps [m], and how fast it may sink to it [1/s]."""

ACCELERATION = 4.0
"""Largest change of a joint's speed [rad/s^2] when it speeds up; braking is not limited but by the servos (our choice)."""

FINGER_GAIN = 8.0
"""How fast a finger follows its target [1/s of its highest speed]."""

SQUEEZE = 0.3
"""How far the fingers' target may run ahead of them [rad]: fingers that hold something go on pressing it."""

_NUM_ARM = len(jaco.ARM_JOINTS)


class SafeControl:
    """Moves the tool of one simulation as commanded, within what is safe.

    With the wanted twist u, the Jacobian J and its least singular value s:

        lambda^2 = damping^2 (1 - (s / s0)^2) below s0, else 1e-6
        q' = J^T (J J^T + lambda^2 I)^-1 u

    Then, one after the other: all six q' are scaled by one factor where one passes its limit of speed; joints near a limit
    of position are held back, and the others solve for what is left; points of the hand near the table may sink at
    most at TABLE_GAIN times their height over the margin, by the smallest change of q' that does it; and q' may not grow
    faster than ACCELERATION.
    """

    def __init__(self, physics: Physics, *, control_timestep: float, env: int = 0) -> None:
        """Steer one simulation of ``physics``, with ``control_timestep`` between two actions [s]."""
        self._physics, self._env, self._timestep = physics, env, control_timestep
        self._model = physics.model
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(jaco.TCP_SITE).id
        self._points = _hand_points(self._model)
        limited = self._model.jnt_limited[:_NUM_ARM].astype(bool)
        self._low = np.where(limited, self._model.jnt_range[:_NUM_ARM, 0], -np.inf)
        self._high = np.where(limited, self._model.jnt_range[:_NUM_ARM, 1], np.inf)
        self.reset()

    def reset(self) -> None:
        """Take the present pose of the tool and of the fingers as the target."""
        self._look()
        self._position, self._rotation = self._tool()
        self._fingers = self._finger_positions()
        self._velocity = np.zeros(_NUM_ARM)

    def action(self, twist: np.ndarray, fingers: float) -> np.ndarray:
        """Joint velocities as fractions of their limits, float32 [9].

        ``twist`` is the wanted velocity [m/s] and angular velocity [rad/s] of the tool, world frame, [6]; ``fingers`` that
        of the fingers as a fraction of their limit, positive closes.
        """
        self._look()
        position, rotation = self._tool()
        still = not twist.any()
        if still:  # let go: stay where the arm is, and pull no more
            velocity = np.zeros(_NUM_ARM)
            self._position, self._rotation = position, rotation
        else:
            followed = self._followed(twist, position, rotation)
            followed[2] = max(
                followed[2], -TABLE_GAIN * (self._lowest() - TABLE_MARGIN)
            )  # or the tool would slide aside
            velocity = self._solve(followed)
        finger_action = self._finger_action(fingers)
        velocity = self._above_table(self._within_limits(velocity), jaco.FINGER_VELOCITY_LIMIT * finger_action)
        velocity = self._accelerated(velocity)
        self._velocity = velocity
        fraction = velocity / jaco.ARM_VELOCITY_LIMITS
        return np.concatenate([fraction, finger_action]).clip(-1.0, 1.0).astype(np.float32)

    def lowest(self) -> float:
        """Height of the hand's lowest point over the table [m]."""
        self._look()
        return self._lowest()

    def _lowest(self) -> float:
        return float(min(point[2] for point, _ in self._low_points()))

    def _look(self) -> None:
        """Compute the poses of the arm alone at the simulation's present positions."""
        self._data.qpos[:] = self._physics.qpos[self._env]
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def _tool(self) -> tuple[np.ndarray, np.ndarray]:
        """Position [m] and rotation of the tool, world frame."""
        return self._data.site_xpos[self._site].copy(), self._data.site_xmat[self._site].reshape(3, 3).copy()

    def _followed(self, twist: np.ndarray, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Move the target as wanted and return the twist that follows it, [6]."""
        ahead = self._position + twist[:3] * self._timestep - position
        turn = matrix_from_rotation_vector(twist[3:] * self._timestep) @ self._rotation
        turned = _shortened(rotation_error(rotation, turn), LEASH_RAD)
        self._position = position + _shortened(ahead, LEASH_M)
        self._rotation = matrix_from_rotation_vector(turned) @ rotation
        return twist + GAIN * np.concatenate([self._position - position, rotation_error(rotation, self._rotation)])

    def _jacobian(self) -> np.ndarray:
        """Of the tool, for the arm's joints, [6, 6]."""
        linear, angular = np.zeros((2, 3, self._model.nv))
        mujoco.mj_jacSite(self._model, self._data, linear, angular, self._site)
        return np.concatenate([linear, angular])[:, :_NUM_ARM]

    def _solve(self, twist: np.ndarray) -> np.ndarray:
        """Joint velocities [rad/s] for a twist, damped, with joints at their limits left out."""
        jacobian, free = self._jacobian(), np.ones(_NUM_ARM, bool)
        velocity, rest = np.zeros(_NUM_ARM), twist
        for _ in range(3):
            velocity[free] = _damped(jacobian[:, free], rest)
            velocity *= 1.0 / max(1.0, float(np.max(np.abs(velocity) / jaco.ARM_VELOCITY_LIMITS)))
            held = self._within_limits(velocity)
            blocked = free & (np.abs(held - velocity) > 1e-9)
            if not blocked.any():
                break
            free &= ~blocked
            velocity[blocked] = held[blocked]
            rest = twist - jacobian[:, ~free] @ velocity[~free]
            if not free.any():
                break
        return velocity * 1.0 / max(1.0, float(np.max(np.abs(velocity) / jaco.ARM_VELOCITY_LIMITS)))

    def _within_limits(self, velocity: np.ndarray) -> np.ndarray:
        """Velocities with which no joint passes its limit of position."""
        position = self._data.qpos[:_NUM_ARM]
        highest = JOINT_GAIN * (self._high - JOINT_MARGIN - position)
        lowest = JOINT_GAIN * (self._low + JOINT_MARGIN - position)
        return np.clip(velocity, np.minimum(lowest, 0.5), np.maximum(highest, -0.5))

    def _low_points(self) -> list[tuple[np.ndarray, int]]:
        """The lowest point of each part of the hand [m], world frame, with its body."""
        points = []
        for geom, vertices in self._points:
            rotation = self._data.geom_xmat[geom].reshape(3, 3)
            lowest = vertices[np.argmin(vertices @ rotation[2])]
            points.append((self._data.geom_xpos[geom] + rotation @ lowest, int(self._model.geom_bodyid[geom])))
        return points

    def _above_table(self, velocity: np.ndarray, fingers: np.ndarray) -> np.ndarray:
        """The nearest velocities with which no point of the hand sinks too fast, whose fingers move at [rad/s], [3]."""
        rows = []
        for point, body in self._low_points():
            clearance = point[2] - TABLE_MARGIN
            if clearance < 0.15:
                linear = np.zeros((3, self._model.nv))
                mujoco.mj_jac(self._model, self._data, linear, None, point, body)
                sinking = float(linear[2, _NUM_ARM : len(jaco.JOINTS)] @ fingers)
                rows.append((linear[2, :_NUM_ARM], -TABLE_GAIN * clearance - sinking))
        for _ in range(8):  # cyclic projections; two or three do
            for row, least in rows:
                missing = min(least, 0.05) - row @ velocity
                if missing > 0.0:
                    velocity = velocity + row * missing / max(row @ row, 1e-6)
        return velocity / max(1.0, float(np.max(np.abs(velocity) / jaco.ARM_VELOCITY_LIMITS)))

    def _accelerated(self, velocity: np.ndarray) -> np.ndarray:
        """Velocities that grow no faster than allowed, scaled together so that the tool keeps its direction."""
        step = ACCELERATION * self._timestep
        grown = np.abs(velocity) > np.abs(self._velocity) + step
        if not grown.any():
            return velocity
        allowed = (np.abs(self._velocity[grown]) + step) / np.abs(velocity[grown])
        return velocity * float(allowed.min())

    def _finger_positions(self) -> np.ndarray:
        return self._physics.qpos[self._env, _NUM_ARM : len(jaco.JOINTS)]

    def _finger_action(self, wanted: float) -> np.ndarray:
        """Fractions of the fingers' speed limit, [3]: they follow a target, so that what is held stays pressed."""
        now = self._finger_positions()
        target = self._fingers + wanted * jaco.FINGER_VELOCITY_LIMIT * self._timestep
        target = np.clip(target, now.mean() - SQUEEZE, now.mean() + SQUEEZE)
        self._fingers = np.clip(target, jaco.FINGER_OPEN, jaco.FINGER_CLOSED + SQUEEZE)
        return np.clip(FINGER_GAIN * (self._fingers - now), -1.0, 1.0)


def _damped(jacobian: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Damped least squares: more damping the nearer the Jacobian [6, n] is to a singular one."""
    least = float(np.linalg.svd(jacobian, compute_uv=False)[-1]) if jacobian.shape[1] == 6 else 0.0
    damping = max(1e-6, DAMPING**2 * (1.0 - (least / SINGULAR_VALUE) ** 2))
    return jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + damping * np.eye(6), twist)


def _shortened(vector: np.ndarray, longest: float) -> np.ndarray:
    return vector * min(1.0, longest / max(float(np.linalg.norm(vector)), 1e-12))


def _hand_points(model: mujoco.MjModel) -> list[tuple[int, np.ndarray]]:
    """Corners of every touching part of the wrist and the hand, by geom, in its frame [m], [corner, 3]."""
    points = []
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        moving = body.startswith(f"{jaco.ARM_PREFIX}hand/") or body in (
            f"{jaco.ARM_PREFIX}b_4",
            f"{jaco.ARM_PREFIX}b_5",
        )
        if moving and model.geom_contype[geom] and model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = model.geom_dataid[geom]
            begin, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
            points.append((geom, model.mesh_vert[begin : begin + count].astype(np.float64)))
    return points
