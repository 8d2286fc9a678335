"""The last episodes of a run, and what is reported of them."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, StateTree
from handful.learning.metrics import WINDOW


class EpisodeWindow:
    """The last episodes, those from random starts and those from demonstration states apart."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self._stages = stages
        # Rows of (success, highest stage, return).
        self._random: collections.deque[tuple[float, float, float]] = collections.deque(maxlen=WINDOW)
        self._demo: collections.deque[tuple[float, float, float]] = collections.deque(maxlen=WINDOW)
        self._num_episodes = 0
        self._num_diverged = 0

    def add(self, episodes: list[EpisodeSummary]) -> None:
        """Take in episodes that ended."""
        for episode in episodes:
            window = self._random if episode.random_start else self._demo
            window.append((float(episode.held), float(episode.highest_stage), episode.task_return))
            self._num_episodes += 1
            self._num_diverged += episode.diverged

    def metrics(self) -> dict[str, float]:
        """Counts, and the rates and returns of the windows that are not empty."""
        metrics = {"episodes": float(self._num_episodes), "diverged_episodes": float(self._num_diverged)}
        if self._random:
            success, highest, returns = np.array(self._random).T
            metrics["success_rate_random_start"] = float(success.mean())
            metrics["return_random_start"] = float(returns.mean())
            for stage, name in enumerate(self._stages[1:], start=1):
                metrics[f"stage_rate/{name}"] = float((highest >= stage).mean())
        if self._demo:
            metrics["return_demo_start"] = float(np.array(self._demo)[:, 2].mean())
        return metrics

    def state_dict(self) -> StateTree:
        """The windows and the counts."""
        return {
            "random": np.array(self._random, dtype=np.float64).reshape(-1, 3),
            "demo": np.array(self._demo, dtype=np.float64).reshape(-1, 3),
            "num_episodes": self._num_episodes,
            "num_diverged": self._num_diverged,
        }

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken."""
        for window, rows in ((self._random, state["random"]), (self._demo, state["demo"])):
            window.clear()
            window.extend((float(a), float(b), float(c)) for a, b, c in rows)
        self._num_episodes, self._num_diverged = state["num_episodes"], state["num_diverged"]
