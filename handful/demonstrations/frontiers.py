"""A curriculum that moves back through each demonstration as training succeeds from later on in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, Start, StateTree
from handful.errors import DataError
from handful.trajectory import Demonstrations

WINDOW = 6
"""Latest outcomes of starts at a frontier that are looked at (our choice)."""

AVERAGE_RATE = 0.02
"""Rate of the running means of the episodes' lengths (our choice)."""


class FrontierStarts:
    """Random starts, and states of demonstrations that lie after a frontier in each.

    A frontier begins half a second before its demonstration's success. Half of the starts from demonstrations lie within
    `step` after the frontier, half anywhere later. The frontier moves back by `step` when the last three starts near it
    succeeded, or four of the last six (Tao et al. 2024, "RFCL", in spirit: three in a row, and back by four steps). Each
    time that three succeeded and none failed, the next move is twice as long: a policy that has learned the task before,
    under other options, is at the beginning after a few.
    Demonstrations with much left are drawn more often. A fraction of all steps belongs to random starts, which grows as
    frontiers reach the beginning.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        *,
        horizon: int,
        random_fraction: float = 0.3,
        final_random_fraction: float = 0.9,
        max_random_length: int | None = None,
        step_s: float = 0.5,
    ) -> None:
        """Place every frontier near its demonstration's success.

        Args:
            demonstrations: Whose states to begin from.
            horizon: Longest episode [control steps].
            random_fraction: Of the control steps, in episodes from random starts, at first.
            final_random_fraction: The same once every frontier is at the beginning.
            max_random_length: Longest episode from a random start until half of the frontiers are at the beginning
                [control steps]: until then most of a long one would be spent where its beginning had gone wrong. None: no
                such bound.
            step_s: How far a frontier moves back at least [s].
        """
        self._trajectories = demonstrations.trajectories
        self._success = np.array([max(1, each.success_step) for each in self._trajectories])
        self._step = max(1, round(step_s / demonstrations.control_timestep))
        self._grace = round(2.0 / demonstrations.control_timestep)
        self._horizon = horizon
        self._whole_length = min(horizon, int(2 * np.median(self._success)) + round(1.5 * self._grace))
        self._short_length = min(self._whole_length, max_random_length or self._whole_length)
        self._fractions = random_fraction, final_random_fraction
        self.frontiers = np.maximum(0, self._success - self._step)
        """Step of each demonstration from which on episodes begin, int64 [demonstration]."""
        self._strides = np.full_like(self._success, self._step)  # how far each moves next
        self._outcomes = np.full((len(self._success), WINDOW), -1)  # latest last; -1: none yet
        self._lengths = np.array([self._short_length, 3.0 * self._step])  # running means: random starts, others

    @property
    def random_fraction(self) -> float:
        """Fraction of the control steps that belong to episodes from random starts."""
        first, last = self._fractions
        return first + (last - first) * float((self.frontiers == 0).mean())

    def sample(self, generator: np.random.Generator) -> Start:
        """Draw one start."""
        random, other = np.array([self.random_fraction, 1.0 - self.random_fraction]) / self._lengths
        if generator.random() < random / (random + other):
            short = (self.frontiers == 0).mean() < 0.5
            length = self._short_length if short else self._whole_length
            return Start(state=None, parameters={}, cluster=0, max_length=length)
        weights = 0.15 + (self.frontiers > 0) * (0.5 + self.frontiers / self._success)
        number = int(generator.choice(len(weights), p=weights / weights.sum()))
        frontier, success = int(self.frontiers[number]), int(self._success[number])
        end = min(frontier + self._step, success - 1) + 1 if generator.random() < 0.5 else success
        step = int(generator.integers(frontier, max(frontier + 1, end)))
        trajectory = self._trajectories[number]
        return Start(
            state=trajectory.states[step],
            parameters=trajectory.parameters,
            cluster=int(trajectory.stages[step]),
            max_length=min(self._horizon, int(1.5 * (success - step)) + self._grace),
            demonstration=number,
            step=step,
        )

    def report(self, episode: EpisodeSummary, end: Start | None) -> None:
        """Take note of how an episode ended, and move a frontier back where its starts succeed."""
        kind = 0 if episode.demonstration < 0 else 1
        self._lengths[kind] += AVERAGE_RATE * (episode.length - self._lengths[kind])
        number = episode.demonstration
        if number < 0 or not 0 <= episode.start_step - self.frontiers[number] <= self._step:
            return
        outcomes = self._outcomes[number]
        outcomes[:] = [*outcomes[1:], int(episode.held)]
        if (outcomes[-3:] == 1).all() or ((outcomes >= 0).all() and outcomes.sum() >= 4):
            self.frontiers[number] = max(0, self.frontiers[number] - self._strides[number])
            self._strides[number] = self._step if (outcomes == 0).any() else 2 * self._strides[number]
            outcomes[:] = -1

    def metrics(self) -> dict[str, float]:
        """Where the frontiers are, and how many have arrived."""
        return {
            "frontier": float((self.frontiers / self._success).mean()),
            "frontiers_at_beginning": float((self.frontiers == 0).mean()),
        }

    def state_dict(self) -> StateTree:
        """Frontiers, strides, outcomes and running means."""
        return {
            "strides": self._strides.copy(),
            "frontiers": self.frontiers.copy(),
            "outcomes": self._outcomes.copy(),
            "lengths": self._lengths.copy(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Resume from what ``state_dict`` gave."""
        frontiers, lengths = np.asarray(state["frontiers"]), np.asarray(state["lengths"])
        if (frontiers < 0).any() or (frontiers > self._success).any() or not ((lengths > 0) & (lengths < 1e9)).all():
            raise DataError("its frontiers are not those of these demonstrations.")
        self.frontiers[:] = frontiers
        self._strides[:] = state["strides"]
        self._outcomes[:] = state["outcomes"]
        self._lengths[:] = state["lengths"]
