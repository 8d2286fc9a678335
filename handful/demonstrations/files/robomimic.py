"""Reads HDF5 files in robomimic's layout that others wrote, and older files of handful; images are drawn anew.

Of such a file only the physical states must be there, and the actions if they are known. What was drawn for the episode is
read where it is recorded, else it is the task's nominal draw. Observations, stages and rewards are computed from the states.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from handful.demonstrations.header import (
    describe_environment,
    episode_names,
    open_demonstrations,
)
from handful.demonstrations.sealed import text as text_of
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import TIME_LEFT, on_host
from handful.errors import ConfigurationError, DataError, unknown_name
from handful.simulation.physics.protocol import STATE_FIELDS
from handful.simulation.randomization import LEVEL_NAMES, check_parameters, nominal_parameters
from handful.tasks.environment import CAMERA_RATES, CONTROL_HZ, TaskEnvironment
from handful.tasks.gym_registration import gymnasium_id
from handful.tasks.registry import TASKS
from handful.trajectory import Trajectory


@dataclasses.dataclass(frozen=True)
class Source:
    """What a file says, or fails to say, of its environment."""

    task: str
    level: str
    camera_hz: int


class RobomimicReader:
    """Reads the episodes of a file in robomimic's layout."""

    def __init__(self, path: pathlib.Path, *, task: str | None = None, camera_hz: int | None = None) -> None:
        """Look at a file's header; ``task`` and ``camera_hz`` stand in for, or overrule, what it says.

        Raises:
            ConfigurationError: no such file, or no task is known for it.
            DataError: it cannot be read.
        """
        self.path = path
        with open_demonstrations(path) as data:
            if not episode_names(data):
                raise DataError(f"{path} holds no episode: expected at least demo_0 in its group 'data'.")
            self.source = _source(data, path, task, camera_hz)
        environment = TaskEnvironment(
            self.source.task,
            num_envs=32,
            randomization=self.source.level,
            camera_hz=self.source.camera_hz,
            num_threads=1,
        )
        self.environment = environment
        self.attributes = describe_environment(environment, seed=0)
        """Attributes of a file of handful with the same episodes."""
        self._spec = DemonstrationSpec.of(environment)

    def close(self) -> None:
        """Stop the camera's threads."""
        self.environment.close()

    def episodes(self) -> Iterator[Trajectory]:
        """The episodes; a `DataError` names file, episode and field."""
        with open_demonstrations(self.path) as data:
            for name in episode_names(data):
                try:
                    yield self._read(data[name])
                except DataError as error:
                    raise DataError(f"{self.path}, episode {name}, {error}") from error

    def _read(self, episode: Any) -> Trajectory:
        states, actions = self._states(episode), _numbers(episode, "actions")
        if actions is not None:
            size = self._spec.action.shape[0]
            if actions.ndim != 2 or actions.shape[1] != size:
                raise DataError(f"actions: expected shape [T, {size}], got {actions.shape}.")
            actions = np.clip(actions, -1.0, 1.0).astype(np.float32)
        parameters = self._parameters(episode)
        final = _numbers(episode, "final_state")
        if final is not None:
            states = np.concatenate([states, self._widened(final[None], "final_state")])
        elif actions is not None:
            states = np.concatenate([states, self._after(parameters, states[-1], actions[len(states) - 1])])
        if len(states) < 2:
            raise DataError(f"states: expected at least 2, got {len(states)}.")
        if actions is not None:
            actions = actions[: len(states) - 1]
        return self._observed(states, actions, parameters, episode)

    def _states(self, episode: Any) -> np.ndarray:
        states = _numbers(episode, "states")
        if states is None:
            raise DataError("states: the field is missing, and nothing can be drawn without it.")
        return self._widened(states, "states")

    def _widened(self, states: np.ndarray, field: str) -> np.ndarray:
        """States as the simulation saves them, [T, state_size].

        A state of time, positions and velocities alone, as robosuite saves it, is taken to be without solver warm start
        and without commands.
        """
        model, size = self.environment.physics.model, self._spec.state_size
        short = 1 + model.nq + model.nv
        if states.ndim == 2 and states.shape[1] == short:
            states = np.concatenate([states, np.zeros((len(states), size - short))], axis=1)
        if states.ndim != 2 or states.shape[1] != size:
            raise DataError(
                f"{field}: expected rows of {size} numbers ({', '.join(STATE_FIELDS)}) or {short} (time, qpos, qvel) "
                f"of {self._spec.task}, got shape {states.shape}."
            )
        return states.astype(np.float64)

    def _parameters(self, episode: Any) -> dict[str, np.ndarray]:
        """What was recorded of the episode's draw, the rest nominal."""
        specs = self._spec.parameters
        parameters = {name: values[0] for name, values in nominal_parameters(specs, 1).items()}
        for name in parameters:
            recorded = _numbers(episode, f"world/{name}")
            if recorded is not None:
                parameters[name] = recorded
        try:
            check_parameters(specs, parameters)
        except DataError as error:
            raise DataError(f"world: {error}") from error
        return parameters

    def _after(self, parameters: dict[str, np.ndarray], state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """The state that the last action led to, [1, state_size]."""
        environment = self.environment
        environment.reset()
        environment.restore(np.arange(1), [parameters], state[None])
        environment.step(np.tile(action, (environment.num_envs, 1)))
        return environment.physics.get_state(np.arange(1))

    def _observed(
        self, states: np.ndarray, actions: np.ndarray | None, parameters: dict[str, np.ndarray], episode: Any
    ) -> Trajectory:
        """The trajectory with everything that is seen of its states, images drawn at the camera's rate."""
        environment, task = self.environment, self.environment.task
        period = CONTROL_HZ // self.source.camera_hz
        groups: dict[str, list[np.ndarray]] = {}
        stages, rewards = [], []
        for begin in range(0, len(states), environment.num_envs):
            part = states[begin : begin + environment.num_envs]
            count = len(part)
            environment.restore(np.arange(count), [parameters] * count, part)
            snapshot = environment.snapshot
            stage = task.stage(snapshot)
            stages.append(stage[:count])
            rewards.append(task.reward(snapshot, stage)[:count])
            observation = {**environment.observe(), "pixels": environment.render()}
            for group, values in observation.items():
                if group != TIME_LEFT:
                    groups.setdefault(group, []).append(on_host(values)[:count].copy())
        observations = {group: np.concatenate(rows) for group, rows in groups.items()}
        held = np.arange(len(states)) // period * period
        observations["pixels"] = observations["pixels"][held]
        stage, top = np.concatenate(stages).astype(np.int64), len(task.stages) - 1
        before = np.flatnonzero(stage != top)
        seed = np.atleast_1d(episode.attrs.get("seed", ()))
        success = (int(before[-1]) + 1 if len(before) else 0) if stage[-1] == top else len(states) - 1
        if stage[-1] != top:
            raise DataError("stages: the episode does not end in success, as a demonstration must.")
        return Trajectory(
            observations=observations,
            actions=actions,
            states=states,
            rewards=np.concatenate(rewards)[1:].astype(np.float32),
            stages=stage,
            parameters=parameters,
            success_step=success,
            seed=tuple(int(part) for part in seed),
            acted_by=_actors(episode, len(states) - 1),
        )


def _actors(episode: Any, length: int) -> np.ndarray | None:
    values = _numbers(episode, "acted_by")
    return None if values is None or values.shape != (length,) else values.astype(np.int64)


def _numbers(episode: Any, name: str) -> np.ndarray | None:
    """A field of finite numbers; None where it is missing."""
    field = episode.get(name)
    if not isinstance(field, h5py.Dataset):
        return None
    try:
        values = np.asarray(field[()])
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read, its bytes are damaged ({error}).") from error
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise DataError(f"{name}: expected finite numbers.")
    return values


def _source(data: h5py.Group, path: pathlib.Path, task: str | None, camera_hz: int | None) -> Source:
    """What a file says of its environment, with stand-ins for what it does not say."""
    header: dict[str, Any] = {}
    with contextlib.suppress(ValueError, TypeError):
        header = dict(json.loads(text_of(data.attrs.get("env_args", "{}"))))
    kwargs = header.get("env_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    names = {gymnasium_id(each): each for each in TASKS} | {each: each for each in TASKS}
    named = str(header.get("env_name"))
    if task is None and named not in names:
        raise ConfigurationError(
            f"{path} is of the environment '{named}', which is no task of handful: if its states are, name the task by "
            f"--task, one of {', '.join(TASKS)}."
        )
    task = task or names[named]
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    level = kwargs.get("randomization")
    rate = camera_hz or kwargs.get("camera_hz")
    return Source(
        task=task,
        level=level if level in LEVEL_NAMES else "task",
        camera_hz=int(rate) if rate is not None and (camera_hz or rate in CAMERA_RATES) else 5,
    )
