"""What each scripted episode draws, so that a script is as imperfect as a person. All ranges are our choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.demonstrations.operators.operator import Seed

NUM_NOISE_STEPS = 512
"""Length of the drawn noise [control steps]; a longer episode repeats it."""

RANGES: dict[str, tuple[float, float]] = {
    "speed": (0.17, 0.27),
    "turn_speed": (0.8, 1.3),
    "eagerness": (4.0, 5.5),
    "smoothness": (0.2, 0.5),
    "approach_height": (0.06, 0.10),
    "approach_tolerance": (0.012, 0.025),
    "heading_tolerance": (0.15, 0.35),
    "grasp_height": (-0.006, 0.006),
    "lift_height": (0.11, 0.15),
    "preshape": (0.3, 0.5),
    "grip_delay": (0.0, 3.0),
    "tremor": (0.005, 0.02),
    "wrist_tremor": (0.03, 0.08),
}
"""Uniform ranges: top speed of the tool [m/s] and of the wrist [rad/s]; how fast an error is corrected [1/s]; fraction of
the last command that the next one keeps; height above the object before the descent [m]; tolerances of place [m] and
heading [rad] for the descent; height of the grip on the object and of the lift [m]; angle of the fingers on the way down
[rad]; steps between a grip and lifting; standard deviation of the hand's tremor [m/s] and [rad/s]."""

DEVIATIONS: dict[str, tuple[int, float]] = {
    "approach_offset": (2, 0.012),
    "grasp_offset": (2, 0.003),
    "heading_error": (1, 0.06),
    "tilt_error": (2, 0.03),
}
"""Count and standard deviation of normal errors, clipped at two deviations: where the descent begins and ends beside the
object's centre [m], and the hand's heading and tilt [rad]."""

PAUSE_PROBABILITY = 0.02
"""Probability that the hand pauses at a control step before its work is done."""

PAUSE_STEPS = (2, 8)
"""Shortest and longest pause [control steps]."""


class Personality:
    """The draws of the present episode in each simulation. Each depends on that episode's seed only."""

    def __init__(self, num_envs: int) -> None:
        """Zeros for ``num_envs`` episodes until `draw`."""
        self._values = {name: np.zeros(num_envs) for name in RANGES}
        self._values |= {name: np.zeros((num_envs, count)) for name, (count, _) in DEVIATIONS.items()}
        self.tremor_noise = np.zeros((num_envs, NUM_NOISE_STEPS, 6))
        """Independent standard normal numbers, [env, step, 6]."""
        self.paused = np.zeros((num_envs, NUM_NOISE_STEPS), bool)
        """Whether the hand pauses at that step, bool [env, step]."""

    def __getitem__(self, name: str) -> np.ndarray:
        """A quantity of `RANGES`, [env], or of `DEVIATIONS`, [env, count]."""
        return self._values[name]

    def draw(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """Draw new ones for the simulations ``ids``."""
        for i, seed in zip(ids, seeds, strict=True):
            generator = np.random.default_rng(seed)
            for name, (low, high) in RANGES.items():
                self._values[name][i] = generator.uniform(low, high)
            for name, (count, deviation) in DEVIATIONS.items():
                self._values[name][i] = deviation * np.clip(generator.standard_normal(count), -2.0, 2.0)
            self.tremor_noise[i] = generator.standard_normal((NUM_NOISE_STEPS, 6))
            self.paused[i] = False
            for step in np.flatnonzero(generator.random(NUM_NOISE_STEPS) < PAUSE_PROBABILITY):
                self.paused[i, step : step + generator.integers(PAUSE_STEPS[0], PAUSE_STEPS[1] + 1)] = True
