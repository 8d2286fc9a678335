"""Where training episodes begin: in random starts and in states of demonstrations."""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, Start, StateTree
from handful.errors import ConfigurationError, unknown_name
from handful.trajectory import Demonstrations

CLUSTERS = ("states", "stages")
"""How a demonstration state is drawn."""


class DemonstrationStarts:
    """Random starts and demonstration states, always drawn alike (paper, section III-B, "Demonstration as a curriculum").

    With some probability a random start of the task, else a state of a demonstration, with that episode's parameters.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        *,
        random_start_probability: float = 0.5,
        clusters: str = "states",
        include_solved: bool = False,
        max_length: int | None = None,
    ) -> None:
        """Gather the states by stage.

        Args:
            demonstrations: Whose states to begin from.
            random_start_probability: eps (our choice; the paper does not state it). At 1 the curriculum is off.
            clusters: How a state is drawn: ``stages`` draws a stage uniformly among those that the demonstrations
                contain, then one of its states (paper); ``states`` draws all states with the same probability, and so
                each stage in proportion to its duration.
            include_solved: Whether to begin in the top stage too, where only holding on is left to learn.
            max_length: Control steps after which an episode from a demonstration's state is cut off; None: never.

        Raises:
            ConfigurationError: not a probability, no such clusters, or no stage is left to begin from.
        """
        if clusters not in CLUSTERS:
            raise unknown_name("way to draw demonstration states", clusters, CLUSTERS)
        if not 0.0 <= random_start_probability <= 1.0:
            raise ConfigurationError(
                f"expected a probability of random starts between 0 and 1, got {random_start_probability}."
            )
        self._random_start_probability = random_start_probability
        self._trajectories = demonstrations.trajectories
        top = demonstrations.top_stage
        places: dict[int, list[tuple[int, int]]] = {stage: [] for stage in range(top + 1 if include_solved else top)}
        for number, trajectory in enumerate(self._trajectories):
            for step, stage in enumerate(trajectory.stages.tolist()):
                if stage in places:
                    places[stage].append((number, step))
        self.clusters = {stage: np.asarray(states, np.int64) for stage, states in places.items() if states}
        """By stage: which trajectory and which of its states, int64 [state, 2]."""
        self._stages = np.asarray(list(self.clusters), np.int64)
        sizes = np.array([len(states) if clusters == "states" else 1 for states in self.clusters.values()])
        self._probabilities = sizes / sizes.sum()
        self._max_length = max_length
        if not len(self._stages) and random_start_probability < 1.0:
            raise ConfigurationError("the demonstrations hold no state to begin from: include the solved stage.")

    def sample(self, generator: np.random.Generator) -> Start | None:
        """Draw one start; None means a random start of the task."""
        if generator.random() < self._random_start_probability:
            return None
        stage = int(generator.choice(self._stages, p=self._probabilities))
        number, step = (int(part) for part in generator.choice(self.clusters[stage]))
        trajectory = self._trajectories[number]
        return Start(
            state=trajectory.states[step],
            parameters=trajectory.parameters,
            cluster=stage,
            max_length=self._max_length,
            demonstration=number,
            step=step,
        )

    def report(self, episode: EpisodeSummary, end: Start | None) -> None:
        """Ignore it: the probabilities are constant."""

    def metrics(self) -> dict[str, float]:
        """Nothing to say."""
        return {}

    def state_dict(self) -> StateTree:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: Any) -> None:
        """Nothing to load."""


def start_probability(fraction: float, *, horizon: int, max_length: int | None) -> float:
    """Probability of a random start at which episodes from random starts make up a ``fraction`` of all control steps.

    Those last for the ``horizon``, those from demonstration states for ``max_length`` [control steps]; None: the horizon.
    """
    random, other = fraction / horizon, (1.0 - fraction) / min(horizon, max_length or horizon)
    return random / (random + other)
