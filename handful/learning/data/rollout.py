"""Rollouts: what a policy observed, did and got over a number of steps in many simulations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from handful.environment import OBJECT_POSITIONS, PIXELS, EpisodeSummary, Images, TimeStep, VectorEnvironment
from handful.sequences import RecurrentState, Sequences


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
    stage_after: Int[Tensor, "time env"]
    """Stage of the state that the action led to, the final one where the episode ended."""
    task_reward: Float[Tensor, "time env"]
    """Reward of the task."""
    terminated: Bool[Tensor, "time env"]
    """Ended without a future."""
    truncated: Bool[Tensor, "time env"]
    """Ended at the time limit."""
    episodes: list[EpisodeSummary] = dataclasses.field(default_factory=list)
    """Episodes that ended."""
    teacher_actions: Float[Tensor, "time env action"] | None = None
    """What a teacher would have done; None where there is none."""

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
            name: getattr(self, name)[:, envs]
            for name in ("mean", "stage", "stage_after", "task_reward", "terminated", "truncated")
        }
        if self.teacher_actions is not None:
            own["teacher_actions"] = self.teacher_actions[:, envs]
        return Rollout(sequences=self.sequences.select(envs), log_std=self.log_std, **own)


class RolloutLog:
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
        types = {
            "stage": "int64",
            "stage_after": "int64",
            "task_reward": "float32",
            "terminated": "?",
            "truncated": "?",
        }
        self._arrays: dict[str, np.ndarray] = {name: np.zeros(shape, dtype) for name, dtype in types.items()}
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
        """Begin a rollout at a time step; its images are from when objects had those positions [env, coordinate]."""
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
        arrays["stage_after"][t] = step.stage
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
                vectors={group: self._tensor(rows[:-1]) for group, rows in self._vectors.items()},
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
