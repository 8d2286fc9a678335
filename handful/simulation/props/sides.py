"""Two props that begin on opposite sides of the table."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from handful.simulation.props.prop import RigidProp
from handful.simulation.randomization import Level, Parameters, ParameterSpec

Range = tuple[tuple[float, float], tuple[float, float]]
"""Nearest and furthest place [m]: forward from the robot, and outwards from the middle of the table."""


@dataclasses.dataclass(frozen=True)
class OppositeSides:
    """Draws which side of the table a prop begins on; another prop begins on the other side.

    The side is the sign of the parameter ``FIRST.side``: positive is left. Both props have parameters ``NAME.place`` [m],
    forward and outwards, and ``NAME.yaw`` [rad].
    """

    first: RigidProp
    first_place: Range
    first_yaw: tuple[float, float]
    """Lowest and highest yaw [rad]."""
    second: RigidProp
    second_place: Range
    second_yaw: tuple[float, float]
    mirrored: bool = False
    """Whether the yaw of the first counts inwards, so that its two sides mirror each other."""

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """The side, and place and yaw of both props."""
        first, second = self.first.name, self.second.name
        return (
            ParameterSpec.between(f"{first}.side", -1.0, 1.0, level=Level.TASK, nominal=1.0),
            ParameterSpec.between(f"{first}.place", *self.first_place, level=Level.TASK),
            ParameterSpec.between(f"{first}.yaw", *self.first_yaw, level=Level.TASK),
            ParameterSpec.between(f"{second}.place", *self.second_place, level=Level.TASK),
            ParameterSpec.between(f"{second}.yaw", *self.second_yaw, level=Level.TASK),
        )

    def poses(self, parameters: Parameters) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Place on the table [m], [env, 2], and yaw [rad], [env], of the first prop and of the second."""
        side = np.where(parameters[f"{self.first.name}.side"] < 0.0, -1.0, 1.0)
        places = [
            parameters[f"{prop.name}.place"] * np.stack([np.ones_like(side), direction], axis=1)
            for prop, direction in ((self.first, side), (self.second, -side))
        ]
        yaw = parameters[f"{self.first.name}.yaw"]
        return (places[0], -side * yaw if self.mirrored else yaw), (places[1], parameters[f"{self.second.name}.yaw"])

    def put(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Write the poses of both props into ``qpos`` [env, nq]."""
        for prop, (place, yaw) in zip((self.first, self.second), self.poses(parameters), strict=True):
            prop.stand(model, parameters, qpos, place=place, yaw=yaw)
