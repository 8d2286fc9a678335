"""Evaluation: a fixed set of episodes, and what can be said of the success rate from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from handful.environment import (
    PIXELS,
    PROPRIOCEPTION,
    EnvironmentSpec,
    EpisodeSummary,
    Images,
    TimeStep,
    VectorEnvironment,
)
from handful.errors import ConfigurationError
from handful.learning.models.policy import Policy

BLOCK = 16
"""Rows that a policy network works on at once. Matrix products of other sizes add up in another order, and an episode
would differ in its last bits, and soon in more, with how many run beside it (measured: below 16 rows)."""

NORMAL_QUANTILE = 1.959963984540054
"""97.5% quantile of the standard normal distribution: the half width of a 95% interval in standard errors."""


class Actor(Protocol):
    """Whoever chooses actions: a policy, an operator, a random number generator."""

    def reset(self, done: np.ndarray | None) -> None:
        """Forget the episodes that ended.

        Args:
            done: Where a new episode begins, bool [env]; None means everywhere.
        """
        ...

    def act(self, time_step: TimeStep) -> np.ndarray:
        """Actions for the present observations, float32 [env, action]."""
        ...


class PolicyActor:
    """A trained policy, by its mean action unless told otherwise."""

    def __init__(self, policy: Policy, *, deterministic: bool = True, seed: int = 0) -> None:
        """Act with ``policy``; ``seed`` matters only where actions are drawn."""
        self._policy = policy
        self._device = policy.log_std.device
        self._deterministic = deterministic
        self._generator = torch.Generator().manual_seed(seed)
        self._episode_start: np.ndarray | None = None
        self._features: torch.Tensor | None = None
        self._state: tuple[torch.Tensor, torch.Tensor] | None = None

    def reset(self, done: np.ndarray | None) -> None:
        """Start the LSTM from zeros where an episode begins."""
        if done is None or self._episode_start is None:
            self._features = self._state = self._episode_start = None
        else:
            self._episode_start |= done

    @torch.inference_mode()
    def act(self, time_step: TimeStep) -> np.ndarray:
        """Encode the new images and take one step."""
        images = time_step.observation[PIXELS]
        if self._features is None or self._state is None or self._episode_start is None:
            self._episode_start = np.ones(len(images), dtype=bool)
            self._state = self._policy.initial_state(len(images))
            self._features = self._encode(images)
        else:
            updated = np.flatnonzero(time_step.pixels_updated)
            if len(updated):
                self._features[torch.from_numpy(updated).to(self._device)] = self._encode(images[updated])
        proprioception, start = self._tensor(time_step.observation[PROPRIOCEPTION]), self._tensor(self._episode_start)
        action, *state = _in_blocks(self._act, self._features, proprioception, *self._state, start)
        self._state = (state[0], state[1])
        self._episode_start[:] = False
        if not self._deterministic:
            noise = torch.randn(action.shape, generator=self._generator).to(self._device)
            action = action + noise * torch.exp(self._policy.log_std)
        return action.cpu().numpy()

    def _encode(self, images: Images) -> torch.Tensor:
        return _in_blocks(lambda block: (self._policy.encode(block),), self._tensor(images))[0]

    def _act(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, proprioception, hidden, cell, episode_start = inputs
        action, state = self._policy.act(features, proprioception, (hidden, cell), episode_start)
        return action, *state

    def _tensor(self, array: np.ndarray | torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(array, device=self._device)


def _in_blocks(function: Callable[..., tuple[torch.Tensor, ...]], *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Apply a function of rows to `BLOCK` rows at a time, the last ones filled up with zeros."""
    num_rows = len(inputs[0])
    padding = -num_rows % BLOCK
    padded = [torch.cat([rows, rows.new_zeros(padding, *rows.shape[1:])]) if padding else rows for rows in inputs]
    blocks = [function(*rows) for rows in zip(*(rows.split(BLOCK) for rows in padded), strict=True)]
    return tuple(torch.cat(rows)[:num_rows] for rows in zip(*blocks, strict=True))


class ZeroActor:
    """Holds still."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        """Act in environments of this spec."""
        self._size = spec.action.shape[0]

    def reset(self, done: np.ndarray | None) -> None:
        """Nothing to forget."""

    def act(self, time_step: TimeStep) -> np.ndarray:
        """Zeros."""
        return np.zeros((len(time_step.reward), self._size), dtype=np.float32)


class RandomActor:
    """Draws each action uniformly from [-1, 1].

    The e-th episode that begins has a generator of its own, seeded [seed, e], so that in ``evaluate_policy`` an episode
    does not depend on how many run beside it.
    """

    def __init__(self, spec: EnvironmentSpec, *, seed: int) -> None:
        """Act in environments of this spec."""
        self._size = spec.action.shape[0]
        self._seed = seed
        self._generators: list[np.random.Generator] = []
        self._num_begun = 0

    def reset(self, done: np.ndarray | None) -> None:
        """New generators for everybody; within a round, an episode that follows goes on with the one that is there."""
        if done is None:
            self._generators = []

    def act(self, time_step: TimeStep) -> np.ndarray:
        """One draw per simulation."""
        if not self._generators:
            episodes = range(self._num_begun, self._num_begun + len(time_step.reward))
            self._generators = [np.random.default_rng([self._seed, episode]) for episode in episodes]
            self._num_begun = episodes.stop
        return np.stack([g.uniform(-1, 1, self._size) for g in self._generators]).astype(np.float32)


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
        rates = self.stage_rates.items()
        return {name: wilson_interval(round(rate * self.num_episodes), self.num_episodes) for name, rate in rates}

    @property
    def mean_return(self) -> float:
        """Mean of the undiscounted task returns."""
        return float(np.mean([episode.task_return for episode in self.episodes]))

    @property
    def return_interval(self) -> tuple[float, float]:
        """95% interval of the mean return, by the normal approximation."""
        returns = np.array([episode.task_return for episode in self.episodes])
        error = returns.std(ddof=1) / math.sqrt(len(returns)) if len(returns) > 1 else 0.0
        return self.mean_return - NORMAL_QUANTILE * error, self.mean_return + NORMAL_QUANTILE * error

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "num_episodes": self.num_episodes,
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "stage_rates": self.stage_rates,
            "stage_intervals": {name: list(interval) for name, interval in self.stage_intervals.items()},
            "mean_return": self.mean_return,
            "mean_return_interval": list(self.return_interval),
            "num_diverged": sum(episode.diverged for episode in self.episodes),
            "episodes": [dataclasses.asdict(episode) for episode in self.episodes],
        }


def evaluate_policy(actor: Actor, environment: VectorEnvironment, *, num_episodes: int, seed: int) -> EvaluationResult:
    """Run ``num_episodes`` episodes, the e-th of which has the environment seed [seed, e].

    They run in rounds, one episode in each simulation; what the last round has too many is thrown away. So the episodes
    are the same whatever the number of simulations.

    Raises:
        ConfigurationError: no episodes are asked for.
    """
    if num_episodes < 1:
        raise ConfigurationError(f"the number of episodes must be at least 1, got {num_episodes}.")
    episodes: list[EpisodeSummary] = []
    while len(episodes) < num_episodes:
        episodes += _run_round(actor, environment, first_episode=len(episodes), seed=seed)
    return EvaluationResult(episodes=tuple(episodes[:num_episodes]), stages=environment.spec.stages)


def _run_round(actor: Actor, environment: VectorEnvironment, *, first_episode: int, seed: int) -> list[EpisodeSummary]:
    num_envs = environment.num_envs
    actor.reset(None)
    step = environment.reset(seeds=[[seed, first_episode + env] for env in range(num_envs)])
    ended: dict[int, EpisodeSummary] = {}
    while len(ended) < num_envs:
        step = environment.step(actor.act(step))
        for summary in step.episodes:
            # Only the first episode of each simulation is the one of that seed.
            ended.setdefault(summary.env, dataclasses.replace(summary, env=first_episode + summary.env))
        if step.done.any():
            actor.reset(step.done)
    return [ended[env] for env in range(num_envs)]


def wilson_interval(num_successes: int, num_trials: int) -> tuple[float, float]:
    """95% interval of a probability after ``num_successes`` in ``num_trials`` (Wilson 1927).

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), with p = num_successes / n and z = 1.96.
    """
    z, n = NORMAL_QUANTILE, num_trials
    p = num_successes / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # Rounding must not put an end of 0 or 1 on the wrong side of p.
    return max(0.0, min(p, center - half_width)), min(1.0, max(p, center + half_width))
