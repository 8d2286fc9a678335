"""What a task declares: its props, its stages, what is observed of the objects, and the stage of each simulation.

The reward follows from the stage alone, unless a task overrides it.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import mujoco
import numpy as np

from handful.environment import Start
from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.simulation.jaco import JACO
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.prop import Prop, RigidProp
from handful.simulation.randomization import (
    Level,
    Parameters,
    ParameterSpec,
    apply_scene,
    draw_parameters,
    scene_parameter_specs,
    with_fresh_looks,
)
from handful.simulation.snapshot import Snapshot

REACH_DISTANCE = 0.05
"""The tool has reached an object when it is this near its centre [m]: about where a grasp can close."""

OPEN_FINGERS = 0.5
"""A hand with all fingers less closed than this [rad] holds nothing. The narrowest gap between thumb and fingers is then
8.6 cm (from the hand's meshes); the diagonal of the widest block is 7.9 cm, and toys are grasped where they are at most
5 cm wide."""

LOST_HEIGHT = -0.05
"""Centre of an object that has fallen off the table [m]: on the table it is above 0."""


def hand_is_open(snapshot: Snapshot) -> np.ndarray:
    """Whether the hand is so open that it holds nothing, bool [env]."""
    return np.asarray((snapshot.finger_positions < OPEN_FINGERS).all(axis=1))


class Task(abc.ABC):
    """A table-top task. A new task is a subclass in its own file and a line in the registry."""

    name: str
    """Name on the command line."""
    horizon: int
    """Length of an episode [control steps at 20 Hz]."""
    stages: tuple[str, ...]
    """Stages in order. Stage 0 is the start, the last one is success. They are also the clusters of the curriculum."""
    stage_rewards: tuple[float, ...]
    """Task reward paid at every step in each stage. Where `reward` depends on more than the stage, the class says which of
    its values stand here. The largest is what the best state pays."""
    props: Sequence[Prop]
    """The task's objects, in the order in which they are drawn and added to the scene."""
    object_features: Sequence[Observable]
    """What the discriminator observes: the objects, and the hand only relative to them."""
    object_positions: Sequence[Observable]
    """What the auxiliary head predicts [m]."""
    object_state: Sequence[Observable]
    """What the value function observes besides the arm."""
    arm: Arm = JACO
    """The arm that does it; `handful.tasks.registry.make_task` gives it another."""
    score_name: ClassVar[str | None] = None
    """What `score` measures, for people; None where it only says whether the top stage is reached."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Easier or faster forms of the task to train in, by name: the arguments that make them. All variants have the task's
    observations, actions and stages, so that a policy trained in one acts in the others."""

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """All that an episode draws."""
        return self._parameter_specs

    @functools.cached_property
    def _parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return (*scene_parameter_specs(self.arm), *self.object_parameter_specs())

    def recorded_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """What an episode may hold that begins in a demonstration: a variant draws less than the task itself."""
        own = type(self)() if self.variants else self
        return (*scene_parameter_specs(self.arm), *own.object_parameter_specs())

    def draw(self, generator: np.random.Generator, level: Level) -> dict[str, np.ndarray]:
        """Draw one episode's parameters; a draw for which `why_impossible` returns a reason is repeated."""
        return draw_parameters(self.parameter_specs(), level, generator, self.why_impossible)

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """What an episode draws for the task's objects."""
        return tuple(spec for prop in self.props for spec in prop.parameter_specs())

    def why_impossible(self, parameters: Parameters) -> str | None:
        """Why an episode cannot begin with these parameters, such as objects that overlap; None if it can.

        Use only parameters of level ``task``, so that all levels repeat the same draws.
        """
        return None

    def add_props(self, spec: mujoco.MjSpec) -> None:
        """Add the objects to the scene."""
        for prop in self.props:
            prop.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write the objects' parameters, stacked over the simulations ``ids``, into their model fields."""
        for prop in self.props:
            prop.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Write where the objects begin into ``qpos`` [env, nq], given stacked parameters."""
        for prop in self.props:
            prop.put(model, parameters, qpos)

    @abc.abstractmethod
    def stage(self, snapshot: Snapshot) -> np.ndarray:
        """Stage of each simulation, int64 [env]."""

    def lost(self, snapshot: Snapshot) -> np.ndarray:
        """Whether an object has fallen off the table, so that success is out of reach, bool [env]."""
        heights = [snapshot.position(prop.name)[:, 2] for prop in self.props if isinstance(prop, RigidProp)]
        return np.min(heights, axis=0) < LOST_HEIGHT

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """Task reward of each simulation in its stage, float32 [env]."""
        return np.asarray(self.stage_rewards, np.float32)[stage]

    def score(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """How much of the task is done, in [0, 1], float64 [env]: 1 in the top stage and 0 below it, unless overridden."""
        return (stage == len(self.stages) - 1).astype(np.float64)


def compile_task(task: Task) -> mujoco.MjModel:
    """The nominal model of a task: the scene with the task's props."""
    spec = scene.build_scene(task.arm)
    task.add_props(spec)
    return spec.compile()


def apply_parameters(task: Task, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
    """Write the parameters of scene and objects, stacked over the simulations ``ids``, into their models."""
    apply_scene(physics, ids, parameters, task.arm)
    task.apply_objects(physics, ids, parameters)
    physics.update_constants(ids)


def start_parameters(
    task: Task, start: Start | None, level: Level, generator: np.random.Generator, *, fresh_looks: bool
) -> Parameters:
    """The parameters of an episode that begins in a start: drawn for a random one, else its own, or with other looks."""
    if start is None or start.state is None:
        return task.draw(generator, level)
    if not fresh_looks:
        return start.parameters
    return with_fresh_looks(start.parameters, task.parameter_specs(), level, generator)


def start_positions(task: Task, model: mujoco.MjModel, parameters: Parameters) -> np.ndarray:
    """Positions ``qpos`` [env, nq] of arm and objects at a random start, given stacked parameters."""
    qpos = np.tile(model.qpos0, (len(parameters["arm.start"]), 1))
    arm = task.arm
    qpos[:, : arm.num_arm] = parameters["arm.start"]
    qpos[:, arm.num_arm : arm.num_joints] = arm.finger_positions(parameters["arm.start_fingers"])[:, None]
    task.place_objects(model, parameters, qpos)
    return qpos
