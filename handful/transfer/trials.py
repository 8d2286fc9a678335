"""The paper's protocol on a robot: a few repeatable block configurations, several trials each, the arm's start random."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, Start
from handful.errors import ConfigurationError, unknown_name
from handful.learning.actors import PolicyActor
from handful.learning.evaluation import evaluate_policy, wilson_interval
from handful.simulation.props.block import Block
from handful.simulation.randomization import Level, stack_parameters
from handful.tasks.environment import TaskEnvironment
from handful.tasks.episodes import SUSTAINED_STEPS
from handful.tasks.registry import make_task
from handful.tasks.task import start_positions
from handful.transfer.exported import OnnxPolicy
from handful.transfer.loop import run_episode
from handful.transfer.robots.body import Body
from handful.transfer.robots.twin import TwinRobot
from handful.transfer.safety import SafetyLimits

SEED = 2018
"""Of the configurations and of the arm's starts."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a task was measured on the paper's robot (section IV-D), and what came out."""

    num_trials: int
    num_configurations: int
    rates: dict[str, float]
    """Fraction of trials that reached each stage, as far as the paper says, and ``success``."""


PROTOCOLS = {
    "block-lifting": Protocol(25, 5, {"success": 0.64}),
    "block-stacking": Protocol(20, 2, {"reach": 1.0, "lift": 0.8, "success": 0.35}),
}
"""The tasks that the paper brought to its robot."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial's start."""

    configuration: int
    parameters: dict[str, np.ndarray]
    """What an episode in simulation draws, with the blocks at the configuration's places."""
    places: dict[str, tuple[float, float, float]]
    """Place x, y [m] and yaw [rad] of each block."""

    @property
    def arm(self) -> list[float]:
        """Start of the arm's joints [rad]."""
        return self.parameters["arm.start"].tolist()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a trial came to."""

    highest_stage: int
    success: bool
    ending: str = ""
    """Why the robot was stopped before the end; empty where it was not."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """All trials at one place."""

    place: str
    """``in domain``, or the laboratory."""
    stages: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Rates with their 95% Wilson intervals, as plain JSON values."""
        count = len(self.outcomes)
        reached = {
            stage: sum(outcome.highest_stage >= number for outcome in self.outcomes)
            for number, stage in enumerate(self.stages)
            if number > 0
        }
        reached["success"] = sum(outcome.success for outcome in self.outcomes)
        return {
            "place": self.place,
            "num_trials": count,
            "num_stopped": sum(bool(outcome.ending) for outcome in self.outcomes),
            "rates": {name: number / count for name, number in reached.items()},
            "intervals": {name: list(wilson_interval(number, count)) for name, number in reached.items()},
        }


def find_protocol(task: str) -> Protocol:
    """The protocol of a task; a `ConfigurationError` lists the tasks that have one."""
    if task not in PROTOCOLS:
        raise unknown_name("task to be measured on a robot", task, PROTOCOLS)
    return PROTOCOLS[task]


def make_trials(task_name: str, num_trials: int) -> list[Trial]:
    """The trials, spread over the configurations one after the other; the first ones are the same for any number."""
    if num_trials < 1:
        raise ConfigurationError(f"expected at least 1 trial, got {num_trials}.")
    task, count = make_task(task_name), find_protocol(task_name).num_configurations
    names = [prop.name for prop in task.props if isinstance(prop, Block)]
    set_up = [task.draw(np.random.default_rng([SEED, number]), Level.TASK) for number in range(count)]
    trials = []
    for number in range(num_trials):
        drawn = task.draw(np.random.default_rng([SEED, count, number]), Level.TASK)
        fixed = {
            f"{name}.{what}": set_up[number % count][f"{name}.{what}"] for name in names for what in ("place", "yaw")
        }
        places = {}
        for name in names:
            x, y = map(float, fixed[f"{name}.place"])
            places[name] = (x, y, float(fixed[f"{name}.yaw"]))
        trials.append(Trial(number % count, {**drawn, **fixed}, places))
    return trials


def measure_in_domain(policy: PolicyActor, task_name: str, trials: list[Trial], *, camera_hz: int) -> Measurement:
    """The trials in the simulation of training: sizes, masses and colours at random, as in training at ``task``."""
    starts = _InOrder()
    environment = TaskEnvironment(
        task_name,
        num_envs=len(trials),
        camera_hz=camera_hz,
        starts=starts,
        num_threads=1,
    )
    with contextlib.closing(environment):
        parameters = stack_parameters([trial.parameters for trial in trials])
        everyone = np.arange(len(trials))
        environment.physics.place(everyone, start_positions(environment.task, environment.physics.model, parameters))
        states = environment.physics.get_state()
        starts.starts = [Start(state, trial.parameters, cluster=0) for state, trial in zip(states, trials, strict=True)]
        result = evaluate_policy(policy, environment, num_episodes=len(trials), seed=SEED)
    outcomes = tuple(Outcome(episode.highest_stage, episode.success) for episode in result.episodes)
    return Measurement("in domain", result.stages, outcomes)


def measure_on_twin(
    policy: OnnxPolicy,
    body: Body,
    laboratory: str,
    trials: list[Trial],
    *,
    lockstep: bool,
    limits: SafetyLimits | None = None,
    on_trial: Callable[[int, Outcome], None] = lambda number, outcome: None,
) -> Measurement:
    """The trials in one of the twin's laboratories, through the same loop and limits as on a robot."""
    task = make_task(policy.manifest.task)
    outcomes = []
    with contextlib.closing(TwinRobot(task.name, laboratory, lockstep=lockstep)) as robot:
        for number, trial in enumerate(trials):
            robot.begin(trial.places, trial.arm, seed=number)
            episode = run_episode(policy, robot, body, num_steps=task.horizon, limits=limits)
            seen = robot.referee()
            held = seen["held"] >= SUSTAINED_STEPS * policy.manifest.control_timestep and not episode.ending
            outcomes.append(Outcome(int(seen["highest_stage"]), bool(held), episode.ending))
            on_trial(number, outcomes[-1])
    return Measurement(laboratory, task.stages, tuple(outcomes))


class _InOrder:
    """Starts one after the other, then the last one again."""

    def __init__(self) -> None:
        self.starts: list[Start] = []

    def sample(self, generator: np.random.Generator) -> Start | None:
        return self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]

    def report(self, episode: EpisodeSummary, end: Start | None) -> None:
        pass

    def metrics(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        pass
