"""Toy planes whose proportions each episode draws. Their noses point to +x."""

from __future__ import annotations

import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation.props.composite import BOX, CAPSULE, ELLIPSOID, Layout, Part
from handful.simulation.props.prop import hsv_colors
from handful.simulation.props.toy import GLASS, Toy
from handful.simulation.randomization import Parameters, ParameterSpec

_FORWARD = np.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])
"""Turns a capsule's axis from z to x (wxyz)."""


class Plane(Toy):
    """A round fuselage with low wings, swept or straight, a tail of two surfaces and a cockpit of glass.

    Its wings, its fin and a box in its fuselage collide; it stands level on the box. The wings are low so that a hand from
    above can close on the fuselage over them. The tail does not collide, for the same reason.
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
        """Ranges are our choice: a hand spans the fuselage, and wings and fin cover pixels of the 64 x 64 image."""
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

    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the belly to the top of the fin [m], [env]."""
        radius, fin_height = self._values(parameters, "radius", "fin_height")
        return radius + 0.5 * fin_height

    def layout(self, parameters: Parameters) -> Layout:
        """The parts in each simulation."""
        length, radius, span, chord = self._values(parameters, "length", "radius", "span", "chord")
        sweep, place, tail_span, fin_height = self._values(parameters, "sweep", "wing_place", "tail_span", "fin_height")
        middle = radius - self.rest_height(parameters)  # height of the fuselage's axis
        thickness = 0.2 * radius
        layout = Layout.blank(len(length), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        sizes[:, 0, :2] = np.stack([radius, length / 2 - radius], axis=1)
        positions[:, 0, 2] = middle
        layout.quats[:, 0] = _FORWARD
        for k, side in ((1, 1.0), (2, -1.0)):
            sizes[:, k] = np.stack([chord, span / 2, thickness], axis=1) / 2
            positions[:, k, 0] = place * length - np.sin(sweep) * span / 4
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
        layout.colors[:, 5] = 0.35 * GLASS
        layout.colors[:, 6] = 0.5
        return layout
