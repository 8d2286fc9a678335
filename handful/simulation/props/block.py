"""Objects that a task puts on the table: their parameters, how they are added, and how a draw becomes their fields."""

from __future__ import annotations

import colorsys
import dataclasses

import mujoco
import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation import scene
from handful.simulation.physics.protocol import Physics
from handful.simulation.randomization import Level, Parameters, ParameterSpec, box_inertia

PLACE_SPREAD = (0.08, 0.12)
"""How far from the middle of the workspace a block may begin [m]: where the camera sees it and the arm can grasp it."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A box that the hand can span, free to move; body, joint and geom bear its name. Ranges are ours.

    Its parameters are ``NAME.place`` [m], ``NAME.yaw`` [rad], ``NAME.half_size`` [m], ``NAME.color_hsv`` (hues count
    modulo 1), ``NAME.mass`` [kg] and ``NAME.friction``.
    """

    name: str
    """Name of the block."""
    place: tuple[float, float] = scene.WORKSPACE_CENTER
    """Where its centre is nominally [m]."""
    color_low: tuple[float, float, float] = (0.0, 0.6, 0.6)
    """Lowest hue, saturation and value."""
    color_high: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Highest hue, saturation and value."""
    color: tuple[float, float, float] = (0.0, 0.8, 0.8)
    """Nominal hue, saturation and value."""

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """What an episode draws for the block."""
        low, high = np.subtract(scene.WORKSPACE_CENTER, PLACE_SPREAD), np.add(scene.WORKSPACE_CENTER, PLACE_SPREAD)
        hsv = (self.color_low, self.color_high)
        return (
            ParameterSpec.between(f"{self.name}.place", low, high, level=Level.TASK, nominal=self.place),
            ParameterSpec.around(f"{self.name}.yaw", 0.0, np.pi / 4, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.half_size", (0.020,) * 3, (0.028,) * 3, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.color_hsv", *hsv, level=Level.TASK, nominal=self.color),
            ParameterSpec.between(f"{self.name}.mass", 0.05, 0.15, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.friction", 0.8, 1.2, level=Level.FULL),
        )

    def add(self, spec: mujoco.MjSpec) -> None:
        """Add the nominal block to a scene."""
        body = spec.worldbody.add_body(name=self.name, pos=(*self.place, 0.024))
        body.add_freejoint(name=self.name)
        body.add_geom(
            name=self.name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(0.024, 0.024, 0.024),
            mass=0.1,
            condim=4,  # torsional friction, so that a block pinched by three fingers does not spin
            priority=1,  # the block's friction rules its contacts, else MuJoCo takes the larger of the two
            friction=(1.0, 0.005, 0.0001),
        )

    def apply(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write ``geom_size``, ``geom_aabb``, ``geom_rgba``, ``geom_friction``, ``body_mass`` and ``body_inertia``.

        Args:
            physics: The simulations.
            ids: Which of them.
            parameters: The draws, stacked over ``ids``.
        """
        geom, body = physics.model.geom(self.name).id, physics.model.body(self.name).id
        mass, half_size = parameters[f"{self.name}.mass"], parameters[f"{self.name}.half_size"]
        color = [colorsys.hsv_to_rgb(hue % 1.0, *rest) for hue, *rest in parameters[f"{self.name}.color_hsv"]]
        physics.field("geom_size")[ids, geom] = half_size
        physics.field("geom_aabb")[ids, geom, 3:] = half_size
        physics.field("geom_rgba")[ids, geom, :3] = color
        physics.field("geom_friction")[ids, geom, 0] = parameters[f"{self.name}.friction"]
        physics.field("body_mass")[ids, body] = mass
        physics.field("body_inertia")[ids, body] = box_inertia(mass, half_size)

    def put(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Write where the block begins, flat on the table, into ``qpos`` [env, nq], for stacked worlds."""
        address = model.joint(self.name).qposadr[0]
        qpos[:, address : address + 2] = parameters[f"{self.name}.place"]
        qpos[:, address + 2] = parameters[f"{self.name}.half_size"][:, 2]
        qpos[:, address + 3 : address + 7] = yaw_quaternion(parameters[f"{self.name}.yaw"])


def box_reach_up(rotation: np.ndarray, half_size: np.ndarray) -> np.ndarray:
    """How far a box reaches above and below its centre [m]: sum_j |R_zj| h_j, however it lies.

    Args:
        rotation: Box to world, [..., 3, 3].
        half_size: Half sizes [m], [..., 3].
    """
    return (np.abs(rotation[..., 2, :]) * half_size).sum(axis=-1)
