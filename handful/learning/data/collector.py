"""Runs a policy in an environment and gathers rollouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from handful.environment import OBJECT_POSITIONS, PIXELS, Images, StateTree, TimeStep, VectorEnvironment
from handful.errors import TrainingError
from handful.learning.data.rollout import Rollout, RolloutLog
from handful.learning.models.policy import Policy
from handful.profiling import span
from handful.workers import Workers

IMAGES_PER_TASK = 32
"""Images that one thread encodes at a time on the CPU; a GPU takes all at once."""


class RolloutCollector:
    """Runs a policy in an environment, rollout after rollout."""

    def __init__(
        self,
        environment: VectorEnvironment,
        time_step: TimeStep,
        policy: Policy,
        *,
        num_steps: int,
        groups: tuple[str, ...],
        outcome_frames: bool = False,
        workers: Workers | None = None,
    ) -> None:
        """Begin at a time step at which every simulation starts an episode.

        A rollout has ``num_steps`` control steps and keeps the observation ``groups`` besides those that the policy reads;
        with ``outcome_frames``, also the images seen after each action, those of final observations too. ``workers`` encode
        images; None leaves them to the calling thread. No bit depends on it.
        """
        self._workers = workers or Workers(1)
        self._environment = environment
        self._policy = policy
        self._num_steps = num_steps
        self._device = policy.log_std.device
        num_envs = environment.num_envs
        self._step = time_step
        self._episode_start = np.ones(num_envs, dtype=bool)
        self._held_positions = time_step.observation[OBJECT_POSITIONS].copy()
        self._state = policy.initial_state(num_envs)
        groups = tuple(dict.fromkeys((*policy.config.groups, *groups, OBJECT_POSITIONS)))
        self._log = RolloutLog(environment, num_steps, groups, self._device, outcome_frames=outcome_frames)

    def collect(self, *, generator: torch.Generator) -> Rollout:
        """Take ``num_steps`` steps in every simulation; the generator, on the CPU, draws the noise of the actions.

        Images held from before are encoded anew, as the policy's weights may have changed.
        """
        log, policy = self._log, self._policy
        log.begin(self._step, self._held_positions)
        initial_state = self._state
        shape = (self._num_steps, self._environment.num_envs, policy.sizes.action)
        noise = torch.randn(shape, generator=generator).to(self._device)
        log_std = policy.log_std.detach().clone()
        means = torch.empty(shape, device=self._device)
        actions = torch.empty(shape, device=self._device)
        with torch.inference_mode():
            features = self._encode(self._step.observation[PIXELS]) if policy.sees_pixels else None
            for t in range(self._num_steps):
                observation = self._step.observation
                if t > 0:
                    self._update_frames(features)
                with span("log"):
                    log.observe(t, self._step, self._episode_start)
                with span("act"):
                    vectors = {g: self._to_device(observation[g]) for g in policy.config.groups if g != PIXELS}
                    vector = policy.join(vectors or {OBJECT_POSITIONS: self._to_device(observation[OBJECT_POSITIONS])})
                    start = self._to_device(self._episode_start)
                    means[t], self._state = policy.act(features, vector, self._state, start)
                    torch.addcmul(means[t], noise[t], torch.exp(log_std), out=actions[t])
                    action = _finite(actions[t].cpu().numpy())
                with span("environment"):
                    self._step = self._environment.step(action)
                with span("log"):
                    log.react(t, self._step)
                self._episode_start = self._step.done.copy()
        log.observe(self._num_steps, self._step, self._episode_start)
        self._held_positions = log.held_positions(self._step)
        # Tensors of the inference mode could not take part in a backward pass: copy.
        self._state = (self._state[0].clone(), self._state[1].clone())
        return log.rollout(initial_state=initial_state, actions=actions, mean=means, log_std=log_std)

    def _update_frames(self, features: Tensor | None) -> None:
        """Log new images, and encode them in place."""
        updated = np.flatnonzero(self._step.pixels_updated)
        if len(updated) == 0 or not self._log.keeps_frames:
            return
        images = self._step.observation[PIXELS]
        images = images if len(updated) == len(images) else images[updated]
        with span("log"):
            self._log.add_frames(updated, images, self._step.observation[OBJECT_POSITIONS][updated])
        if features is not None:
            with span("encode"):
                features[torch.from_numpy(updated).to(self._device)] = self._encode(images)

    def _encode(self, images: Images) -> Tensor:
        """Features of images, on several threads."""

        def encode(part: Tensor) -> Tensor:
            with torch.inference_mode():  # a mode of the thread
                return self._policy.encode(part)

        there = self._to_device(images)
        parts = there.split(IMAGES_PER_TASK) if there.device.type == "cpu" else (there,)
        return torch.cat(self._workers.map(encode, parts))

    def _to_device(self, array: Images) -> Tensor:
        return torch.as_tensor(array, device=self._device)

    def state_dict(self) -> StateTree:
        """State of the LSTM and of the camera between two rollouts; the environment's own is its owner's to save."""
        return {
            "hidden": self._state[0].cpu().numpy().copy(),
            "cell": self._state[1].cpu().numpy().copy(),
            "episode_start": self._episode_start.copy(),
            "held_positions": self._held_positions.copy(),
        }

    def load_state_dict(self, state: Any, time_step: TimeStep) -> None:
        """Resume where ``state_dict`` was taken, at the time step that was current then."""
        self._step = time_step
        self._state = (self._to_device(np.array(state["hidden"])), self._to_device(np.array(state["cell"])))
        self._episode_start = np.array(state["episode_start"])
        self._held_positions = np.array(state["held_positions"])


def _finite(action: np.ndarray) -> np.ndarray:
    if not np.isfinite(action).all():
        env, entry = np.argwhere(~np.isfinite(action))[0]
        raise TrainingError(
            f"the policy's action {entry} in simulation {env} is {action[env, entry]}: its parameters or what it "
            "observed are not finite."
        )
    return action
