"""Blocks: boxes that the hand can grasp."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from handful.simulation import scene
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.prop import RigidProp, hsv_colors
from handful.simulation.randomization import Level, Parameters, ParameterSpec

PLACE_SPREAD = (0.08, 0.12)
"""How far from the middle of the workspace a block may begin [m]: where the camera sees it and the arm can grasp it."""


@dataclasses.dataclass(frozen=True)
class Block(RigidProp):
    """A box that the hand can span. Its body, joint and geom have its name.

    Its parameters are ``NAME.place`` [m], ``NAME.yaw`` [rad], ``NAME.half_size`` [m], ``NAME.color_hsv`` (hues count
    modulo 1), ``NAME.mass`` [kg] and ``NAME.friction``; their ranges are our choice.
    """

    name: str
    """Name of the block."""
    place: tuple[float, float] = scene.WORKSPACE_CENTER
    """Nominal place of its centre [m]."""
    color_low: tuple[float, float, float] = (0.0, 0.6, 0.6)
    """Lowest hue, saturation and value."""
    color_high: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Highest hue, saturation and value."""
    color: tuple[float, float, float] = (0.0, 0.8, 0.8)
    """Nominal hue, saturation and value."""

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Place, yaw, size, colour, mass and friction."""
        low, high = np.subtract(scene.WORKSPACE_CENTER, PLACE_SPREAD), np.add(scene.WORKSPACE_CENTER, PLACE_SPREAD)
        hsv = (self.color_low, self.color_high)
        return (
            ParameterSpec.between(f"{self.name}.place", low, high, level=Level.TASK, nominal=self.place),
            ParameterSpec.around(f"{self.name}.yaw", 0.0, np.pi / 4, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.half_size", (0.020,) * 3, (0.028,) * 3, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.color_hsv", *hsv, level=Level.TASK, nominal=self.color, looks=True),
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
            priority=1,  # contacts use the block's friction; otherwise MuJoCo takes the larger of the two
            friction=(1.0, 0.005, 0.0001),
        )

    def apply(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write ``geom_size``, ``geom_aabb``, ``geom_rgba``, ``geom_friction``, ``body_mass`` and ``body_inertia``."""
        geom, body = physics.model.geom(self.name).id, physics.model.body(self.name).id
        mass, half_size = parameters[f"{self.name}.mass"], parameters[f"{self.name}.half_size"]
        physics.field("geom_size")[ids, geom] = half_size
        physics.field("geom_aabb")[ids, geom, 3:] = half_size
        physics.field("geom_rgba")[ids, geom, :3] = hsv_colors(parameters[f"{self.name}.color_hsv"])
        physics.field("geom_friction")[ids, geom, 0] = parameters[f"{self.name}.friction"]
        physics.field("body_mass")[ids, body] = mass
        physics.field("body_inertia")[ids, body] = box_inertia(mass, half_size)

    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Height of its centre when it lies on its bottom face [m], [env]."""
        return parameters[f"{self.name}.half_size"][:, 2]

    @property
    def height(self) -> Observable:
        """How far its centre is above where it rests [m]."""
        return Observable.scalar(
            f"{self.name}_height",
            lambda snapshot: snapshot.observed_position(self.name)[:, 2] - self.rest_height(snapshot.parameters),
        )


def box_inertia(mass: np.ndarray, half_size: np.ndarray) -> np.ndarray:
    """Diagonal inertia of a homogeneous box [kg m^2]: I_x = m (b^2 + c^2) / 3 for half sizes a, b, c [m]; [..., 3]."""
    squares = np.square(half_size)
    return np.asarray(mass)[..., None] / 3.0 * (squares.sum(axis=-1, keepdims=True) - squares)


def box_reach_up(rotation: np.ndarray, half_size: np.ndarray) -> np.ndarray:
    """How far a box reaches above and below its centre [m]: sum_j |R_zj| h_j, with R from the box to the world."""
    return (np.abs(rotation[..., 2, :]) * half_size).sum(axis=-1)
