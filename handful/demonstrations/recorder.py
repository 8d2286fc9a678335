"""Records episodes that an operator steers, several simulations at once, and keeps those that succeed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np

from handful.demonstrations.operators.operator import Operator
from handful.demonstrations.operators.scripted.script import ScriptedOperator
from handful.demonstrations.position_controller import PositionController
from handful.demonstrations.writer import DemonstrationWriter
from handful.environment import TIME_LEFT, TimeStep, on_host
from handful.errors import ConfigurationError
from handful.simulation.scene import CONTROL_TIMESTEP
from handful.tasks.environment import TaskEnvironment
from handful.tasks.task import Task
from handful.trajectory import ACTORS, Trajectory

MAX_SECONDS = 15.0
"""Longest recorded episode [s] of a task whose own horizon is not longer (our choice)."""


def recording_horizon(task: Task) -> int:
    """Longest episode recorded of a task [control steps]: its own horizon, but never under `MAX_SECONDS`."""
    return max(task.horizon, round(MAX_SECONDS / CONTROL_TIMESTEP))


@dataclasses.dataclass(frozen=True)
class RecordingProgress:
    """The progress of a recording."""

    num_recorded: int
    """Episodes in the file."""
    num_wanted: int
    """Episodes that the file should hold in the end."""
    num_failed: int
    """Episodes given up in this recording, which are not kept."""


class RecordedEpisode:
    """An episode in progress in one simulation."""

    def __init__(self, number: int, environment: TaskEnvironment, env: int, time_step: TimeStep) -> None:
        self.number = number
        self.env = env
        self.parameters = {name: values[env].copy() for name, values in environment.parameters.items()}
        self.observations = {
            group: [on_host(values[env])] for group, values in time_step.observation.items() if group != TIME_LEFT
        }
        self.states = [environment.physics.get_state(np.array([env]))[0]]
        self.stages = [int(time_step.stage[env])]
        self.actions: list[np.ndarray] = []
        self.rewards: list[np.ndarray] = []
        self.acted_by: list[int] = []

    def add(self, action: np.ndarray, time_step: TimeStep, states: np.ndarray, *, actor: int) -> None:
        """One step more: actions [env, action] by an actor of `ACTORS`, and what they led to, states [env, state_size]."""
        for group, rows in self.observations.items():
            rows.append(on_host(time_step.observation[group][self.env]))
        self.states.append(states[self.env])
        self.stages.append(int(time_step.stage[self.env]))
        self.actions.append(action[self.env])
        self.rewards.append(time_step.reward[self.env])
        self.acted_by.append(actor)

    def steps_held(self, top_stage: int) -> int:
        """For how many states the top stage has held without a break up to now."""
        return sum(1 for _ in itertools.takewhile(lambda stage: stage == top_stage, reversed(self.stages)))

    def finish(self, seed: int, top_stage: int) -> Trajectory:
        """The whole episode, which begins with the draws of ``seed`` and its number."""
        return Trajectory(
            observations={group: np.stack(rows) for group, rows in self.observations.items()},
            actions=np.stack(self.actions),
            states=np.stack(self.states),
            rewards=np.asarray(self.rewards, np.float32),
            stages=np.asarray(self.stages, np.int64),
            parameters=self.parameters,
            success_step=len(self.stages) - self.steps_held(top_stage),
            seed=(seed, self.number),
            acted_by=np.asarray(self.acted_by, np.int64),
        )


def record_demonstrations(
    environment: TaskEnvironment,
    operator: Operator,
    writer: DemonstrationWriter,
    *,
    num_demonstrations: int,
    seed: int,
    seconds_after_success: float = 2.0,
    on_progress: Callable[[RecordingProgress], None] | None = None,
) -> RecordingProgress:
    """Record until the file holds ``num_demonstrations`` successes.

    An episode ends when the top stage has held for ``seconds_after_success`` [s] without a break (a person does not stop
    at once), or, as a failure, at the environment's horizon (see `recording_horizon`). Episode k has the seed ``(seed, k)``,
    for its parameters and for the operator, and no more start than may be needed. So which episodes are kept does not
    depend on how many simulations run, and a recording that is resumed ends with the same ones. The writer has each episode
    safe on disk before the next; ``on_progress`` is called after every episode.

    Raises:
        ConfigurationError: a count or time that cannot be, or the operator fails 20 times for each success.
        StorageError: the disk refused; earlier episodes are safe.
    """
    if num_demonstrations < 1:
        raise ConfigurationError(f"expected at least 1 demonstration to record, got {num_demonstrations}.")
    hold = max(1, round(seconds_after_success / environment.spec.control_timestep))
    if hold + 2 > environment.spec.horizon:
        horizon = environment.spec.horizon
        raise ConfigurationError(f"episodes of {horizon} steps have no room for {hold} steps after success.")
    environment.reset()
    controller = PositionController(
        environment.physics, control_timestep=environment.spec.control_timestep, arm=environment.task.arm
    )
    top_stage = len(environment.task.stages) - 1
    actor = ACTORS.index("script" if isinstance(operator, ScriptedOperator) else "person")
    numbers = (number for number in itertools.count() if (seed, number) not in writer.seeds)  # the file grows meanwhile
    active: dict[int, RecordedEpisode] = {}
    num_failed = 0

    while len(writer) < num_demonstrations:
        free = [env for env in range(environment.num_envs) if env not in active]
        begin = free[: num_demonstrations - len(writer) - len(active)]
        if begin:
            ids = np.asarray(begin)
            begun = [next(numbers) for _ in begin]
            time_step = environment.restart(ids, seeds=[(seed, number) for number in begun])
            operator.reset(ids, [(seed, number, 1) for number in begun])
            controller.reset(ids)
            for env, number in zip(begin, begun, strict=True):
                active[env] = RecordedEpisode(number, environment, env, time_step)

        action = controller.action(operator.command(environment.snapshot))
        time_step = environment.step(action)
        states = environment.physics.get_state()
        for env, episode in list(active.items()):
            if time_step.done[env]:  # diverged, or a horizon that is over: no success
                del active[env]
                num_failed += 1
            else:
                episode.add(action, time_step, states, actor=actor)
                if episode.steps_held(top_stage) <= hold:
                    continue
                del active[env]
                writer.append(episode.finish(seed, top_stage))
            if on_progress is not None:
                on_progress(RecordingProgress(len(writer), num_demonstrations, num_failed))
        if num_failed > 20 * (len(writer) + 1):
            raise ConfigurationError(
                f"the operator failed {num_failed} times and succeeded {len(writer)} times: something is wrong with it."
            )
    return RecordingProgress(len(writer), num_demonstrations, num_failed)
