"""What demonstrations of a task must hold, known from one environment and needed for as many files as there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from handful.demonstrations.model_signature import model_signature
from handful.environment import PIXELS, TIME_LEFT, TOOL_STATE, ArraySpec
from handful.simulation.randomization import ParameterSpec
from handful.tasks.environment import TaskEnvironment

UNRECORDED_GROUPS = (PIXELS, TIME_LEFT, TOOL_STATE)
"""Groups that need not be recorded: images are optional, and the time left is that of the environment which trains."""


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
    def of_task(cls, task: str) -> DemonstrationSpec:
        """The specification of a task, for those who have no environment of it."""
        environment = TaskEnvironment(task, num_envs=1, pixels=False, num_threads=1)
        try:
            return cls.of(environment)
        finally:
            environment.close()
