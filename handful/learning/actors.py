"""Those who choose actions: a trained policy, and stand-ins for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from handful.environment import OBJECT_POSITIONS, PIXELS, EnvironmentSpec, Images, TimeStep
from handful.learning.models.policy import Policy
from handful.learning.persistence.policy_file import PolicyManifest

BLOCK = 16
"""Rows that a policy network works on at once. Matrix products of other sizes add up in another order, and an episode
would differ in its last bits, and soon in more, with how many run beside it (measured: below 16 rows)."""


class Actor(Protocol):
    """Whoever chooses actions: a policy, an operator, a random number generator."""

    def reset(self, done: np.ndarray | None) -> None:
        """Forget the past where a new episode begins, bool [env]; None means everywhere."""

    def act(self, time_step: TimeStep) -> np.ndarray:
        """Actions for the present observations, float32 [env, action]."""
        ...


class PolicyActor:
    """A trained policy, by its mean action unless told otherwise."""

    def __init__(
        self, policy: Policy, manifest: PolicyManifest | None = None, *, deterministic: bool = True, seed: int = 0
    ) -> None:
        """Act with ``policy``, whose file says ``manifest``; ``seed`` matters only where actions are drawn."""
        self.manifest = manifest
        self._policy = policy
        groups = [group for group in policy.config.groups if group != PIXELS]
        self._vector_groups = groups or [OBJECT_POSITIONS]  # which says how many rows there are
        self._device = policy.log_std.device
        self._deterministic = deterministic
        self._generator = torch.Generator().manual_seed(seed)
        self._episode_start: np.ndarray | None = None
        self._features: torch.Tensor | None = None  # of the last images; no columns without pixels
        self._state: tuple[torch.Tensor, torch.Tensor] | None = None

    def reset(self, done: np.ndarray | None = None) -> None:
        """Start the LSTM from zeros where an episode begins, everywhere by default."""
        if done is None or self._episode_start is None:
            self._features = self._state = self._episode_start = None
        else:
            self._episode_start |= done

    @torch.inference_mode()
    def act(self, time_step: TimeStep) -> np.ndarray:
        """Encode the new images and take one step."""
        num_envs = len(time_step.reward)
        if self._features is None or self._state is None or self._episode_start is None:
            self._episode_start = np.ones(num_envs, dtype=bool)
            self._state = self._policy.initial_state(num_envs)
            self._features = self._encode(time_step, np.arange(num_envs))
        else:
            updated = np.flatnonzero(time_step.pixels_updated)
            if len(updated):
                self._features[torch.from_numpy(updated).to(self._device)] = self._encode(time_step, updated)
        vectors = {group: self._tensor(time_step.observation[group]) for group in self._vector_groups}
        start = self._tensor(self._episode_start)
        action, *state = _in_blocks(self._act, self._features, self._policy.join(vectors), *self._state, start)
        self._state = (state[0], state[1])
        self._episode_start[:] = False
        if not self._deterministic:
            noise = torch.randn(action.shape, generator=self._generator).to(self._device)
            action = action + noise * torch.exp(self._policy.log_std)
        return action.cpu().numpy()

    def _encode(self, time_step: TimeStep, envs: np.ndarray) -> torch.Tensor:
        """Features of the images of some simulations; nothing for a policy without pixels."""
        if not self._policy.sees_pixels:
            return torch.zeros(len(envs), 0, device=self._device)
        images = time_step.observation[PIXELS]
        seen = self._tensor(images if len(envs) == len(images) else images[envs])
        return _in_blocks(lambda block: (self._policy.encode(block),), seen)[0]

    def _act(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, vector, hidden, cell, episode_start = inputs
        action, state = self._policy.act(
            features if self._policy.sees_pixels else None, vector, (hidden, cell), episode_start
        )
        return action, *state

    def _tensor(self, array: Images) -> torch.Tensor:
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
        self._size = spec.action.shape[0]
        self._seed = seed
        self._generators: list[np.random.Generator] = []
        self._num_begun = 0

    def reset(self, done: np.ndarray | None) -> None:
        """New generators for everybody; within a round, an episode that follows continues with the one that is there."""
        if done is None:
            self._generators = []

    def act(self, time_step: TimeStep) -> np.ndarray:
        """One draw per simulation."""
        if not self._generators:
            episodes = range(self._num_begun, self._num_begun + len(time_step.reward))
            self._generators = [np.random.default_rng([self._seed, episode]) for episode in episodes]
            self._num_begun = episodes.stop
        return np.stack([g.uniform(-1, 1, self._size) for g in self._generators]).astype(np.float32)
