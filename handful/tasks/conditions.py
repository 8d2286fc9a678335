"""Conditions of a real robot, in simulation: noise on joints and pixels, actions that are lost, and delays.

They change what the policy is given and what becomes of its actions, never the physical state that the value function and
the discriminator see. All draws come from generators of their own, so that without conditions, and for everything that an
episode draws, nothing is different.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from handful.environment import PIXELS, PROPRIOCEPTION, Observation, StateTree, TimeStep
from handful.errors import ConfigurationError
from handful.simulation.randomization import Level, seeded_generator
from handful.tasks.conditions_config import Conditions
from handful.tasks.environment import TaskEnvironment
from handful.tasks.task import Task

STREAM = 1803
"""Added to the seed of a simulation, for the generator of its conditions."""


def make_environment(task: Task | str, *, conditions: Conditions, **settings: Any) -> TaskEnvironment:
    """A task's environment under conditions; one without any is a `TaskEnvironment` and nothing else."""
    if not conditions.any:
        return TaskEnvironment(task, **settings)
    return ConditionedEnvironment(task, conditions=conditions.resolved(), **settings)


class ConditionedEnvironment(TaskEnvironment):
    """A task under the conditions of a robot."""

    def __init__(
        self, task: Task | str, *, conditions: Conditions, num_envs: int, seed: int = 0, **settings: Any
    ) -> None:
        """As `TaskEnvironment`.

        Raises:
            ConfigurationError: pixels with noise are to be drawn on a GPU.
        """
        super().__init__(task, num_envs=num_envs, seed=seed, **settings)
        camera = self._observer.camera
        if conditions.pixel_noise and camera is not None and camera.device is not None:
            raise ConfigurationError("expected a camera on the CPU where pixels have noise: choose --backend cpu.")
        self.conditions = conditions
        size, actions = self.spec.observations[PROPRIOCEPTION].shape[0], self.spec.action.shape[0]
        self._noise_generators = [seeded_generator([seed, i, STREAM]) for i in range(num_envs)]
        self._amount = np.ones((num_envs, 5))
        """How much of each condition this episode has: noise, pixel noise, dropping, delays, [env, condition]."""
        self._age = np.zeros(num_envs, np.int64)
        self._wanted = np.zeros((num_envs, conditions.action_delay + 1, actions), np.float32)
        self._executed = np.zeros((num_envs, actions), np.float32)
        self._readings = np.zeros((num_envs, conditions.proprioception_delay + 1, size), np.float32)
        self._reported = np.zeros((num_envs, size), np.float32)
        self._noisy: np.ndarray | None = None

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """See the contract."""
        step = super().reset(seeds=seeds)
        if seeds is not None:
            self._noise_generators = [seeded_generator([*np.atleast_1d(seed), STREAM]) for seed in seeds]
        return self._changed(step, np.ones(self.num_envs, bool))

    def restart(self, ids: np.ndarray, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """See `TaskEnvironment.restart`."""
        step = super().restart(ids, seeds=seeds)
        if seeds is not None:
            for i, seed in zip(ids, seeds, strict=True):
                self._noise_generators[i] = seeded_generator([*np.atleast_1d(seed), STREAM])
        begins = np.zeros(self.num_envs, bool)
        begins[ids] = True
        return self._changed(step, begins, advance=False)

    def step(self, action: np.ndarray) -> TimeStep:
        """See the contract."""
        self.task.arm.velocity_commands(action, self.num_envs)  # which checks it
        step = super().step(self._carried_out(np.asarray(action, np.float32)))
        if step.final_observation is not None:
            ended = dict(step.final_observation)
            ended[PROPRIOCEPTION] = self._perceived(
                ended[PROPRIOCEPTION], self._age + 1, keep=np.zeros(self.num_envs, bool)
            )
            if self._noisy is not None:
                ended[PIXELS] = self._noisy.copy()
            step.final_observation = Observation(ended)
        return self._changed(step, step.done)

    def state_dict(self) -> StateTree:
        """Everything needed to resume to the bit."""
        names = ("_amount", "_age", "_wanted", "_executed", "_readings", "_reported")
        arrays: StateTree = {name.removeprefix("_"): getattr(self, name).copy() for name in names}
        generators = json.dumps([generator.bit_generator.state for generator in self._noise_generators])
        noisy = None if self._noisy is None else self._noisy.copy()
        return {**super().state_dict(), "conditions": {**arrays, "generators": generators, "noisy": noisy}}

    def load_state_dict(self, state: StateTree) -> TimeStep:
        """See `TaskEnvironment.load_state_dict`."""
        step, saved = super().load_state_dict(state), cast("dict[str, Any]", state["conditions"])
        for name in ("amount", "age", "wanted", "executed", "readings", "reported"):
            getattr(self, f"_{name}")[:] = saved[name]
        for generator, each in zip(self._noise_generators, json.loads(saved["generators"]), strict=True):
            generator.bit_generator.state = each
        self._noisy = None if saved["noisy"] is None else saved["noisy"].copy()
        observation = dict(step.observation)
        observation[PROPRIOCEPTION] = self._reported.copy()
        if self._noisy is not None:
            observation[PIXELS] = self._noisy.copy()
        step.observation = Observation(observation)
        return step

    def _carried_out(self, action: np.ndarray) -> np.ndarray:
        """What becomes of the actions: late, or lost, so that the last one goes on."""
        self._wanted = np.concatenate([action[:, None], self._wanted[:, :-1]], axis=1)
        everyone, conditions = np.arange(self.num_envs), self.conditions
        late = np.minimum(np.rint(self._amount[:, 3] * conditions.action_delay).astype(int), self._age)
        arrived = self._wanted[everyone, late]
        if conditions.action_drop:
            lost = np.array([generator.uniform() for generator in self._noise_generators])
            lost = (lost < conditions.action_drop * self._amount[:, 2]) & (self._age > 0)
            arrived = np.where(lost[:, None], self._executed, arrived)
        self._executed = arrived.astype(np.float32)
        return self._executed

    def _changed(self, step: TimeStep, begins: np.ndarray, *, advance: bool = True) -> TimeStep:
        """The time step as the policy gets it; episodes that begin draw how much of each condition they have."""
        for env in np.flatnonzero(begins):
            drawn = self._noise_generators[env].uniform(size=5)
            self._amount[env] = drawn if self.level >= Level.FULL else 1.0
        self._age = np.where(begins, 0, self._age + int(advance))
        observation = dict(step.observation)
        true, moves = observation[PROPRIOCEPTION], begins | advance
        self._readings[begins] = true[begins, None]
        reported = self._perceived(true, self._age, keep=moves)
        self._reported = np.where(moves[:, None], reported, self._reported)
        observation[PROPRIOCEPTION] = self._reported.copy()
        if PIXELS in observation and self.conditions.pixel_noise:
            observation[PIXELS] = self._seen(np.asarray(observation[PIXELS]), step.pixels_updated)
        step.observation = Observation(observation)
        return step

    def _perceived(self, true: np.ndarray, age: np.ndarray, *, keep: np.ndarray) -> np.ndarray:
        """Joint readings: late, at their own rate, with noise; where ``keep``, bool [env], this moment is taken as past."""
        conditions, everyone = self.conditions, np.arange(self.num_envs)
        readings = np.concatenate([true[:, None], self._readings[:, :-1]], axis=1)
        late = np.minimum(np.rint(self._amount[:, 4] * conditions.proprioception_delay).astype(int), age)
        now = readings[everyone, late].astype(np.float32)
        for env in np.flatnonzero(keep) if conditions.proprioception_noise else ():
            noise = self._noise_generators[env].normal(size=now.shape[1])
            now[env] += noise * conditions.proprioception_noise * self._amount[env, 0]
        self._readings[keep] = readings[keep]
        due = age % conditions.proprioception_period == 0
        return np.where(due[:, None], now, self._reported)

    def _seen(self, images: np.ndarray, updated: np.ndarray) -> np.ndarray:
        """Images with noise; one that is shown again keeps its own."""
        noisy = images.copy() if self._noisy is None else self._noisy.copy()
        most = np.rint(self._amount[:, 1] * self.conditions.pixel_noise).astype(int)
        for env in np.flatnonzero(updated):
            noise = self._noise_generators[env].integers(-most[env], most[env] + 1, images.shape[1:])
            noisy[env] = np.clip(images[env] + noise, 0, 255).astype(np.uint8)
        self._noisy = noisy
        return noisy.copy()
