"""Toy cars and planes, drawn afresh for every episode. Their fronts point to +x."""

from __future__ import annotations

import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation.props.composite import BOX, CAPSULE, CYLINDER, ELLIPSOID, Composite, Layout, Part, hsv_colors
from handful.simulation.randomization import Level, Parameters, ParameterSpec

_RUBBER = 0.06
"""Grey of a tyre."""

_GLASS = np.array([0.85, 0.95, 1.0])
"""Colour of windows, to be dimmed."""

_LYING = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])
"""Turns a cylinder's axis from z to y (wxyz)."""


_FORWARD = np.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])
"""Turns a capsule's axis from z to x (wxyz)."""


class Toy(Composite):
    """A toy for the hand: car or plane."""

    def __init__(self, name: str, *, scale: float = 1.0) -> None:
        """A toy of that name, all its lengths ``scale`` times the usual ones."""
        super().__init__(name)
        self._scale = scale

    def _length(self, quantity: str, low: float, high: float) -> ParameterSpec:
        """A length [m]."""
        return ParameterSpec.between(f"{self.name}.{quantity}", low * self._scale, high * self._scale, level=Level.TASK)

    def _share(self, quantity: str, low: float, high: float) -> ParameterSpec:
        """A number without a unit."""
        return ParameterSpec.between(f"{self.name}.{quantity}", low, high, level=Level.TASK)

    def _common_specs(self) -> tuple[ParameterSpec, ...]:
        """Colour, mass and friction."""
        low, high, nominal = (0.0, 0.7, 0.7), (1.0, 1.0, 1.0), (0.58, 0.9, 0.9)
        return (
            ParameterSpec.between(f"{self.name}.color_hsv", low, high, level=Level.TASK, nominal=nominal),
            ParameterSpec.between(f"{self.name}.mass", 0.04, 0.09, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.friction", 0.8, 1.2, level=Level.FULL),
        )

    def _values(self, parameters: Parameters, *quantities: str) -> tuple[np.ndarray, ...]:
        """Drawn values by quantity, each [env, ...]."""
        return tuple(parameters[f"{self.name}.{quantity}"] for quantity in quantities)


class Car(Toy):
    """A body on four wheels, with a cabin on top whose length and place make it a saloon, a van or a pickup.

    It touches the world with its body, its cabin and one box between the wheels: four round wheels would cost general
    convex collisions and roll nowhere, being fixed.
    """

    parts = (
        Part("body", BOX),
        Part("cabin", BOX),
        Part("front_left_wheel", CYLINDER, touches=False),
        Part("front_right_wheel", CYLINDER, touches=False),
        Part("rear_left_wheel", CYLINDER, touches=False),
        Part("rear_right_wheel", CYLINDER, touches=False),
        Part("undercarriage", BOX, seen=False),
    )

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: a hand spans the width, and every part covers a pixel or more of the 64 x 64 image."""
        return (
            self._length("length", 0.085, 0.105),
            self._length("width", 0.042, 0.052),
            self._length("body_height", 0.015, 0.021),
            self._length("wheel_radius", 0.011, 0.015),
            self._share("cabin_length", 0.35, 0.65),  # of the body's
            self._length("cabin_height", 0.014, 0.020),
            self._share("cabin_place", -0.9, 0.5),  # of the room it has; -1 is the rear
            self._share("cabin_gray", 0.75, 1.0),
            *self._common_specs(),
        )

    def half_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the ground to the roof [m], [env]."""
        return 0.5 * (
            self._clearance(parameters)
            + parameters[f"{self.name}.body_height"]
            + parameters[f"{self.name}.cabin_height"]
        )

    def layout(self, parameters: Parameters) -> Layout:
        """The parts in every world."""
        length, width, body_height, radius = self._values(parameters, "length", "width", "body_height", "wheel_radius")
        cabin_length, cabin_height, cabin_place = self._values(
            parameters, "cabin_length", "cabin_height", "cabin_place"
        )
        ground, clearance = -self.half_height(parameters), self._clearance(parameters)
        layout = Layout.blank(len(length), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        sizes[:, 0] = np.stack([length, width, body_height], axis=1) / 2
        positions[:, 0, 2] = ground + clearance + body_height / 2
        sizes[:, 1] = np.stack([cabin_length * length, 0.86 * width, cabin_height], axis=1) / 2
        positions[:, 1, 0] = cabin_place * (1.0 - cabin_length) * length / 2
        positions[:, 1, 2] = ground + clearance + body_height + cabin_height / 2
        for k, (along, across) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1)), start=2):
            sizes[:, k, 0] = radius
            sizes[:, k, 1] = 0.1 * width
            positions[:, k, 0] = along * (length / 2 - 1.15 * radius)
            positions[:, k, 1] = across * (0.4 * width + 0.001)  # a millimetre out, or the tyre would hide in the body
            positions[:, k, 2] = ground + radius
            layout.quats[:, k] = _LYING
        sizes[:, 6] = np.stack([length - 0.3 * radius, width, clearance], axis=1) / 2
        positions[:, 6, 2] = ground + clearance / 2
        layout.colors[:, 0] = hsv_colors(parameters[f"{self.name}.color_hsv"])
        layout.colors[:, 1] = parameters[f"{self.name}.cabin_gray"][:, None] * _GLASS
        layout.colors[:, 2:6] = _RUBBER
        layout.colors[:, 6] = 0.5
        return layout

    def _clearance(self, parameters: Parameters) -> np.ndarray:
        """Height of the body's underside [m]: wheels stand out below it by nearly their radius."""
        return 0.9 * parameters[f"{self.name}.wheel_radius"]


class Plane(Toy):
    """A round fuselage with low wings, swept or straight, a tail of two surfaces and a cockpit of glass.

    It touches the world with its wings, its fin and a box in its fuselage, on which it stands level. The wings are low,
    so that a hand from above can close on the fuselage over them, and the tail is left out for the same reason.
    """

    parts = (
        Part("fuselage", CAPSULE, touches=False),
        Part("left_wing", BOX),
        Part("right_wing", BOX),
        Part("tail", BOX, touches=False),
        Part("fin", BOX),
        Part("cockpit", ELLIPSOID, touches=False),
        Part("hull", BOX, seen=False),
    )

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: a hand spans the fuselage, and wings and fin cover pixels of the 64 x 64 image."""
        return (
            self._length("length", 0.100, 0.118),
            self._length("radius", 0.0205, 0.023),
            self._length("span", 0.095, 0.115),
            self._length("chord", 0.022, 0.032),
            self._share("sweep", 0.0, 0.45),  # angle [rad] by which the wings point backwards
            self._share("wing_place", 0.0, 0.2),  # of the length, from the middle
            self._length("tail_span", 0.055, 0.065),
            self._length("fin_height", 0.015, 0.022),
            self._share("trim_value", 0.75, 1.0),
            self._share("trim_saturation", 0.0, 0.35),
            *self._common_specs(),
        )

    def half_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the belly to the top of the fin [m], [env]."""
        radius, fin_height = self._values(parameters, "radius", "fin_height")
        return radius + 0.5 * fin_height

    def layout(self, parameters: Parameters) -> Layout:
        """The parts in every world."""
        length, radius, span, chord = self._values(parameters, "length", "radius", "span", "chord")
        sweep, wing_place, tail_span, fin_height = self._values(
            parameters, "sweep", "wing_place", "tail_span", "fin_height"
        )
        middle = radius - self.half_height(parameters)  # height of the fuselage's axis
        thickness = 0.2 * radius
        layout = Layout.blank(len(length), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        sizes[:, 0, :2] = np.stack([radius, length / 2 - radius], axis=1)
        positions[:, 0, 2] = middle
        layout.quats[:, 0] = _FORWARD
        for k, side in ((1, 1.0), (2, -1.0)):
            sizes[:, k] = np.stack([chord, span / 2, thickness], axis=1) / 2
            positions[:, k, 0] = wing_place * length - np.sin(sweep) * span / 4
            positions[:, k, 1] = side * np.cos(sweep) * span / 4
            positions[:, k, 2] = middle - 0.85 * radius
            layout.quats[:, k] = yaw_quaternion(side * sweep)
        sizes[:, 3] = np.stack([0.6 * chord, tail_span, thickness], axis=1) / 2
        positions[:, 3, 0] = 0.3 * chord - length / 2
        positions[:, 3, 2] = middle + 0.5 * radius
        sizes[:, 4] = np.stack([0.7 * chord, 0.4 * radius, fin_height + radius], axis=1) / 2
        positions[:, 4, 0] = 0.35 * chord - length / 2
        positions[:, 4, 2] = middle + (fin_height + radius) / 2
        sizes[:, 5] = np.stack([0.16 * length, 0.7 * radius, 0.7 * radius], axis=1)
        positions[:, 5, 0] = 0.2 * length
        positions[:, 5, 2] = middle + 0.6 * radius
        sizes[:, 6] = np.stack([length / 2 - 0.3 * radius, 0.95 * radius, radius], axis=1)
        positions[:, 6, 2] = middle
        hue, saturation, value = np.moveaxis(parameters[f"{self.name}.color_hsv"], -1, 0)
        trim_value, trim_saturation = self._values(parameters, "trim_value", "trim_saturation")
        layout.colors[:, (0, 4)] = hsv_colors(np.stack([hue, saturation, value], axis=-1))[:, None]
        layout.colors[:, 1:4] = hsv_colors(np.stack([hue, trim_saturation, trim_value], axis=-1))[:, None]
        layout.colors[:, 5] = 0.35 * _GLASS
        layout.colors[:, 6] = 0.5
        return layout
