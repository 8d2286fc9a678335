"""Mugs, which hold a liquid."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.simulation.arm import COLLISION_GROUP
from handful.simulation.observable import Observable
from handful.simulation.props.composite import BOX, CYLINDER, Composite, Layout, Part
from handful.simulation.props.prop import hsv_colors
from handful.simulation.randomization import Level, Parameters, ParameterSpec

NUM_WALLS = 8
"""Sides of a mug. They are boxes, whose contacts are exact and cheap; eight are round enough for any grip."""

_ANGLES = 2.0 * np.pi * np.arange(NUM_WALLS) / NUM_WALLS
"""Directions of the walls in the mug's frame [rad]."""

NORMALS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""Outward normals of the walls in the mug's frame, [wall, 2]."""

_HALF_SIDE = np.tan(np.pi / NUM_WALLS)
"""Half a side of the polygon for a middle radius of 1."""

_FOOT = 0.001
"""How far the floor reaches below the walls [m]: a mug then stands on four corners, not on those of nine boxes."""

_HANDLE_REACH, _HANDLE_WIDTH, _HANDLE_THICKNESS = 0.022, 0.008, 0.006
"""How far the handle stands out from the wall, its width and its thickness [m]."""

_HULL_GAP = 0.0005
"""How far inside the walls the hull is [m]: a fallen mug then lies on its walls, not on its round hull."""

_TOUCHES_WALLS = 8
"""Bit of ``contype`` and ``conaffinity`` for contacts with a mug's walls; the arm's own are 1 and 2."""


class Mug(Composite):
    """An upright eight-sided mug, open above, with a handle towards +x."""

    parts = (
        Part("floor", BOX),
        *(Part(f"wall_{k}", BOX) for k in range(NUM_WALLS)),
        Part("handle_above", BOX),
        Part("handle_below", BOX),
        Part("handle_bar", BOX),
        Part("hull", CYLINDER, seen=False),
    )

    def add(self, spec: mujoco.MjSpec) -> None:
        """Add the nominal mug. Add first what it may stand on or fall upon.

        The hand collides with its hull and the bar of its handle only; everything else collides with its walls too.
        With all twelve boxes, a step with the mug in the hand takes 344 us instead of 277 us (measured). A scene with a mug
        takes MuJoCo's native collider, which finds the contacts of fingers and hull in half the time of the older one.
        """
        spec.option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_NATIVECCD)
        let_touch(spec, _TOUCHES_WALLS)
        super().add(spec)
        for part in self.parts:
            if part.name not in ("hull", "handle_bar"):
                geom = spec.geom(f"{self.name}/{part.name}")
                geom.contype = geom.conaffinity = _TOUCHES_WALLS

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are our choice.

        The walls of the lowest mug are high enough for two fingers of the level hand, 5.5 cm apart. The widest mug leaves
        the fingers 2 cm to go around it. The floor is thick so that the liquid shows over the rim.
        """
        name = self.name
        low, high, nominal = (0.0, 0.3, 0.5), (1.0, 1.0, 1.0), (0.58, 0.7, 0.9)
        return (
            ParameterSpec.between(f"{name}.inner_radius", 0.0235, 0.0265, level=Level.TASK),
            ParameterSpec.between(f"{name}.height", 0.092, 0.102, level=Level.TASK),
            ParameterSpec.between(f"{name}.thickness", 0.005, 0.006, level=Level.TASK),
            ParameterSpec.between(f"{name}.floor", 0.018, 0.024, level=Level.TASK),
            ParameterSpec.between(f"{name}.color_hsv", low, high, level=Level.TASK, nominal=nominal, looks=True),
            ParameterSpec.between(f"{name}.mass", 0.08, 0.14, level=Level.TASK),
            ParameterSpec.between(f"{name}.friction", 0.8, 1.2, level=Level.FULL),
        )

    def reach(self, parameters: Parameters) -> np.ndarray:
        """How far its handle reaches from its axis [m], [env]."""
        return self._outer(parameters) + _HANDLE_REACH + _HANDLE_THICKNESS / 2

    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the ground to the rim [m], [env]."""
        return 0.5 * parameters[f"{self.name}.height"]

    def layout(self, parameters: Parameters) -> Layout:
        """Floor, walls and handle.

        The floor is a square within the outer walls. The gaps between it and the inner walls are a few millimetres wide,
        too narrow for a ball.
        """
        radius, thickness, height, floor = self._values(parameters, "inner_radius", "thickness", "height", "floor")
        layout = Layout.blank(len(height), len(self.parts))
        sizes, positions, quats = layout.sizes, layout.positions, layout.quats
        outer, half = self._outer(parameters), thickness / 2
        sizes[:, 0] = np.stack([outer / np.sqrt(2.0), outer / np.sqrt(2.0), floor / 2], axis=1)
        positions[:, 0, 2] = (floor - height) / 2
        walls = slice(1, 1 + NUM_WALLS)
        side = outer * _HALF_SIDE
        sizes[:, walls] = np.stack([half, side, (height - _FOOT) / 2], axis=1)[:, None]
        positions[:, walls, :2] = (radius + half)[:, None, None] * NORMALS
        positions[:, walls, 2] = _FOOT / 2
        quats[:, walls, 0], quats[:, walls, 3] = np.cos(_ANGLES / 2), np.sin(_ANGLES / 2)
        above, below, bar, hull = range(1 + NUM_WALLS, 5 + NUM_WALLS)
        span = 0.3 * height
        for k, z in ((above, span), (below, -span)):
            sizes[:, k] = np.array([_HANDLE_REACH, _HANDLE_WIDTH, _HANDLE_THICKNESS]) / 2
            positions[:, k, 0] = outer + _HANDLE_REACH / 2
            positions[:, k, 2] = z
        sizes[:, bar, :2] = np.array([_HANDLE_THICKNESS, _HANDLE_WIDTH]) / 2
        sizes[:, bar, 2] = span
        positions[:, bar, 0] = outer + _HANDLE_REACH
        sizes[:, hull, 0] = outer - _HULL_GAP
        sizes[:, hull, 1] = (height - _FOOT) / 2
        positions[:, hull, 2] = _FOOT / 2
        layout.colors[:] = hsv_colors(parameters[f"{self.name}.color_hsv"])[:, None]
        return layout

    def holds(self, parameters: Parameters, points: np.ndarray) -> np.ndarray:
        """Whether points in the mug's frame [m], [env, point, 3], are between its walls and below its rim."""
        radius, half_height = parameters[f"{self.name}.inner_radius"], self.rest_height(parameters)
        across = np.abs(points[..., :2] @ NORMALS[: NUM_WALLS // 2].T).max(axis=-1)
        return (across < radius[:, None]) & (np.abs(points[..., 2]) < half_height[:, None])

    @property
    def up(self) -> Observable:
        """Direction of its axis, from floor to mouth, world frame."""
        return Observable.vector(f"{self.name}_up", lambda snapshot: snapshot.rotation(self.name)[:, :, 2])

    def _outer(self, parameters: Parameters) -> np.ndarray:
        """Distance of the walls' outer faces from the axis [m], [env]."""
        return parameters[f"{self.name}.inner_radius"] + parameters[f"{self.name}.thickness"]


def let_touch(spec: mujoco.MjSpec, bit: int) -> None:
    """Let all geoms of a scene that are seen and collide (not the arm's) collide with geoms of that ``contype``."""
    for body in (spec.worldbody, *spec.worldbody.bodies):
        for geom in body.geoms:
            if geom.conaffinity and geom.group != COLLISION_GROUP:
                geom.conaffinity |= bit
