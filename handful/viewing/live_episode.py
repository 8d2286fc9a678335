"""One simulation that a person watches: who acts in it, and the status of its episode."""

from __future__ import annotations

import dataclasses

import numpy as np

from handful.environment import PIXELS, on_host
from handful.errors import ConfigurationError
from handful.learning.persistence.policy_file import check_policy_fits
from handful.runs.policies import FoundPolicy, load_actor, read_policy
from handful.simulation.randomization import parse_level
from handful.tasks.environment import TaskEnvironment
from handful.tasks.episodes import SUSTAINED_STEPS
from handful.tasks.task import Task

MAX_SEED = 2**32 - 1
"""Largest seed of an episode that is watched."""


def following_seed(seed: int) -> int:
    """The seed of the next episode; the last one is followed by 0."""
    return seed + 1 if seed < MAX_SEED else 0


@dataclasses.dataclass(frozen=True)
class Status:
    """The status of an episode."""

    seed: int
    seconds: float
    """Time since it began [s]."""
    stage: str
    reward: float
    """Task reward of the last step."""
    task_return: float
    """Sum of the task reward so far."""
    success: bool | None
    """Sustained success; None while the episode runs."""
    held: bool = False
    """Whether the task has been solved for the last half second."""
    num_successes: int = 0
    """Episodes of the present actor that were solved, among ``num_episodes`` that were watched to their end."""
    num_episodes: int = 0


class LiveEpisode:
    """Episodes of one simulation, one after the other, with an actor that can be changed.

    The episode of a seed is always the same, whatever was watched before.
    """

    def __init__(
        self, task: Task, policy: FoundPolicy, *, randomization: str, seed: int, any_task: bool = False
    ) -> None:
        """Begin the episode of a seed; ``any_task`` lets `act_by` take policies of other tasks.

        Raises:
            HandfulError: no such level, or a policy of another arm.
        """
        self._task, self._any_task = task, any_task
        self._level = parse_level(randomization)
        self.environment, self._policy = self._built(policy)
        """The simulation; another one after `act_by`."""
        self.seed = seed
        self._num_episodes = self._num_successes = 0
        self.restart()

    @property
    def pixels(self) -> np.ndarray:
        """What the policy sees, uint8 [height, width, 3]."""
        return on_host(self._time_step.observation[PIXELS])[0]

    @property
    def over(self) -> bool:
        """Whether the episode has ended; the simulation then shows the state before its last step."""
        return self.status.success is not None

    def act_by(self, policy: str | None) -> None:
        """Let another policy act, from the beginning of the present episode; the present one stays if that fails.

        Raises:
            HandfulError: `find_policy` finds no such policy, or one of another arm or task.
        """
        built = self._built(read_policy(self._task.name, policy, any_task=self._any_task))
        self.close()
        self.environment, self._policy = built
        self._num_episodes = self._num_successes = 0
        self.restart()

    def go_on(self) -> None:
        """Count the present episode, which is over or solved, and begin that of the next seed."""
        self._num_episodes += 1
        self._num_successes += bool(self.status.success or (self.status.success is None and self.status.held))
        self.restart(seed=following_seed(self.seed))

    def restart(self, *, seed: int | None = None, randomization: str | None = None) -> None:
        """Begin the episode again, with another seed or level if one is given."""
        seed = self.seed if seed is None else seed
        if not 0 <= seed <= MAX_SEED:
            raise ConfigurationError(f"expected a seed from 0 to {MAX_SEED}, got {seed}.")
        self.seed = seed
        if randomization is not None:
            self._level = parse_level(randomization)
        self.environment.level = self._level
        self._actor = load_actor(self._policy, self.environment, seed=self.seed)
        self._actor.reset(None)
        self._time_step = self.environment.reset(seeds=[[self.seed]])
        self._state = self.environment.physics.get_state()
        self._parameters = {name: values[0].copy() for name, values in self.environment.parameters.items()}
        self._num_steps = self._num_steps_solved = 0
        stage = self.environment.spec.stages[int(self._time_step.stage[0])]
        self.status = Status(
            seed=self.seed,
            seconds=0.0,
            stage=stage,
            reward=0.0,
            task_return=0.0,
            success=None,
            num_successes=self._num_successes,
            num_episodes=self._num_episodes,
        )
        """The status of the episode."""

    def step(self) -> None:
        """Advance by one control step; after the end of the episode nothing moves."""
        if self.over:
            return
        environment, spec = self.environment, self.environment.spec
        time_step = environment.step(self._actor.act(self._time_step))
        self._num_steps += 1
        summary = time_step.episodes[0] if time_step.episodes else None
        reward = float(time_step.reward[0])
        stage = int(time_step.stage[0]) if summary is None else summary.final_stage
        self._num_steps_solved = self._num_steps_solved + 1 if stage == len(spec.stages) - 1 else 0
        self.status = dataclasses.replace(
            self.status,
            seconds=self._num_steps * spec.control_timestep,
            stage=spec.stages[stage],
            reward=reward,
            task_return=self.status.task_return + reward,
            success=None if summary is None else summary.success,
            held=self._num_steps_solved >= SUSTAINED_STEPS,
        )
        if summary is None:
            self._time_step, self._state = time_step, environment.physics.get_state()
        else:  # the simulation is already in its next episode: restore the last state of this one that was shown
            environment.restore(np.array([0]), [self._parameters], self._state)

    def close(self) -> None:
        """Stop the camera's threads."""
        self.environment.close()

    def _built(self, policy: FoundPolicy) -> tuple[TaskEnvironment, FoundPolicy]:
        """A simulation whose camera has the rate that the policy was trained with, and the policy."""
        policy.arm(self._task.arm.name)  # refuses a policy that moves another
        environment = TaskEnvironment(
            self._task,
            num_envs=1,
            randomization=self._level,
            camera_hz=policy.camera_hz,
            num_threads=1,
            tool_state=policy.sees_tool_state,
        )
        if policy.manifest is not None:
            check_policy_fits(policy.manifest, environment.spec)
        return environment, policy
