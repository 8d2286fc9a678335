"""What toy cars and planes share: lengths that scale together, one main colour, a mass and a friction."""

from __future__ import annotations

import numpy as np

from handful.simulation.observable import Observable
from handful.simulation.props.composite import Composite
from handful.simulation.randomization import Level, ParameterSpec

GLASS = np.array([0.85, 0.95, 1.0])
"""Colour of windows; toys darken it."""


class Toy(Composite):
    """A toy for the hand: car or plane."""

    def __init__(self, name: str, *, scale: float = 1.0) -> None:
        """A toy of that name; all its lengths are multiplied by ``scale``."""
        super().__init__(name)
        self._scale = scale

    @property
    def half_height(self) -> Observable:
        """Half its height [m]."""
        return Observable.scalar(f"{self.name}_half_height", lambda snapshot: self.rest_height(snapshot.parameters))

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
            ParameterSpec.between(f"{self.name}.color_hsv", low, high, level=Level.TASK, nominal=nominal, looks=True),
            ParameterSpec.between(f"{self.name}.mass", 0.04, 0.09, level=Level.TASK),
            ParameterSpec.between(f"{self.name}.friction", 0.8, 1.2, level=Level.FULL),
        )
