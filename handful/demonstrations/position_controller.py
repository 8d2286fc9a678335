"""From commands for the tool to joint velocities: inverse kinematics under a position controller (paper, IV-A)."""

from __future__ import annotations

import numpy as np

from handful.demonstrations.operators.operator import ToolCommand
from handful.geometry import matrix_from_rotation_vector, rotation_error
from handful.simulation.arm import Arm
from handful.simulation.jaco import JACO
from handful.simulation.physics.protocol import Physics

_GAIN = 6.0
"""How fast an error decays, k [1/s]; below 1 / (2 dt), so that the servos' lag does not make it swing."""

_DAMPING = 0.03
"""Damping of the least squares [m], which bounds joint speeds near singular poses."""

_POSITION_LEASH, _ROTATION_LEASH = 0.03, 0.3
"""How far the target may run ahead of the tool [m], and turn ahead [rad]."""


class PositionController:
    """Moves a target pose as commanded and drives the tool after it; all simulations at once.

    With tool position p and rotation R, target p*, R*, commanded twist (v, w) and time step dt:

        p* <- p* + v dt,   R* <- exp(w dt) R*                              (then leashed to within reach of the tool)
        u   = (v + k (p* - p), w + k log(R* R^T))
        q'  = J^T (J J^T + damping^2 I)^-1 u                               (damped least squares)

    and all q' are scaled by one factor where one of them passes its limit, so that the tool keeps its direction.
    Because the target is integrated, a command of zero holds the pose, whatever the servos do.
    """

    def __init__(self, physics: Physics, *, control_timestep: float, arm: Arm = JACO) -> None:
        """Follow the tools of ``physics``, with ``control_timestep`` between two actions [s]."""
        self._physics, self._arm = physics, arm
        self._timestep = control_timestep
        self._site = physics.model.site(arm.tool_site).id
        self.target_position = np.zeros((physics.num_envs, 3))
        """Where the tool should be [m], world frame, [env, 3]."""
        self.target_rotation = np.zeros((physics.num_envs, 3, 3))
        """The tool's target rotation to the world, [env, 3, 3]."""
        self.reset(np.arange(physics.num_envs))

    def reset(self, ids: np.ndarray) -> None:
        """Take the present pose of the tool as the target in the simulations ``ids``."""
        position, rotation = self._tool()
        self.target_position[ids] = position[ids]
        self.target_rotation[ids] = rotation[ids]

    def action(self, command: ToolCommand) -> np.ndarray:
        """Joint velocities as fractions of their limits, in [-1, 1], float32 [env, joint]."""
        position, rotation = self._tool()
        ahead = self.target_position + command.linear * self._timestep - position
        turn = matrix_from_rotation_vector(command.angular * self._timestep) @ self.target_rotation
        turned = shorten(rotation_error(rotation, turn), _ROTATION_LEASH)
        self.target_position = position + shorten(ahead, _POSITION_LEASH)
        self.target_rotation = matrix_from_rotation_vector(turned) @ rotation
        twist = np.concatenate(
            [
                command.linear + _GAIN * (self.target_position - position),
                command.angular + _GAIN * rotation_error(rotation, self.target_rotation),
            ],
            axis=1,
        )
        jacobian = self._physics.jacobian(self._arm.tool_site)[:, :, : self._arm.num_arm]
        transposed = jacobian.transpose(0, 2, 1)
        gram = jacobian @ transposed + _DAMPING**2 * np.eye(6)
        velocity = (transposed @ np.linalg.solve(gram, twist[:, :, None]))[:, :, 0]
        fraction = velocity / self._arm.velocity_limits
        fraction /= np.maximum(np.abs(fraction).max(axis=1, keepdims=True), 1.0)
        fingers = command.fingers if command.fingers.ndim == 2 else command.fingers[:, None]
        fingers = np.broadcast_to(np.clip(fingers, -1.0, 1.0), (len(fraction), len(self._arm.finger_joints)))
        return np.concatenate([fraction, fingers], axis=1).astype(np.float32)

    def _tool(self) -> tuple[np.ndarray, np.ndarray]:
        """Position [m] and rotation of the tool, world frame."""
        physics = self._physics
        return physics.site_xpos[:, self._site], physics.site_xmat[:, self._site].reshape(-1, 3, 3)


def shorten(vector: np.ndarray, longest: np.ndarray | float) -> np.ndarray:
    """Vectors [env, 3] with their lengths cut to at most ``longest``, a number or [env]."""
    length = np.linalg.norm(vector, axis=1)
    return vector * np.minimum(1.0, longest / np.maximum(length, 1e-12))[:, None]
