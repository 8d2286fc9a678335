"""Toy cars whose proportions each episode draws. Their fronts point to +x."""

from __future__ import annotations

import numpy as np

from handful.simulation.props.composite import BOX, CYLINDER, Layout, Part
from handful.simulation.props.prop import hsv_colors
from handful.simulation.props.toy import GLASS, Toy
from handful.simulation.randomization import Parameters, ParameterSpec

_RUBBER = 0.06
"""Grey of a tyre."""

_LYING = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])
"""Turns a cylinder's axis from z to y (wxyz)."""


class Car(Toy):
    """A body on four fixed wheels, with a cabin whose length and place make it a saloon, a van or a pickup.

    Its body, its cabin and one box between the wheels collide. The round wheels do not: they would need slower collision
    functions.
    """

    parts = (
        Part("body", BOX),
        Part("cabin", BOX),
        *(
            Part(f"{end}_{side}_wheel", CYLINDER, touches=False)
            for end in ("front", "rear")
            for side in ("left", "right")
        ),
        Part("undercarriage", BOX, seen=False),
    )

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are our choice: a hand spans the width, and every part covers a pixel or more of the 64 x 64 image."""
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

    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Half the height from the ground to the roof [m], [env]."""
        body_height, cabin_height = self._values(parameters, "body_height", "cabin_height")
        return 0.5 * (self._clearance(parameters) + body_height + cabin_height)

    def layout(self, parameters: Parameters) -> Layout:
        """The parts in each simulation."""
        length, width, body_height, radius = self._values(parameters, "length", "width", "body_height", "wheel_radius")
        cabin_length, cabin_height, place = self._values(parameters, "cabin_length", "cabin_height", "cabin_place")
        ground, clearance = -self.rest_height(parameters), self._clearance(parameters)
        layout = Layout.blank(len(length), len(self.parts))
        sizes, positions = layout.sizes, layout.positions
        sizes[:, 0] = np.stack([length, width, body_height], axis=1) / 2
        positions[:, 0, 2] = ground + clearance + body_height / 2
        sizes[:, 1] = np.stack([cabin_length * length, 0.86 * width, cabin_height], axis=1) / 2
        positions[:, 1, 0] = place * (1.0 - cabin_length) * length / 2
        positions[:, 1, 2] = ground + clearance + body_height + cabin_height / 2
        for k, (along, across) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1)), start=2):
            sizes[:, k, 0], sizes[:, k, 1] = radius, 0.1 * width
            positions[:, k, 0] = along * (length / 2 - 1.15 * radius)
            # A millimetre outwards, so that the body does not hide the tyre.
            positions[:, k, 1] = across * (0.4 * width + 0.001)
            positions[:, k, 2] = ground + radius
            layout.quats[:, k] = _LYING
        sizes[:, 6] = np.stack([length - 0.3 * radius, width, clearance], axis=1) / 2
        positions[:, 6, 2] = ground + clearance / 2
        layout.colors[:, 0] = hsv_colors(parameters[f"{self.name}.color_hsv"])
        layout.colors[:, 1] = parameters[f"{self.name}.cabin_gray"][:, None] * GLASS
        layout.colors[:, 2:6] = _RUBBER
        layout.colors[:, 6] = 0.5
        return layout

    def _clearance(self, parameters: Parameters) -> np.ndarray:
        """Height of the body's underside [m]: nearly a wheel's radius."""
        return 0.9 * parameters[f"{self.name}.wheel_radius"]
