"""Rollouts: what a policy observed, did and got over a number of steps in many simulations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from handful.environment import (
    OBJECT_POSITIONS,
    PIXELS,
    EpisodeSummary,
    Images,
    StateTree,
    TimeStep,
    VectorEnvironment,
)
from handful.errors import TrainingError
from handful.learning.models.policy import Policy
from handful.profiling import span
from handful.sequences import RecurrentState, Sequences
from handful.workers import Workers

IMAGES_PER_TASK = 32
"""Images that one thread encodes at a time on the CPU; a GPU takes all at once."""


@dataclasses.dataclass
class Rollout:
    """Sequences of one length from simulations side by side, how their actions were drawn, and what they got."""

    sequences: Sequences
    """Observations and actions; actions as drawn, before the environment clips them."""
    mean: Float[Tensor, "time env action"]
    """Means that the actions were drawn about."""
    log_std: Float[Tensor, " action"]
    """Log standard deviations that they were drawn with."""
    stage: Int[Tensor, "time env"]
    """Stage of the task before the action."""
    task_reward: Float[Tensor, "time env"]
    """Reward of the task."""
    terminated: Bool[Tensor, "time env"]
    """Ended without a future."""
    truncated: Bool[Tensor, "time env"]
    """Ended at the time limit."""
    episodes: list[EpisodeSummary] = dataclasses.field(default_factory=list)
    """Episodes that ended."""

    @property
    def action(self) -> Float[Tensor, "time env action"]:
        """Actions as drawn."""
        assert self.sequences.actions is not None
        return self.sequences.actions

    @property
    def num_steps(self) -> int:
        """Length of the sequences [control steps]."""
        return self.sequences.num_steps

    @property
    def num_envs(self) -> int:
        """Simulations."""
        return self.sequences.num_sequences

    def select(self, envs: Int[Tensor, " selected"]) -> Rollout:
        """The rollout of some of the simulations, with their frames alone."""
        own = {
            name: getattr(self, name)[:, envs] for name in ("mean", "stage", "task_reward", "terminated", "truncated")
        }
        return Rollout(sequences=self.sequences.select(envs), log_std=self.log_std, **own)


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

        Args:
            environment: The simulations.
            time_step: What they report.
            policy: Whose actions are taken.
            num_steps: Length of a rollout [control steps].
            groups: Observation groups to keep besides those that the policy reads.
            outcome_frames: Whether to keep the images seen after each action, those of final observations too.
            workers: Who encodes images; None leaves them to the calling thread. No bit depends on it.
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
        self._state = (self._state[0].detach(), self._state[1].detach())
        groups = tuple(dict.fromkeys((*policy.config.groups, *groups, OBJECT_POSITIONS)))
        self._log = _Log(environment, num_steps, groups, self._device, outcome_frames=outcome_frames)

    def collect(self, *, generator: torch.Generator) -> Rollout:
        """Take ``num_steps`` steps in every simulation.

        Images held from before are encoded anew, as the policy's weights may have changed.

        Args:
            generator: On the CPU; draws the noise of the actions.

        Raises:
            TrainingError: the policy's action is not finite.
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
        hidden, cell, start, positions = (
            np.array(state[name]) for name in ("hidden", "cell", "episode_start", "held_positions")
        )
        self._step = time_step
        self._state = (self._to_device(hidden), self._to_device(cell))
        self._episode_start = start
        self._held_positions = positions


def _finite(action: np.ndarray) -> np.ndarray:
    if not np.isfinite(action).all():
        env, entry = np.argwhere(~np.isfinite(action))[0]
        raise TrainingError(
            f"the policy's action {entry} in simulation {env} is {action[env, entry]}: its parameters or what it "
            "observed are not finite."
        )
    return action


class _Log:
    """Preallocated memory of one rollout: images on the learner's device, numbers, which are few, on the host."""

    def __init__(
        self,
        environment: VectorEnvironment,
        num_steps: int,
        groups: tuple[str, ...],
        device: torch.device,
        *,
        outcome_frames: bool,
    ) -> None:
        spec, num_envs = environment.spec, environment.num_envs
        sizes = {group: spec.observations[group].shape[0] for group in groups if group != PIXELS}
        shape = (num_steps, num_envs)
        self._num_steps = num_steps
        self._device = device
        self._vectors = {g: np.zeros((num_steps + 1, num_envs, size), np.float32) for g, size in sizes.items()}
        self._finals = {g: np.zeros((*shape, size), np.float32) for g, size in sizes.items()}
        self._arrays: dict[str, np.ndarray] = {
            "stage": np.zeros(shape, dtype=np.int64),
            "task_reward": np.zeros(shape, dtype=np.float32),
            "terminated": np.zeros(shape, dtype=bool),
            "truncated": np.zeros(shape, dtype=bool),
        }
        self._starts = np.zeros(shape, dtype=bool)
        self._mask = torch.ones(shape, dtype=torch.bool, device=device)
        self._frame_index = np.zeros((num_steps + 1, num_envs), dtype=np.int64)
        self._final_frame_index = np.zeros(shape, dtype=np.int64)
        self._outcome_frames = outcome_frames
        self.keeps_frames = PIXELS in groups
        capacity = num_envs * (num_steps // spec.camera_period + 2) if self.keeps_frames else 0
        image = spec.observations[PIXELS].shape if self.keeps_frames else (0, 0, 3)
        self._frames = torch.zeros(capacity, *image, dtype=torch.uint8, device=device)
        self._positions = np.zeros((capacity, sizes[OBJECT_POSITIONS]), dtype=np.float32)
        self._num_frames = 0
        self._current = np.arange(num_envs)  # the frame that each simulation sees
        self._episodes: list[EpisodeSummary] = []

    def held_positions(self, step: TimeStep) -> np.ndarray:
        """Object positions when each simulation's current image was taken, [env, coordinate]."""
        positions = step.observation[OBJECT_POSITIONS]
        if not self.keeps_frames:
            return positions.copy()
        return np.where(step.pixels_updated[:, None], positions, self._positions[self._current])

    def begin(self, step: TimeStep, positions: np.ndarray) -> None:
        self._num_frames = 0
        self._episodes = []
        if self.keeps_frames:
            images = step.observation[PIXELS]
            self.add_frames(np.arange(len(images)), images, positions)

    def add_frames(self, envs: np.ndarray, images: Images, positions: np.ndarray) -> None:
        """Keep new images of the simulations ``envs``, which see them from now on."""
        self._current[envs] = self._append_frames(images, positions)

    def observe(self, t: int, step: TimeStep, episode_start: np.ndarray) -> None:
        """Log what is known before action t; after the last action, the vectors alone."""
        observation = step.observation
        for group, rows in self._vectors.items():
            rows[t] = observation[group]
        if t < self._num_steps:
            self._arrays["stage"][t] = step.observed_stage
            self._starts[t] = episode_start
            self._frame_index[t] = self._current
        elif self._outcome_frames:
            updated = np.flatnonzero(step.pixels_updated)
            self.add_frames(updated, observation[PIXELS][updated], observation[OBJECT_POSITIONS][updated])
            self._frame_index[t] = self._current

    def react(self, t: int, step: TimeStep) -> None:
        """Log what action t led to."""
        arrays = self._arrays
        arrays["task_reward"][t] = step.reward
        arrays["terminated"][t] = step.terminated
        arrays["truncated"][t] = step.truncated
        self._episodes += step.episodes
        done = np.flatnonzero(step.done)
        final = step.final_observation
        if final is None or not len(done):
            return
        for group, rows in self._finals.items():
            rows[t, done] = final[group][done]
        if self._outcome_frames:
            self._final_frame_index[t, done] = self._append_frames(final[PIXELS][done], final[OBJECT_POSITIONS][done])

    def rollout(self, *, initial_state: RecurrentState, actions: Tensor, mean: Tensor, log_std: Tensor) -> Rollout:
        """Views of the images, and where the device shares memory with NumPy of all else: valid until ``begin``."""
        done = self._arrays["terminated"] | self._arrays["truncated"]
        vectors = {group: rows[:-1] for group, rows in self._vectors.items()}
        outcomes = {g: np.where(done[:, :, None], self._finals[g], rows[1:]) for g, rows in self._vectors.items()}
        frames: dict[str, Any] = {}
        if self.keeps_frames:
            frames["frames"] = self._frames[: self._num_frames]
            frames["frame_positions"] = self._tensor(self._positions[: self._num_frames])
            frames["frame_index"] = self._tensor(self._frame_index[:-1])
        if self._outcome_frames:
            index = np.where(done, self._final_frame_index, self._frame_index[1:])
            frames["outcome_frame_index"] = self._tensor(index)
        return Rollout(
            sequences=Sequences(
                vectors={group: self._tensor(rows) for group, rows in vectors.items()},
                outcomes={group: self._tensor(rows) for group, rows in outcomes.items()},
                actions=actions,
                mask=self._mask,
                episode_start=self._tensor(self._starts),
                initial_state=initial_state,
                **frames,
            ),
            mean=mean,
            log_std=log_std,
            episodes=self._episodes,
            **{name: self._tensor(array) for name, array in self._arrays.items()},
        )

    def _append_frames(self, images: Images, positions: np.ndarray) -> np.ndarray:
        """Keep images, and say under which numbers."""
        begin, end = self._num_frames, self._num_frames + len(positions)
        while end > len(self._frames):  # many early ends, and so many first images
            with torch.inference_mode(False):  # else the next rollout could not write to them
                self._frames = torch.cat([self._frames, torch.zeros_like(self._frames)])
            self._positions = np.concatenate([self._positions, np.zeros_like(self._positions)])
        self._frames[begin:end] = torch.as_tensor(images)
        self._positions[begin:end] = positions
        self._num_frames = end
        return np.arange(begin, end)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
