"""Open containers of thin slabs."""

from __future__ import annotations

import numpy as np

from handful.simulation.props.composite import BOX, Composite, Layout, Part, hsv_colors
from handful.simulation.randomization import Level, Parameters, ParameterSpec


class OpenBox(Composite):
    """A floor and four walls, open above."""

    parts = (
        Part("floor", BOX),
        Part("wall_front", BOX),
        Part("wall_rear", BOX),
        Part("wall_left", BOX),
        Part("wall_right", BOX),
    )

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
        """A box of that name; sizes [m], colours and mass [kg] lie between the two values given (hue is a circle)."""
        super().__init__(name)
        self._inner_half_size = inner_half_size
        self._color_hsv = color_hsv
        self._height = height
        self._mass = mass

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: a toy car fits in at any heading but along the short side, a hand can grip a wall."""
        name = self.name
        return (
            ParameterSpec.between(f"{name}.inner_half_size", *self._inner_half_size, level=Level.TASK),
            ParameterSpec.between(f"{name}.height", *self._height, level=Level.TASK),
            ParameterSpec.between(f"{name}.thickness", 0.012, 0.015, level=Level.TASK),
            ParameterSpec.between(f"{name}.color_hsv", *self._color_hsv, level=Level.TASK),
            ParameterSpec.between(f"{name}.mass", *self._mass, level=Level.TASK),
            ParameterSpec.between(f"{name}.friction", 0.8, 1.2, level=Level.FULL),
        )

    def half_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the ground to the rim [m], [env]."""
        return 0.5 * parameters[f"{self.name}.height"]

    def layout(self, parameters: Parameters) -> Layout:
        """Floor and walls in every world; the walls in x run the whole width, those in y fit between them."""
        height, thickness = parameters[f"{self.name}.height"], parameters[f"{self.name}.thickness"]
        inner = parameters[f"{self.name}.inner_half_size"]
        layout = Layout.blank(len(height), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        half = thickness / 2
        sizes[:, 0] = np.stack([inner[:, 0], inner[:, 1], half], axis=1)
        positions[:, 0, 2] = half - height / 2
        for k, (x, y) in enumerate(self.walls, start=1):
            along, across = (0, 1) if x else (1, 0)
            sizes[:, k, along] = half
            sizes[:, k, across] = inner[:, across] + (thickness if x else 0.0)
            sizes[:, k, 2] = height / 2
            positions[:, k, along] = (x + y) * (inner[:, along] + half)
        layout.colors[:] = hsv_colors(parameters[f"{self.name}.color_hsv"])[:, None]
        layout.colors[:, 0] *= 0.8  # the floor a little darker, or an empty box looks like a lid
        return layout

    def holds(self, parameters: Parameters, point: np.ndarray, *, above: np.ndarray | float) -> np.ndarray:
        """Whether points in the box's frame [m], [env, 3], lie within its walls and at most ``above`` over its floor."""
        inside = (np.abs(point[:, :2]) < parameters[f"{self.name}.inner_half_size"]).all(axis=1)
        floor = parameters[f"{self.name}.thickness"] - parameters[f"{self.name}.height"] / 2
        return inside & (point[:, 2] > floor) & (point[:, 2] < floor + above)
