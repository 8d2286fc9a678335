"""Evaluation: a fixed set of episodes, and what can be said of the success rate from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, TimeStep, VectorEnvironment
from handful.errors import check_count
from handful.learning.actors import Actor

CONFIDENCE = 0.95
"""Of every interval that is reported."""


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What came out of a number of episodes."""

    episodes: tuple[EpisodeSummary, ...]
    """One for each episode, in the order of their seeds; ``env`` is the episode's number."""
    stages: tuple[str, ...]
    """Names of the task's stages."""

    @property
    def num_episodes(self) -> int:
        """Episodes."""
        return len(self.episodes)

    @property
    def success_rate(self) -> float:
        """Fraction of episodes with sustained success."""
        return float(np.mean([episode.success for episode in self.episodes]))

    @property
    def success_interval(self) -> tuple[float, float]:
        """95% Wilson interval of the success rate."""
        return wilson_interval(sum(episode.success for episode in self.episodes), self.num_episodes)

    @property
    def stage_rates(self) -> dict[str, float]:
        """Fraction of episodes that reached each stage, or one beyond it, at any step; without stage 0."""
        highest = np.array([episode.highest_stage for episode in self.episodes])
        return {name: float((highest >= stage).mean()) for stage, name in enumerate(self.stages) if stage > 0}

    @property
    def stage_intervals(self) -> dict[str, tuple[float, float]]:
        """95% Wilson intervals of the stage rates."""
        count = self.num_episodes
        return {name: wilson_interval(round(rate * count), count) for name, rate in self.stage_rates.items()}

    @property
    def mean_return(self) -> float:
        """Mean of the undiscounted task returns."""
        return float(np.mean([episode.task_return for episode in self.episodes]))

    @property
    def return_interval(self) -> tuple[float, float]:
        """95% interval of the mean return."""
        return mean_interval(np.array([episode.task_return for episode in self.episodes]))

    @property
    def mean_score(self) -> float:
        """Mean of the scores: how much of the task was done at the end of an episode, in [0, 1]."""
        return float(np.mean([episode.score for episode in self.episodes]))

    @property
    def score_interval(self) -> tuple[float, float]:
        """95% interval of the mean score, within [0, 1]."""
        low, high = mean_interval(np.array([episode.score for episode in self.episodes]))
        return max(low, 0.0), min(high, 1.0)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "num_episodes": self.num_episodes,
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "stage_rates": self.stage_rates,
            "stage_intervals": {name: list(interval) for name, interval in self.stage_intervals.items()},
            "mean_score": self.mean_score,
            "mean_score_interval": list(self.score_interval),
            "mean_return": self.mean_return,
            "mean_return_interval": list(self.return_interval),
            "num_diverged": sum(episode.diverged for episode in self.episodes),
            "episodes": [dataclasses.asdict(episode) for episode in self.episodes],
        }


def evaluate_policy(
    actor: Actor,
    environment: VectorEnvironment,
    *,
    num_episodes: int,
    seed: int,
    on_step: Callable[[TimeStep], None] = lambda step: None,
) -> EvaluationResult:
    """Run ``num_episodes`` episodes, the e-th of which has the environment seed [seed, e]; ``on_step`` sees every time step.

    They run in rounds, one episode in each simulation; what the last round has too many is thrown away. So the episodes
    are the same whatever the number of simulations.
    """
    check_count("the number of episodes", num_episodes)
    episodes: list[EpisodeSummary] = []
    while len(episodes) < num_episodes:
        episodes += _run_round(actor, environment, len(episodes), seed, on_step)
    return EvaluationResult(episodes=tuple(episodes[:num_episodes]), stages=environment.spec.stages)


def _run_round(
    actor: Actor, environment: VectorEnvironment, first_episode: int, seed: int, on_step: Callable[[TimeStep], None]
) -> list[EpisodeSummary]:
    num_envs = environment.num_envs
    actor.reset(None)
    step = environment.reset(seeds=[[seed, first_episode + env] for env in range(num_envs)])
    on_step(step)
    ended: dict[int, EpisodeSummary] = {}
    while len(ended) < num_envs:
        step = environment.step(actor.act(step))
        on_step(step)
        for summary in step.episodes:
            # Only the first episode of each simulation is the one of that seed.
            ended.setdefault(summary.env, dataclasses.replace(summary, env=first_episode + summary.env))
        if step.done.any():
            actor.reset(step.done)
    return [ended[env] for env in range(num_envs)]


def wilson_interval(num_successes: int, num_trials: int) -> tuple[float, float]:
    """95% interval of a probability after ``num_successes`` in ``num_trials`` (Wilson 1927)."""
    from scipy import stats  # takes most of a second, which help and training do without

    interval = stats.binomtest(num_successes, num_trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% interval of a mean by the normal approximation; the mean itself where a single value is known."""
    from scipy import stats

    mean = float(np.mean(values))
    error = float(stats.sem(values)) if len(values) > 1 else 0.0
    if error == 0.0:
        return mean, mean
    low, high = stats.norm.interval(CONFIDENCE, loc=mean, scale=error)
    return float(low), float(high)
