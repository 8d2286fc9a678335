"""Rollouts: what the policy saw, did and got over a number of steps in many simulations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from handful.environment import (
    OBJECT_FEATURES,
    OBJECT_POSITIONS,
    PHYSICAL_STATE,
    PIXELS,
    PROPRIOCEPTION,
    EpisodeSummary,
    Images,
    StateTree,
    TimeStep,
    VectorEnvironment,
)
from handful.errors import TrainingError
from handful.learning.models.policy import Policy, RecurrentState
from handful.profiling import span
from handful.workers import Workers

IMAGES_PER_SHARE = 32
"""Images that one thread encodes at a time on the CPU; a GPU takes all at once."""


@dataclasses.dataclass
class Rollout:
    """Sequences of one length from simulations side by side."""

    frames: UInt8[Tensor, "frame height width channel"]
    """Every image that the policy saw, once; a simulation's first may be held from before the rollout."""
    frame_positions: Float[Tensor, "frame coordinate"]
    """Object positions when the image was taken [m]."""
    frame_index: Int[Tensor, "time env"]
    """The frame seen at each step."""
    proprioception: Float[Tensor, "time env proprioception"]
    """As observed before the action."""
    stage: Int[Tensor, "time env"]
    """Stage of the task before the action."""
    episode_start: Bool[Tensor, "time env"]
    """Where an episode begins with this observation."""
    initial_state: RecurrentState
    """State of the LSTM before the first step."""
    action: Float[Tensor, "time env action"]
    """As drawn, before the environment clips it."""
    mean: Float[Tensor, "time env action"]
    """Means that the actions were drawn about."""
    log_std: Float[Tensor, " action"]
    """Log standard deviations that they were drawn with."""
    physical_state: Float[Tensor, "next_time env state"]
    """Before each action, and after the last one."""
    final_physical_state: Float[Tensor, "time env state"]
    """That of ``final_observation`` where an episode ended, else zeros."""
    object_features: Float[Tensor, "time env feature"]
    """Of the state that the action led to, the final one where the episode ended."""
    task_reward: Float[Tensor, "time env"]
    """Reward of the task."""
    terminated: Bool[Tensor, "time env"]
    """Ended without a future."""
    truncated: Bool[Tensor, "time env"]
    """Ended at the time limit."""
    episodes: list[EpisodeSummary] = dataclasses.field(default_factory=list)
    """Episodes that ended."""

    @property
    def num_steps(self) -> int:
        """Length of the sequences [control steps]."""
        return self.action.shape[0]

    @property
    def num_envs(self) -> int:
        """Simulations."""
        return self.action.shape[1]

    def select(self, envs: Int[Tensor, " selected"]) -> Rollout:
        """The rollout of some of the simulations, with their frames alone."""
        frames, frame_index = torch.unique(self.frame_index[:, envs], return_inverse=True)
        return Rollout(
            frames=self.frames[frames],
            frame_positions=self.frame_positions[frames],
            frame_index=frame_index,
            initial_state=(self.initial_state[0][envs], self.initial_state[1][envs]),
            log_std=self.log_std,
            **{name: getattr(self, name)[:, envs] for name in _PER_STEP},
        )


_PER_STEP = (
    "proprioception",
    "stage",
    "episode_start",
    "action",
    "mean",
    "physical_state",
    "final_physical_state",
    "object_features",
    "task_reward",
    "terminated",
    "truncated",
)


class RolloutCollector:
    """Runs a policy in an environment, going on from rollout to rollout."""

    def __init__(
        self,
        environment: VectorEnvironment,
        time_step: TimeStep,
        *,
        num_steps: int,
        hidden_size: int,
        device: str,
        workers: Workers | None = None,
    ) -> None:
        """Begin at a time step at which every simulation starts an episode.

        Args:
            environment: The simulations.
            time_step: What they report.
            num_steps: Length of a rollout [control steps].
            hidden_size: Units of the policy's LSTM.
            device: Where the policy is.
            workers: Who encodes images; None leaves them to the calling thread. No bit depends on it.
        """
        self._workers = workers or Workers(1)
        self._environment = environment
        self._num_steps = num_steps
        self._device = device
        num_envs = environment.num_envs
        self._step = time_step
        self._episode_start = np.ones(num_envs, dtype=bool)
        self._held_positions = time_step.observation[OBJECT_POSITIONS].copy()
        zeros = torch.zeros(num_envs, hidden_size, device=device)
        self._state: RecurrentState = (zeros, zeros)
        self._log = _Log(environment, num_steps, device)

    def collect(self, policy: Policy, *, generator: torch.Generator) -> Rollout:
        """Take ``num_steps`` steps in every simulation.

        Args:
            policy: Whose actions are taken. Images held from before are encoded anew, as its weights may have changed.
            generator: On the CPU; draws the noise of the actions.

        Raises:
            TrainingError: the policy's action is not finite.
        """
        log, device = self._log, self._device
        log.begin(self._step.observation[PIXELS], self._held_positions)
        initial_state = self._state
        shape = (self._num_steps, self._environment.num_envs, policy.sizes.action)
        noise = torch.randn(shape, generator=generator).to(device)
        log_std = policy.log_std.detach().clone()
        means = torch.empty(shape, device=device)
        actions = torch.empty(shape, device=device)
        with torch.inference_mode():
            features = self._encode(policy, self._step.observation[PIXELS])
            for t in range(self._num_steps):
                observation = self._step.observation
                if t > 0:
                    self._update_features(policy, features)
                with span("log"):
                    log.observe(t, self._step, self._episode_start)
                with span("act"):
                    means[t], self._state = policy.act(
                        features,
                        self._to_device(observation[PROPRIOCEPTION]),
                        self._state,
                        self._to_device(self._episode_start),
                    )
                    torch.addcmul(means[t], noise[t], torch.exp(log_std), out=actions[t])
                    action = _finite(actions[t].cpu().numpy())
                with span("environment"):
                    self._step = self._environment.step(action)
                with span("log"):
                    log.react(t, self._step)
                self._episode_start = self._step.done.copy()
        log.observe(self._num_steps, self._step, self._episode_start)
        updated = self._step.pixels_updated
        self._held_positions = np.where(updated[:, None], self._step.observation[OBJECT_POSITIONS], log.held_positions)
        # Tensors of the inference mode could not take part in a backward pass: copy.
        self._state = (self._state[0].clone(), self._state[1].clone())
        return log.rollout(device, initial_state=initial_state, action=actions, mean=means, log_std=log_std)

    def _update_features(self, policy: Policy, features: Tensor) -> None:
        """Encode new images in place, and log them."""
        updated = np.flatnonzero(self._step.pixels_updated)
        if len(updated) == 0:
            return
        everyone = len(updated) == len(features)
        images = self._step.observation[PIXELS]
        images = images if everyone else images[updated]
        with span("log"):
            self._log.add_frames(updated, images, self._step.observation[OBJECT_POSITIONS][updated])
        with span("encode"):
            features[torch.from_numpy(updated).to(self._device)] = self._encode(policy, images)

    def _encode(self, policy: Policy, images: Images) -> Tensor:
        """Features of images, in shares."""

        def encode(share: Tensor) -> Tensor:
            with torch.inference_mode():  # a mode of the thread
                return policy.encode(share)

        there = self._to_device(images)
        shares = there.split(IMAGES_PER_SHARE) if there.device.type == "cpu" else (there,)
        return torch.cat(self._workers.map(encode, shares))

    def _to_device(self, array: np.ndarray | Tensor) -> Tensor:
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
        """Go on where ``state_dict`` was taken, at the time step that was current then."""
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

    def __init__(self, environment: VectorEnvironment, num_steps: int, device: str) -> None:
        spec, num_envs = environment.spec, environment.num_envs

        def size(group: str) -> int:
            return spec.observations[group].shape[0]

        shape = (num_steps, num_envs)
        self.arrays: dict[str, np.ndarray] = {
            "frame_index": np.zeros(shape, dtype=np.int64),
            "proprioception": np.zeros((*shape, size(PROPRIOCEPTION)), dtype=np.float32),
            "stage": np.zeros(shape, dtype=np.int64),
            "episode_start": np.zeros(shape, dtype=bool),
            "physical_state": np.zeros((num_steps + 1, num_envs, size(PHYSICAL_STATE)), dtype=np.float32),
            "final_physical_state": np.zeros((*shape, size(PHYSICAL_STATE)), dtype=np.float32),
            "object_features": np.zeros((*shape, size(OBJECT_FEATURES)), dtype=np.float32),
            "task_reward": np.zeros(shape, dtype=np.float32),
            "terminated": np.zeros(shape, dtype=bool),
            "truncated": np.zeros(shape, dtype=bool),
        }
        capacity = num_envs * (num_steps // spec.camera_period + 2)
        self._frames = torch.zeros(capacity, *spec.observations[PIXELS].shape, dtype=torch.uint8, device=device)
        self._positions = np.zeros((capacity, size(OBJECT_POSITIONS)), dtype=np.float32)
        self._num_frames = 0
        self._current = np.arange(num_envs)  # the frame that each simulation sees
        self._episodes: list[EpisodeSummary] = []

    @property
    def held_positions(self) -> np.ndarray:
        """Object positions when each simulation's current image was taken, [env, coordinate]."""
        return self._positions[self._current]

    def begin(self, images: Images, positions: np.ndarray) -> None:
        self._num_frames = 0
        self._episodes = []
        self.arrays["final_physical_state"][:] = 0
        self.add_frames(np.arange(len(images)), images, positions)

    def add_frames(self, envs: np.ndarray, images: Images, positions: np.ndarray) -> None:
        begin, end = self._num_frames, self._num_frames + len(envs)
        if end > len(self._frames):  # many early ends, and so many first images
            with torch.inference_mode(False):  # else the next rollout could not write to them
                self._frames = torch.cat([self._frames, torch.zeros_like(self._frames)])
            self._positions = np.concatenate([self._positions, np.zeros_like(self._positions)])
        self._frames[begin:end] = torch.as_tensor(images)
        self._positions[begin:end] = positions
        self._current[envs] = np.arange(begin, end)
        self._num_frames = end

    def observe(self, t: int, step: TimeStep, episode_start: np.ndarray) -> None:
        """Log what is known before action t; after the last action, the physical state alone."""
        arrays, observation = self.arrays, step.observation
        arrays["physical_state"][t] = observation[PHYSICAL_STATE]
        if t < len(arrays["frame_index"]):
            arrays["proprioception"][t] = observation[PROPRIOCEPTION]
            arrays["stage"][t] = step.observed_stage
            arrays["episode_start"][t] = episode_start
            arrays["frame_index"][t] = self._current

    def react(self, t: int, step: TimeStep) -> None:
        """Log what action t led to."""
        arrays = self.arrays
        arrays["task_reward"][t] = step.reward
        arrays["terminated"][t] = step.terminated
        arrays["truncated"][t] = step.truncated
        arrays["object_features"][t] = step.observation[OBJECT_FEATURES]
        done = step.done
        if step.final_observation is not None and done.any():
            arrays["object_features"][t, done] = step.final_observation[OBJECT_FEATURES][done]
            arrays["final_physical_state"][t, done] = step.final_observation[PHYSICAL_STATE][done]
        self._episodes += step.episodes

    def rollout(self, device: str, *, initial_state: RecurrentState, **own: Tensor) -> Rollout:
        """Views of the images, and where the device shares memory with NumPy of all else: valid until ``begin``."""
        tensors = {name: torch.from_numpy(array).to(device) for name, array in self.arrays.items()}
        return Rollout(
            frames=self._frames[: self._num_frames],
            frame_positions=torch.from_numpy(self._positions[: self._num_frames]).to(device),
            initial_state=initial_state,
            episodes=self._episodes,
            **tensors,
            **own,
        )
