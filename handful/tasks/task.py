"""What a task must say, and what it may see when it says it.

A task is a scene's props, the parameters that an episode draws, and a handful of pure functions over batched arrays: stage,
features, positions. Reward follows from the stage alone.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Mapping

import mujoco
import numpy as np

from handful.simulation import jaco, scene
from handful.simulation.physics.protocol import Physics
from handful.simulation.randomization import Level, Parameters, ParameterSpec, draw_parameters, scene_parameter_specs


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The physical state of all simulations at one moment. World frame, SI units, simulations on the first axis."""

    physics: Physics
    parameters: Mapping[str, np.ndarray]
    """Each simulation's drawn parameters, [env, ...]."""

    @property
    def tcp_position(self) -> np.ndarray:
        """Tool point between the finger tips [m], [env, 3]."""
        return self.physics.site_xpos[:, self.physics.model.site(jaco.TCP_SITE).id]

    @property
    def tcp_rotation(self) -> np.ndarray:
        """Rotation of the tool to the world, [env, 3, 3]."""
        return self.physics.site_xmat[:, self.physics.model.site(jaco.TCP_SITE).id].reshape(-1, 3, 3)

    @property
    def finger_positions(self) -> np.ndarray:
        """Angles of the three fingers [rad], 0.15 when open, 1.35 when closed, [env, 3]."""
        return self.physics.qpos[:, len(jaco.ARM_JOINTS) : len(jaco.JOINTS)]

    @property
    def finger_velocities(self) -> np.ndarray:
        """Velocities of the three fingers [rad/s], [env, 3]."""
        return self.physics.qvel[:, len(jaco.ARM_JOINTS) : len(jaco.JOINTS)]

    def position(self, body: str) -> np.ndarray:
        """Origin of a body [m], [env, 3]: for stages."""
        return self.physics.xpos[:, self.physics.model.body(body).id]

    def observed_position(self, body: str) -> np.ndarray:
        """Origin of a body [m] clipped to `scene.OBSERVED_REGION`, [env, 3]: for all that is observed.

        An object on the floor is lost wherever it lies, and whoever learns scales what it sees by mean and deviation,
        which shall be those of objects on the table.
        """
        return self.position(body).clip(*scene.OBSERVED_REGION)

    def rotation(self, body: str) -> np.ndarray:
        """Rotation of a body to the world, [env, 3, 3]."""
        return self.physics.xmat[:, self.physics.model.body(body).id].reshape(-1, 3, 3)

    def velocity(self, body: str) -> np.ndarray:
        """Velocity of a free body: linear [m/s] in the world, angular [rad/s] in the body, [env, 6]."""
        address = self.physics.model.body(body).dofadr[0]
        return self.physics.qvel[:, address : address + 6]


class Task(abc.ABC):
    """A table-top task; a new one is a subclass in one file and a line in the registry."""

    name: str
    """Name on the command line."""
    horizon: int
    """Length of an episode [control steps at 20 Hz]."""
    begins_by_cloning: bool = False
    """Whether training clones the demonstrations first unless told otherwise: where what is paid first lies so far off that
    a policy which begins by moving at random does not come by it soon. It learns more slowly from there on."""
    stages: tuple[str, ...]
    """Stages in order; stage 0 is the start, the last one is success. They are also the clusters of the curriculum."""
    stage_rewards: tuple[float, ...]
    """Task reward paid at every step in each stage."""
    object_feature_names: tuple[str, ...]
    """What the discriminator sees: object-centric, nothing of the arm but where the gripper is relative to objects."""
    object_position_names: tuple[str, ...]
    """What the auxiliary head predicts [m]."""
    object_state_names: tuple[str, ...]
    """What the value function sees of the objects, besides the arm."""

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """All that an episode draws."""
        return self._parameter_specs

    @functools.cached_property
    def _parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return (*scene_parameter_specs(), *self.object_parameter_specs())

    def draw(self, generator: np.random.Generator, level: Level) -> dict[str, np.ndarray]:
        """Draw one episode's world; a draw for which `why_impossible` has a reason is drawn again."""
        return draw_parameters(self.parameter_specs(), level, generator, self.why_impossible)

    @abc.abstractmethod
    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """What an episode draws for the task's own objects."""

    def why_impossible(self, parameters: Parameters) -> str | None:
        """What keeps an episode from beginning in one drawn world, such as objects that overlap; None where nothing does.

        It may judge what varies at level ``task`` alone, so that the levels go on to share their draws.
        """
        return None

    @abc.abstractmethod
    def add_props(self, spec: mujoco.MjSpec) -> None:
        """Add the task's objects to the scene."""

    @abc.abstractmethod
    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write the objects' parameters, stacked over the simulations ``ids``, into their model fields."""

    @abc.abstractmethod
    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Write where the objects begin into ``qpos`` [env, nq], for stacked worlds."""

    @abc.abstractmethod
    def stage(self, snapshot: Snapshot) -> np.ndarray:
        """Stage of each simulation, int64 [env]."""

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """Task reward of each simulation in its stage, float32 [env]; for nearly every task what the stage pays."""
        return np.asarray(self.stage_rewards, np.float32)[stage]

    @abc.abstractmethod
    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        """Features for the discriminator, [env, feature]."""

    @abc.abstractmethod
    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        """Targets of the auxiliary prediction [m], [env, 3 x objects]."""

    @abc.abstractmethod
    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        """Objects' poses, velocities and properties for the value function, [env, entry]."""


def compile_task(task: Task) -> mujoco.MjModel:
    """The nominal model of a task: the scene with the task's props."""
    spec = scene.build_scene()
    task.add_props(spec)
    return spec.compile()
