"""One episode: T+1 states and observations, T actions between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from handful.errors import ConfigurationError, DataError

OWN_BODY = "jaco"
"""The arm's own name, among those whose body can be in a demonstration."""

ROBOT_BODY = "robot"
"""Whose body is in the log of a robot: of such episodes nobody knows where the objects were, or whether they succeeded."""

ACTORS = ("script", "person", "policy")
"""Who can choose an action; a recorded number is the place in this list."""


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A recorded episode with everything that is needed to begin anew from any of its states.

    Raises:
        DataError: lengths do not match, or a number is not finite; the message begins with the field's name.
    """

    observations: Mapping[str, np.ndarray]
    """Observation groups before the first action and after each, [T+1, ...]."""
    actions: np.ndarray | None
    """Joint velocities as fractions of their limits, in [-1, 1], float32 [T, action]; None where nobody knows them."""
    states: np.ndarray
    """Full physical states as the simulation saves them, float64 [T+1, state_size]."""
    rewards: np.ndarray
    """Task reward of each transition, float32 [T]."""
    stages: np.ndarray
    """Stage of each state, int64 [T+1]."""
    parameters: Mapping[str, np.ndarray]
    """The episode's drawn parameters."""
    success_step: int
    """Index of the state from which the top stage held without a break until the end."""
    seed: tuple[int, ...] = ()
    """Seed of the episode's draws."""
    acted_by: np.ndarray | None = None
    """Who chose each action, as a place in `ACTORS`, int64 [T]; None where it is not known."""

    def __post_init__(self) -> None:
        """Validate."""
        if self.states.ndim != 2 or len(self.states) < 2:
            raise DataError(f"states: expected shape [T+1, state_size] with T of at least 1, got {self.states.shape}.")
        length = len(self)
        if self.actions is not None and (self.actions.ndim != 2 or len(self.actions) != length):
            raise DataError(
                f"actions: expected shape [{length}, action] for {length + 1} states, got {self.actions.shape}."
            )
        rows = {
            "states": (self.states, length + 1),
            "rewards": (self.rewards, length),
            "stages": (self.stages, length + 1),
        }
        rows |= {f"observations/{group}": (values, length + 1) for group, values in self.observations.items()}
        rows |= {} if self.acted_by is None else {"acted_by": (self.acted_by, length)}
        for field, (values, expected) in rows.items():
            if len(values) != expected:
                raise DataError(f"{field}: expected {expected} rows for {length} steps, got {len(values)}.")
        numbers = {field: values for field, (values, _) in rows.items()}
        numbers |= {} if self.actions is None else {"actions": self.actions}
        numbers |= {f"world/{name}": values for name, values in self.parameters.items()}
        for field, values in numbers.items():
            if not np.isfinite(values).all():
                raise DataError(f"{field}: holds a number that is not finite{_first_bad_row(values)}.")
        if self.actions is not None and np.abs(self.actions).max() > 1.0:
            raise DataError("actions: expected values in [-1, 1].")
        if not 0 <= self.success_step <= length:
            raise DataError(f"success_step: expected a step from 0 to {length}, got {self.success_step}.")

    def __len__(self) -> int:
        """Number of control steps, T."""
        return len(self.states) - 1

    def cut(self, length: int) -> Trajectory:
        """The first ``length`` actions and the states around them; all of it if it is no longer than that."""
        length = min(length, len(self))
        return dataclasses.replace(
            self,
            observations={group: values[: length + 1] for group, values in self.observations.items()},
            actions=None if self.actions is None else self.actions[:length],
            acted_by=None if self.acted_by is None else self.acted_by[:length],
            states=self.states[: length + 1],
            rewards=self.rewards[:length],
            stages=self.stages[: length + 1],
            success_step=min(self.success_step, length),
        )


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """The demonstrations of one task."""

    task: str
    trajectories: Sequence[Trajectory]
    """The episodes, in the order in which they were recorded."""
    top_stage: int
    """Number of the task's last stage, which is success."""
    control_timestep: float
    """Time between two actions [s]."""
    randomization: str = "unknown"
    """Level at which parameters were drawn."""
    camera_hz: int = 0
    """Rate at which the images were taken [Hz]; 0 where there are none."""
    body: str = OWN_BODY
    """Whose body is in the demonstrations; where it is another than the arm's, only the objects in them count."""

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.trajectories)

    @property
    def hold_actions(self) -> bool:
        """Whether every episode has actions."""
        return all(each.actions is not None for each in self.trajectories)

    def cut_after_success(self, seconds: float) -> Demonstrations:
        """Every episode up to a time [s] after the first state of the success that lasts; infinite keeps everything.

        What follows for seconds after success teaches the discriminator to reward standing still.
        """
        if not seconds >= 0.0:
            raise ConfigurationError(f"expected a time after success of at least 0 s, got {seconds}.")
        if np.isinf(seconds):
            return self
        kept = round(seconds / self.control_timestep)
        cut = [each.cut(max(1, each.success_step + kept)) for each in self.trajectories]
        return dataclasses.replace(self, trajectories=tuple(cut))

    def returns(self, horizon: int) -> np.ndarray:
        """Task return of each episode as a policy's is counted, over ``horizon`` steps; float64 [episode].

        A longer episode counts its first ``horizon`` steps. One that ended earlier, a while after success, is taken to hold
        on to the end: the reward of its last step is paid for the steps that are missing.
        """
        paid = [each.rewards[:horizon].sum(dtype=np.float64) for each in self.trajectories]
        missing = [max(0, horizon - len(each)) * float(each.rewards[-1]) for each in self.trajectories]
        return np.asarray(paid) + np.asarray(missing)


def _first_bad_row(values: np.ndarray) -> str:
    """Which row of an array is the first with a number that is not finite, in words; nothing for a scalar."""
    if np.ndim(values) == 0:
        return ""
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    return f" (first in row {int(np.argmax(bad))})"
