"""The physical state of all simulations at one moment, as tasks, props and operators read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.simulation.jaco import JACO
from handful.simulation.physics.protocol import Physics

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The physical state of all simulations at one moment. World frame, SI units, simulations on the first axis."""

    physics: Physics
    parameters: Mapping[str, np.ndarray]
    """Each simulation's drawn parameters, [env, ...]."""
    arm: Arm = JACO
    """The arm."""
    _computed: dict[Hashable, Any] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)
    """What was computed so far: results by function, see `once`, and observed positions by body."""

    def once(self, function: Callable[[Snapshot], Result]) -> Result:
        """What a function of the snapshot returns; the first call computes it, for all observables that need it."""
        if function not in self._computed:
            self._computed[function] = function(self)
        return self._computed[function]

    @property
    def tcp_position(self) -> np.ndarray:
        """Tool point between the finger tips [m], [env, 3]."""
        return self.physics.site_xpos[:, self.physics.model.site(self.arm.tool_site).id]

    @property
    def tcp_rotation(self) -> np.ndarray:
        """Rotation of the tool to the world, [env, 3, 3]."""
        return self.physics.site_xmat[:, self.physics.model.site(self.arm.tool_site).id].reshape(-1, 3, 3)

    @property
    def finger_positions(self) -> np.ndarray:
        """Angles of the fingers [rad], 0.15 when open, 1.35 when closed, [env, finger]; see `Arm.finger_angles`."""
        return self.arm.finger_angles(self.physics.qpos[:, self.arm.num_arm : self.arm.num_joints])

    @property
    def finger_velocities(self) -> np.ndarray:
        """Velocities of the fingers [rad/s], [env, finger]."""
        return self.arm.finger_rates(self.physics.qvel[:, self.arm.num_arm : self.arm.num_joints])

    def position(self, body: str) -> np.ndarray:
        """Origin of a body [m], [env, 3]: for stages."""
        return self.physics.xpos[:, self.physics.model.body(body).id]

    def observed_position(self, body: str) -> np.ndarray:
        """Origin of a body [m] clipped to `scene.OBSERVED_REGION`, [env, 3]: for observations.

        Learners scale observations by mean and deviation. These should be those of objects on the table, wherever an
        object on the floor has rolled.
        """
        if body not in self._computed:
            self._computed[body] = self.position(body).clip(*scene.OBSERVED_REGION)
        return self._computed[body]

    def rotation(self, body: str) -> np.ndarray:
        """Rotation of a body to the world, [env, 3, 3]."""
        return self.physics.xmat[:, self.physics.model.body(body).id].reshape(-1, 3, 3)

    def velocity(self, body: str) -> np.ndarray:
        """Velocity of a free body: linear [m/s] in the world, angular [rad/s] in the body, [env, 6]."""
        address = self.physics.model.body(body).dofadr[0]
        return self.physics.qvel[:, address : address + 6]

    def in_frame_of(self, body: str, points: np.ndarray) -> np.ndarray:
        """Points of the world [m], [env, point, 3], in a body's frame."""
        return (points - self.position(body)[:, None]) @ self.rotation(body)
