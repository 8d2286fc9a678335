"""A dot that is to be moved onto a target: learned in seconds, and with every way an episode can end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from handful.environment import ArraySpec, EnvironmentSpec, EpisodeSummary, TimeStep
from handful.sequences import Sequences

SIZE = 24
STAGES = ("start", "near", "on target")
STAGE_REWARDS = (0.0, 0.25, 1.0)
RADII = (0.6, 0.25)


def _vector(*names: str) -> ArraySpec:
    return ArraySpec(shape=(len(names),), dtype="float32", names=names)


class ToyEnvironment:
    """Dot and target in the square [-1, 1]^2; actions are velocities, of which the third does nothing."""

    def __init__(
        self,
        num_envs: int,
        *,
        horizon: int = 20,
        camera_period: int = 2,
        divergence: float = 0.0,
        demo_start: float = 0.0,
        staggered: bool = False,
    ) -> None:
        self._num_envs = num_envs
        self._divergence = divergence
        self._demo_start = demo_start
        self._staggered = staggered
        self._spec = EnvironmentSpec(
            task="toy",
            observations={
                "pixels": ArraySpec(shape=(SIZE, SIZE, 3), dtype="uint8"),
                "proprioception": _vector("vx", "vy"),
                "physical_state": _vector("x", "y", "vx", "vy", "target_x", "target_y"),
                "time_left": _vector("time_left"),
                "object_features": _vector("dx", "dy"),
                "object_positions": _vector("target_x", "target_y"),
            },
            action=_vector("ax", "ay", "nothing"),
            stages=STAGES,
            stage_rewards=STAGE_REWARDS,
            horizon=horizon,
            control_timestep=0.05,
            camera_period=camera_period,
        )
        self._generators = [np.random.default_rng(env) for env in range(num_envs)]
        self._dot = np.zeros((num_envs, 2))
        self._target = np.zeros((num_envs, 2))
        self._velocity = np.zeros((num_envs, 2))
        self._time = np.zeros(num_envs, dtype=np.int64)
        self._return = np.zeros(num_envs)
        self._highest = np.zeros(num_envs, dtype=np.int64)
        self._random_start = np.ones(num_envs, dtype=bool)
        self._pixels = np.zeros((num_envs, SIZE, SIZE, 3), dtype=np.uint8)
        self._limit = np.full(num_envs, horizon)

    @property
    def spec(self) -> EnvironmentSpec:
        return self._spec

    @property
    def num_envs(self) -> int:
        return self._num_envs

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        if seeds is not None:
            self._generators = [np.random.default_rng(seed) for seed in seeds]
        everyone = np.ones(self._num_envs, dtype=bool)
        self._begin(everyone)
        if self._staggered:
            self._limit = np.array([g.integers(3, self._spec.horizon + 1) for g in self._generators])
        return self._report(everyone)

    def step(self, action: np.ndarray) -> TimeStep:
        assert action.shape == (self._num_envs, 3)
        self._velocity = np.clip(action, -1, 1)[:, :2].astype(np.float64)
        self._dot = np.clip(self._dot + 0.25 * self._velocity, -1, 1)
        self._time += 1
        stage = self._stage()
        reward = np.array(STAGE_REWARDS, dtype=np.float32)[stage]
        self._return += reward
        self._highest = np.maximum(self._highest, stage)
        terminated = np.array([g.random() < self._divergence for g in self._generators])
        truncated = (self._time >= self._limit) & ~terminated
        done = terminated | truncated
        new_image = self._time % self._spec.camera_period == 0
        self._draw(new_image)
        final = None
        episodes = []
        if done.any():
            final = self._observation()
            for env in np.flatnonzero(done):
                episodes.append(
                    EpisodeSummary(
                        env=int(env),
                        task_return=float(self._return[env]),
                        length=int(self._time[env]),
                        random_start=bool(self._random_start[env]),
                        success=bool(stage[env] == 2 and not terminated[env]),
                        highest_stage=int(self._highest[env]),
                        final_stage=int(stage[env]),
                        diverged=bool(terminated[env]),
                        score=0.5 * float(stage[env]),
                    )
                )
            self._begin(done)
        report = self._report(new_image | done)
        report.reward, report.terminated, report.truncated, report.stage = reward, terminated, truncated, stage
        report.final_observation, report.episodes = final, episodes
        return report

    def state_dict(self) -> dict:
        arrays = {name: getattr(self, name).copy() for name in _ARRAYS}
        return {**arrays, "generators": {str(i): g.bit_generator.state for i, g in enumerate(self._generators)}}

    def load_state_dict(self, state: dict) -> TimeStep:
        for name in _ARRAYS:
            setattr(self, name, state[name].copy())
        for index, generator in enumerate(self._generators):
            generator.bit_generator.state = state["generators"][str(index)]
        return self._report(self._time % self._spec.camera_period == 0)

    def close(self) -> None:
        pass

    def _begin(self, where: np.ndarray) -> None:
        for env in np.flatnonzero(where):
            generator = self._generators[env]
            self._target[env] = generator.uniform(-0.8, 0.8, 2)
            self._dot[env] = generator.uniform(-1, 1, 2)
            self._random_start[env] = generator.random() >= self._demo_start
            if not self._random_start[env]:
                self._dot[env] = np.clip(self._target[env] + generator.uniform(-0.4, 0.4, 2), -1, 1)
        self._velocity[where] = 0
        self._time[where] = 0
        self._return[where] = 0
        self._highest[where] = 0
        self._limit[where] = self._spec.horizon
        self._draw(where)

    def _stage(self) -> np.ndarray:
        distance = np.linalg.norm(self._dot - self._target, axis=1)
        return (distance < RADII[0]).astype(np.int64) + (distance < RADII[1])

    def _draw(self, where: np.ndarray) -> None:
        grid = np.linspace(-1, 1, SIZE)
        self._pixels[where] = 0
        for channel, center in ((0, self._dot), (1, self._target)):
            x = np.abs(grid - center[where, :1]) < 0.15
            y = np.abs(grid - center[where, 1:]) < 0.15
            self._pixels[where, ..., channel] = 255 * (y[:, :, None] & x[:, None, :])

    def _observation(self) -> dict[str, np.ndarray]:
        left = 1 - self._time[:, None] / self._spec.horizon
        state = np.concatenate([self._dot, self._velocity, self._target], axis=1)
        return {
            "pixels": self._pixels.copy(),
            "proprioception": self._velocity.astype(np.float32),
            "physical_state": state.astype(np.float32),
            "time_left": left.astype(np.float32),
            "object_features": (self._target - self._dot).astype(np.float32),
            "object_positions": self._target.astype(np.float32),
        }

    def _report(self, pixels_updated: np.ndarray) -> TimeStep:
        nobody = np.zeros(self._num_envs, dtype=bool)
        return TimeStep(
            observation=self._observation(),
            reward=np.zeros(self._num_envs, dtype=np.float32),
            terminated=nobody,
            truncated=nobody.copy(),
            stage=self._stage(),
            observed_stage=self._stage(),
            pixels_updated=pixels_updated.copy(),
        )


_ARRAYS = (
    "_dot",
    "_target",
    "_velocity",
    "_time",
    "_return",
    "_highest",
    "_random_start",
    "_pixels",
    "_limit",
)


class ToyExpert:
    """Goes straight to the target."""

    def reset(self, done: np.ndarray | None) -> None:
        pass

    def act(self, time_step: TimeStep) -> np.ndarray:
        toward = 4 * time_step.observation["object_features"]
        return np.clip(np.pad(toward, ((0, 0), (0, 1))), -1, 1).astype(np.float32)


GROUPS = ("proprioception", "physical_state", "object_features", "object_positions")


def sequences(
    lengths: Sequence[int] = (20,) * 48,
    *,
    camera_period: int = 2,
    frames: bool = True,
    actions: bool = True,
    seed: int = 5,
) -> Sequences:
    """Toy demonstrations of these lengths, as a policy would have seen them."""
    environment = ToyEnvironment(len(lengths), camera_period=camera_period, horizon=1000)
    step = environment.reset(seeds=[[seed, env] for env in range(len(lengths))])
    observed, done = [step.observation], []
    for _ in range(max(lengths)):
        done.append(ToyExpert().act(step))
        step = environment.step(done[-1])
        observed.append(step.observation)
    mask = np.arange(max(lengths))[:, None] < np.asarray(lengths)
    # What is not there must not matter.
    garbage = np.where(mask[:, :, None], 0.0, 7.0).astype(np.float32)
    rows = {group: np.stack([each[group] for each in observed]) for group in GROUPS}
    result = Sequences(
        vectors={group: torch.from_numpy(values[:-1] + garbage) for group, values in rows.items()},
        outcomes={group: torch.from_numpy(values[1:] + garbage) for group, values in rows.items()},
        actions=torch.from_numpy(np.stack(done) + garbage) if actions else None,
        mask=torch.from_numpy(mask),
        episode_start=torch.from_numpy((np.arange(max(lengths)) == 0)[:, None] & np.ones_like(mask)),
    )
    if frames:
        pixels = np.stack([each["pixels"] for each in observed])
        images, positions, index = [], [], np.zeros(mask.shape, np.int64)
        for episode, length in enumerate(lengths):
            index[:length, episode] = len(images) + np.arange(length) // camera_period
            images += list(pixels[:length:camera_period, episode])
            positions += list(rows["object_positions"][:length:camera_period, episode])
        result.frames = torch.from_numpy(np.stack(images))
        result.frame_positions = torch.from_numpy(np.stack(positions))
        result.frame_index = torch.from_numpy(index)
    return result


def expert(**options) -> Sequences:
    """Five demonstrations without images, for a discriminator."""
    return sequences((19,) * 5, frames=False, seed=0, **options)
