"""The physical state of all simulations at one moment, as tasks, props and operators read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from handful.simulation import jaco, scene
from handful.simulation.physics.protocol import Physics

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The physical state of all simulations at one moment. World frame, SI units, simulations on the first axis."""

    physics: Physics
    parameters: Mapping[str, np.ndarray]
    """Each simulation's drawn parameters, [env, ...]."""
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
        return self.physics.site_xpos[:, self.physics.model.site(jaco.TCP_SITE).id]

    @property
    def tcp_rotation(self) -> np.ndarray:
        """Rotation of the tool to the world, [env, 3, 3]."""
        return self.physics.site_xmat[:, self.physics.model.site(jaco.TCP_SITE).id].reshape(-1, 3, 3)

    @property
    def finger_positions(self) -> np.ndarray:
        """Angles of the three fingers [rad], 0.15 when open, 1.35 when closed, [env, 3]."""
        return self.physics.qpos[:, len(jaco.ARM_JOINTS) : len(jaco.JOINTS)]

    @property
    def finger_velocities(self) -> np.ndarray:
        """Velocities of the three fingers [rad/s], [env, 3]."""
        return self.physics.qvel[:, len(jaco.ARM_JOINTS) : len(jaco.JOINTS)]

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
