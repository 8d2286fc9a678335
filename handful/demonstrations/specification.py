"""What demonstrations of a task must hold. It is made from one environment and serves for any number of files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

from handful.demonstrations.model_signature import model_signature
from handful.environment import OBJECT_FEATURES, OBJECT_POSITIONS, PIXELS, TIME_LEFT, TOOL_STATE, ArraySpec
from handful.simulation.arms import DEFAULT_ARM
from handful.simulation.randomization import ParameterSpec
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.trajectory import OWN_BODY

UNRECORDED_GROUPS = (PIXELS, TIME_LEFT, TOOL_STATE)
"""Groups that need not be recorded: images are optional, and the time left is that of the training environment."""

OBJECT_GROUPS = (OBJECT_FEATURES, OBJECT_POSITIONS)
"""Groups that tell of the objects, and are recorded whoever's body moves them."""


@dataclasses.dataclass(frozen=True)
class DemonstrationSpec:
    """What a file of demonstrations is checked against."""

    task: str
    """The task's name."""
    stages: tuple[str, ...]
    """The task's stages."""
    control_timestep: float
    """Time between two actions [s]."""
    observations: Mapping[str, ArraySpec]
    """Observation groups that must be recorded."""
    action: ArraySpec
    """The action."""
    state_size: int
    """Numbers in a physical state."""
    parameters: tuple[ParameterSpec, ...]
    """What an episode draws."""
    signature: str
    """Signature of the compiled model, see `model_signature`."""
    body: str = OWN_BODY
    """Whose body is in the demonstrations."""

    def for_body(self, body: str) -> DemonstrationSpec:
        """The same for demonstrations by a body: by another than the arm's, only what is observed of objects is asked."""
        if body == OWN_BODY:
            return self
        observations = {name: each for name, each in self.observations.items() if name in OBJECT_GROUPS}
        return dataclasses.replace(self, observations=observations, body=body)

    @classmethod
    def of(cls, environment: TaskEnvironment) -> DemonstrationSpec:
        """The specification of an environment's task."""
        spec = environment.spec
        return cls(
            task=spec.task,
            stages=spec.stages,
            control_timestep=spec.control_timestep,
            observations={name: each for name, each in spec.observations.items() if name not in UNRECORDED_GROUPS},
            action=spec.action,
            state_size=environment.physics.state_size,
            parameters=environment.parameter_specs,
            signature=model_signature(environment.physics.model, environment.parameter_specs),
        )

    @classmethod
    def of_task(cls, task: str, arm: str = DEFAULT_ARM) -> DemonstrationSpec:
        """The specification of a task done by an arm, where there is no environment of it yet."""
        with contextlib.closing(
            TaskEnvironment(make_task(task, arm=arm), num_envs=1, pixels=False, num_threads=1)
        ) as environment:
            return cls.of(environment)
