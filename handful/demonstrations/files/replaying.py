"""Recorded episodes run again: by their actions, to the bit, or state by state where there are no actions."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from handful.demonstrations.files.reading import opened
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import OWN_BODY, Trajectory


@dataclasses.dataclass(frozen=True)
class Replay:
    """How an episode that was run again compares with the recorded one."""

    name: str
    num_steps: int
    """Control steps."""
    by_actions: bool
    """Whether its actions were run; without actions its states were restored one by one."""
    num_different: int
    """States, or stages where there are no actions, that differ from the recorded ones."""
    first_different: int | None
    """Step of the first of them."""
    largest: float
    """Largest difference of a number in a state."""


def replay_file(
    path: pathlib.Path, *, on_state: Callable[[str, TaskEnvironment], None] | None = None
) -> Iterator[Replay]:
    """Run every episode of a file again; ``on_state`` is called in each of its states.

    Raises:
        ConfigurationError: no such file.
        DataError: what is in it cannot be read.
    """
    with opened(path) as file, contextlib.ExitStack() as stack:
        horizon = max(int(file.data[name].attrs.get("num_samples", 1)) for name in file.names) + 1
        environment = TaskEnvironment(file.spec.task, num_envs=1, pixels=False, horizon=horizon, num_threads=1)
        stack.enter_context(contextlib.closing(environment))
        by_actions = file.actions and file.body == OWN_BODY
        for name, trajectory in file.episodes(pixels=False):
            replayed = _by_actions if by_actions else _by_states

            def show(environment: TaskEnvironment, name: str = name) -> None:
                if on_state is not None:
                    on_state(name, environment)

            yield replayed(name, trajectory, environment, show)


def stages_of(trajectory: Trajectory, environment: TaskEnvironment) -> np.ndarray:
    """Stages of an episode's physical states, computed anew, int64 [T+1]; the environment is left in the last of them."""
    stages, num_envs = [], environment.num_envs
    for begin in range(0, len(trajectory.states), num_envs):
        states = trajectory.states[begin : begin + num_envs]
        environment.restore(np.arange(len(states)), [trajectory.parameters] * len(states), states)
        stages.append(environment.task.stage(environment.snapshot)[: len(states)])
    return np.concatenate(stages)


def _by_actions(
    name: str, trajectory: Trajectory, environment: TaskEnvironment, show: Callable[[TaskEnvironment], None]
) -> Replay:
    assert trajectory.actions is not None
    environment.reset()
    environment.restore(np.arange(1), [trajectory.parameters], trajectory.states[:1])
    show(environment)
    states = [environment.physics.get_state()[0]]
    for action in trajectory.actions:
        environment.step(action[None])
        show(environment)
        states.append(environment.physics.get_state()[0])
    difference = np.abs(np.stack(states) - trajectory.states).max(axis=1)
    return _compared(name, trajectory, difference, by_actions=True)


def _by_states(
    name: str, trajectory: Trajectory, environment: TaskEnvironment, show: Callable[[TaskEnvironment], None]
) -> Replay:
    environment.reset()
    stages = []
    for state in trajectory.states:
        environment.restore(np.arange(1), [trajectory.parameters], state[None])
        show(environment)
        stages.append(int(environment.task.stage(environment.snapshot)[0]))
    return _compared(name, trajectory, np.abs(np.asarray(stages) - trajectory.stages), by_actions=False)


def _compared(name: str, trajectory: Trajectory, difference: np.ndarray, *, by_actions: bool) -> Replay:
    different = np.flatnonzero(difference)
    first = int(different[0]) if len(different) else None
    largest = float(difference.max()) if by_actions else 0.0
    return Replay(name, len(trajectory), by_actions, len(different), first, largest)
