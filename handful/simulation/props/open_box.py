"""Open boxes."""

from __future__ import annotations

import numpy as np

from handful.simulation.props.composite import BOX, Composite, Layout, Part
from handful.simulation.props.prop import hsv_colors, yaw_matrix
from handful.simulation.randomization import Level, Parameters, ParameterSpec
from handful.simulation.snapshot import Snapshot

_FOOT = 0.001
"""How far the floor reaches below the walls [m]: a box then stands on four corners, not on those of five parts."""


class OpenBox(Composite):
    """A floor and four walls, open above."""

    parts = tuple(Part(name, BOX) for name in ("floor", "wall_front", "wall_rear", "wall_left", "wall_right"))

    walls = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    """Directions of the four walls in the box's frame, in the order of the parts, [wall, 2]."""

    def __init__(
        self,
        name: str,
        *,
        inner_half_size: tuple[tuple[float, float], tuple[float, float]] = ((0.064, 0.056), (0.076, 0.066)),
        color_hsv: tuple[tuple[float, float, float], tuple[float, float, float]] = ((0.0, 0.3, 0.5), (1.0, 0.8, 0.9)),
        height: tuple[float, float] = (0.045, 0.060),
        mass: tuple[float, float] = (0.06, 0.12),
    ) -> None:
        """A box of that name. Sizes [m], colours and mass [kg] are drawn between the two values given (hue is a circle)."""
        super().__init__(name)
        self._inner_half_size = inner_half_size
        self._color_hsv = color_hsv
        self._height = height
        self._mass = mass

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are our choice: a toy car fits in except along the short side, and the hand can grip a wall."""
        name = self.name
        return (
            ParameterSpec.between(f"{name}.inner_half_size", *self._inner_half_size, level=Level.TASK),
            ParameterSpec.between(f"{name}.height", *self._height, level=Level.TASK),
            ParameterSpec.between(f"{name}.thickness", 0.012, 0.015, level=Level.TASK),
            ParameterSpec.between(f"{name}.color_hsv", *self._color_hsv, level=Level.TASK, looks=True),
            ParameterSpec.between(f"{name}.mass", *self._mass, level=Level.TASK),
            ParameterSpec.between(f"{name}.friction", 0.8, 1.2, level=Level.FULL),
        )

    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the ground to the rim [m], [env]."""
        return 0.5 * parameters[f"{self.name}.height"]

    def layout(self, parameters: Parameters) -> Layout:
        """Floor and walls; the walls in x run the whole width, those in y fit between them."""
        height, thickness, inner = self._values(parameters, "height", "thickness", "inner_half_size")
        layout = Layout.blank(len(height), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        half = thickness / 2
        sizes[:, 0] = np.stack([inner[:, 0], inner[:, 1], half], axis=1)
        positions[:, 0, 2] = half - height / 2
        for k, (x, y) in enumerate(self.walls, start=1):
            along, across = (0, 1) if x else (1, 0)
            sizes[:, k, along] = half
            sizes[:, k, across] = inner[:, across] + (thickness if x else 0.0)
            sizes[:, k, 2] = (height - _FOOT) / 2
            positions[:, k, 2] = _FOOT / 2
            positions[:, k, along] = (x + y) * (inner[:, along] + half)
        layout.colors[:] = hsv_colors(parameters[f"{self.name}.color_hsv"])[:, None]
        layout.colors[:, 0] *= 0.8  # a darker floor, so that an empty box does not look like a lid
        return layout

    def between_walls(self, parameters: Parameters, points: np.ndarray) -> np.ndarray:
        """Whether points in the box's frame [m], [env, point, 3], are between its walls at any height."""
        inside = np.abs(points[..., :2]) < parameters[f"{self.name}.inner_half_size"][:, None]
        return inside[..., 0] & inside[..., 1]

    def holds(self, snapshot: Snapshot, body: str, *, above: float) -> np.ndarray:
        """Whether a body's origin is between the walls and at most ``above`` [m] over the floor of the box, bool [env]."""
        parameters = snapshot.parameters
        point = snapshot.in_frame_of(self.name, snapshot.position(body)[:, None])
        height, floor = point[:, 0, 2], parameters[f"{self.name}.thickness"] - self.rest_height(parameters)
        return self.between_walls(parameters, point)[:, 0] & (height > floor) & (height < floor + above)

    def gap(self, parameters: Parameters, points: np.ndarray, *, place: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Distance from points on the table [m], [env, point, 2], to the outer walls [m], 0 within them, [env, point].

        The box stands at a place [m], [env, 2], with a yaw [rad], [env].
        """
        turn = yaw_matrix(yaw)
        outer = parameters[f"{self.name}.inner_half_size"] + parameters[f"{self.name}.thickness"][:, None]
        outside = np.maximum(np.abs((points - place[:, None]) @ turn) - outer[:, None], 0.0)
        return np.linalg.norm(outside, axis=-1)
