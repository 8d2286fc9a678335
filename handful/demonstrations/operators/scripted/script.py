"""Scripted operators, as imperfect as a person, and an actor that uses one in place of a policy."""

from __future__ import annotations

import abc
import dataclasses
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handful.demonstrations.operators.operator import Seed, ToolCommand
from handful.demonstrations.operators.scripted.personality import NUM_NOISE_STEPS, Personality
from handful.demonstrations.position_controller import PositionController, shorten
from handful.environment import TimeStep
from handful.errors import unknown_name
from handful.geometry import rotation_error
from handful.simulation.snapshot import Snapshot

if TYPE_CHECKING:
    from handful.tasks.environment import TaskEnvironment

_TREMOR_PERSISTENCE = 0.8
"""Fraction of the hand's tremor that is left at the next control step (our choice): it fades in a quarter of a second."""


@dataclasses.dataclass
class Goal:
    """Where the tool should be next, in every simulation."""

    position: np.ndarray
    """Tool point [m], world frame, [env, 3]."""
    rotation: np.ndarray
    """Tool to world, [env, 3, 3]."""
    fingers: np.ndarray
    """Finger velocity as a fraction of its limit, positive closes: [env], or one each, [env, finger]."""
    at_rest: np.ndarray
    """Whether the work is done and only holding is left, bool [env]; the hand makes no pauses then."""


class ScriptedOperator(abc.ABC):
    """Turns goals into a hand's motion, with the speed, smoothing, tremor and pauses that the episode draws.

    A subclass defines `goal`; it may keep state for each simulation.
    """

    def __init__(self, num_envs: int) -> None:
        """Prepare for ``num_envs`` simulations; `reset` begins their episodes."""
        self.num_envs = num_envs
        self.personality = Personality(num_envs)
        self._twist = np.zeros((num_envs, 6))
        self._tremor = np.zeros((num_envs, 6))
        self._step = np.zeros(num_envs, np.int64)

    def reset(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """Begin new episodes in the simulations ``ids``; each draws its own personality."""
        self.personality.draw(ids, seeds)
        self._twist[ids] = 0.0
        self._tremor[ids] = 0.0
        self._step[ids] = 0

    @abc.abstractmethod
    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next."""

    def command(self, snapshot: Snapshot) -> ToolCommand:
        """How the tool should move in the control step that begins now."""
        goal = self.goal(snapshot)
        who = self.personality
        rows = np.arange(self.num_envs), self._step % NUM_NOISE_STEPS
        eagerness = who["eagerness"][:, None]
        linear = shorten(eagerness * (goal.position - snapshot.tcp_position), who["speed"])
        angular = shorten(eagerness * rotation_error(snapshot.tcp_rotation, goal.rotation), who["turn_speed"])
        wanted = np.concatenate([linear, angular], axis=1)

        fresh = np.sqrt(1.0 - _TREMOR_PERSISTENCE**2)
        self._tremor = _TREMOR_PERSISTENCE * self._tremor + fresh * who.tremor_noise[rows]
        paused = who.paused[rows] & ~goal.at_rest
        kept = who["smoothness"][:, None]
        self._twist = kept * self._twist + (1.0 - kept) * np.where(paused[:, None], 0.0, wanted)
        deviation = np.repeat(np.stack([who["tremor"], who["wrist_tremor"]], axis=1), 3, axis=1)
        twist = self._twist + np.where(paused[:, None], 0.0, deviation * self._tremor)
        self._step += 1
        return ToolCommand(twist[:, :3], twist[:, 3:], goal.fingers)


class ScriptedActor:
    """A scripted operator with the interface of a policy."""

    def __init__(self, environment: TaskEnvironment, *, seed: int = 0) -> None:
        """Act in that environment by its physical state, which a policy never sees; ``seed`` draws the personalities."""
        self._environment = environment
        self._operator = make_scripted_operator(environment.task.name, environment.num_envs)
        self._controller = PositionController(
            environment.physics, control_timestep=environment.spec.control_timestep, arm=environment.task.arm
        )
        self._seed = seed
        self._num_rounds = -1
        self._episodes_in_round = np.zeros(environment.num_envs, np.int64)
        self._begins = np.ones(environment.num_envs, bool)

    def reset(self, done: np.ndarray | None) -> None:
        """Begin new episodes where ``done``, bool [env]; None means everywhere.

        Episodes are numbered over the simulations of all full resets; a personality depends on the episode's number, not on
        the number of simulations. The operator begins them at the next `act`, when the environment has been reset.
        """
        if done is None:
            self._num_rounds += 1
            self._episodes_in_round[:] = 0
            self._begins[:] = True
        else:
            self._episodes_in_round += done
            self._begins |= done

    def act(self, time_step: TimeStep) -> np.ndarray:
        """The script's action in the environment's present state, float32 [env, joint]."""
        if self._begins.any():
            ids = np.flatnonzero(self._begins)
            first = max(self._num_rounds, 0) * self._environment.num_envs
            self._operator.reset(ids, [(self._seed, first + int(i), int(self._episodes_in_round[i])) for i in ids])
            self._controller.reset(ids)
            self._begins[:] = False
        return self._controller.action(self._operator.command(self._environment.snapshot))


OPERATORS = {
    "block-lifting": "handful.demonstrations.operators.scripted.lifting:LiftingOperator",
    "block-stacking": "handful.demonstrations.operators.scripted.stacking:StackingOperator",
    "clearing-blocks": "handful.demonstrations.operators.scripted.clearing_blocks:ClearingBlocksOperator",
    "clearing-box": "handful.demonstrations.operators.scripted.clearing_box:ClearingBoxOperator",
    "pouring": "handful.demonstrations.operators.scripted.pouring:PouringOperator",
    "order-fulfillment": "handful.demonstrations.operators.scripted.order:OrderOperator",
}
"""Module and class of each task's script, imported when one is made."""


def make_scripted_operator(task: str, num_envs: int) -> ScriptedOperator:
    """The scripted operator of the task of that name.

    Raises:
        ConfigurationError: no task of that name has a script.
    """
    if task not in OPERATORS:
        raise unknown_name("scripted task", task, OPERATORS)
    module, _, class_name = OPERATORS[task].partition(":")
    return getattr(importlib.import_module(module), class_name)(num_envs)
