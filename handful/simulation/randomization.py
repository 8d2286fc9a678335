"""The parameters that an episode draws, and how they are written into the model's fields.

Drawing and applying are separate, so that an episode can be repeated exactly from its recorded parameters. Every parameter
is uniform in its range (paper, section IV-B: "uniformly drawn from a preset range").
"""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from handful.errors import ConfigurationError, DataError, check_count, unknown_name
from handful.geometry import multiply_quaternions, quaternion_from_rotation_vector
from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.simulation.jaco import JACO

if TYPE_CHECKING:
    from handful.simulation.physics.protocol import Physics

MAX_DRAWS = 100
"""Draws after which drawing an episode fails. If nine draws in ten are impossible, so many fail with probability 3e-5."""

_logger = logging.getLogger(__name__)

Parameters = Mapping[str, np.ndarray]
"""Drawn values by parameter name: of one episode, or of several with the episodes on the first axis."""


class Level(enum.IntEnum):
    """How much varies from episode to episode."""

    NONE = 0
    """Nothing: every episode has the nominal parameters."""
    TASK = 1
    """The task: places, sizes, colours and masses of objects, and the arm's start."""
    FULL = 2
    """Also looks and dynamics: light, camera pose, backgrounds, the arm's friction, armature and gains, contact friction."""


LEVEL_NAMES = tuple(level.name.lower() for level in Level)
"""Names of the levels on the command line."""


def parse_level(level: Level | str) -> Level:
    """The randomisation level of that name.

    Raises:
        ConfigurationError: no level has that name.
    """
    if isinstance(level, Level):
        return level
    if level not in LEVEL_NAMES:
        raise unknown_name("randomisation level", str(level), LEVEL_NAMES)
    return Level[level.upper()]


def seeded_generator(seed: int | Sequence[int]) -> np.random.Generator:
    """The generator of a seed.

    Raises:
        ConfigurationError: the seed is neither an integer of at least 0 nor a sequence of them.
    """
    whole = seed if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str) else [seed]
    for part in whole:
        check_count("a seed", part, at_least=0)
    return np.random.default_rng(seed)


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """One parameter of an episode: uniform between ``low`` and ``high`` if its level is on, otherwise ``nominal``."""

    name: str
    nominal: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: Level
    looks: bool = False
    """Whether it changes what the camera sees and nothing else."""

    @classmethod
    def around(
        cls, name: str, nominal: ArrayLike, spread: ArrayLike, *, level: Level, looks: bool = False
    ) -> ParameterSpec:
        """A parameter within ``spread`` on either side of its nominal value."""
        nominal = np.asarray(nominal, np.float64)
        spread = np.broadcast_to(np.asarray(spread, np.float64), nominal.shape)
        return cls(name, nominal, nominal - spread, nominal + spread, level, looks)

    @classmethod
    def between(
        cls,
        name: str,
        low: ArrayLike,
        high: ArrayLike,
        *,
        level: Level,
        nominal: ArrayLike | None = None,
        looks: bool = False,
    ) -> ParameterSpec:
        """A parameter between two values. Its nominal value is the middle unless given."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        middle = 0.5 * (low + high) if nominal is None else np.asarray(nominal, np.float64)
        return cls(name, middle, low, high, level, looks)


def draw_parameters(
    specs: Sequence[ParameterSpec],
    level: Level,
    generator: np.random.Generator,
    why_impossible: Callable[[Parameters], str | None] = lambda parameters: None,
) -> dict[str, np.ndarray]:
    """Draw the parameters of one episode; a draw for which ``why_impossible`` returns a reason is repeated.

    Every parameter takes its numbers from the generator, whether it varies at this level or not. Parameters that vary at
    two levels are therefore equal under equal seeds.

    Raises:
        ConfigurationError: `MAX_DRAWS` draws were impossible.
    """
    reason = None
    for _ in range(MAX_DRAWS):
        parameters = {}
        for spec in specs:
            drawn = generator.uniform(spec.low, spec.high)
            parameters[spec.name] = np.asarray(drawn if level >= spec.level else spec.nominal, np.float64)
        reason = why_impossible(parameters)
        if reason is None:
            return parameters
        _logger.debug("impossible parameters: %s; drawing again.", reason)
    raise ConfigurationError(f"{MAX_DRAWS} draws of an episode's parameters were all impossible; the last: {reason}.")


def with_fresh_looks(
    parameters: Parameters, specs: Iterable[ParameterSpec], level: Level, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """The parameters of an episode with its looks drawn anew, where they vary at this level."""
    drawn = {
        spec.name: np.asarray(generator.uniform(spec.low, spec.high), np.float64)
        for spec in specs
        if spec.looks and level >= spec.level
    }
    return {**parameters, **drawn}


def check_parameters(specs: Iterable[ParameterSpec], parameters: Parameters) -> None:
    """Check that recorded parameters are complete, finite and of the right shapes.

    Raises:
        DataError: naming the first parameter that is missing, unknown, of another shape or not finite.
    """
    if not isinstance(parameters, Mapping):
        raise DataError(f"expected parameters, a mapping from names to values, got {type(parameters).__name__}.")
    expected = {parameter.name: parameter.nominal.shape for parameter in specs}
    for name, shape in expected.items():
        if name not in parameters:
            raise DataError(f"the episode lacks the parameter '{name}'.")
        if np.shape(parameters[name]) != shape:
            raise DataError(f"the parameter '{name}' has shape {np.shape(parameters[name])}, expected {shape}.")
        if not np.isfinite(parameters[name]).all():
            raise DataError(f"the parameter '{name}' is not finite.")
    for name in parameters:
        if name not in expected:
            raise DataError(f"the episode has a parameter '{name}' that this task does not know.")


def check_ranges(specs: Iterable[ParameterSpec], parameters: Parameters) -> None:
    """Check that recorded parameters, which `check_parameters` has passed, are ones that an episode can draw.

    Raises:
        DataError: naming the first parameter outside of its range: physics with, say, a negative mass means nothing.
    """
    for spec in specs:
        low, high = np.minimum(spec.low, spec.nominal), np.maximum(spec.high, spec.nominal)
        margin = 1e-6 + 1e-6 * np.abs(high - low)
        value = parameters[spec.name]
        outside = np.flatnonzero(np.ravel((value < low - margin) | (value > high + margin)))
        if len(outside):
            low, high, value = (float(np.ravel(each)[outside[0]]) for each in np.broadcast_arrays(low, high, value))
            raise DataError(f"the parameter '{spec.name}' is {value:g}, expected {low:g} to {high:g}.")


def saved_parameters(
    specs: Sequence[ParameterSpec], stacked: Mapping[str, np.ndarray], num_envs: int
) -> list[dict[str, np.ndarray]]:
    """The parameters of each simulation from what `stack_parameters` made; a `DataError` names one that cannot be."""
    rows = [{name: values[i] for name, values in stacked.items()} for i in range(num_envs)]
    for row in rows:
        check_parameters(specs, row)
        check_ranges(specs, row)
    return rows


def nominal_parameters(specs: Iterable[ParameterSpec], num_envs: int = 1) -> dict[str, np.ndarray]:
    """The nominal values, equal in all simulations, [env, ...]."""
    return stack_parameters([{spec.name: spec.nominal for spec in specs}] * num_envs)


def stack_parameters(episodes: Sequence[Parameters]) -> dict[str, np.ndarray]:
    """Parameters of several episodes as one mapping, with the episodes on the first axis."""
    return {name: np.stack([parameters[name] for parameters in episodes]) for name in episodes[0]}


def scene_parameter_specs(arm: Arm = JACO) -> tuple[ParameterSpec, ...]:
    """The parameters that all tasks share: the arm's start and dynamics, and the looks. Ranges are our choice.

    The paper names what varies (sections III-B3 and IV-B): arm friction and armature, lighting, camera pose, backgrounds.
    """
    return (
        ParameterSpec.around("arm.start", arm.home, 0.12, level=Level.TASK),
        ParameterSpec.between("arm.start_fingers", 0.15, 0.45, level=Level.TASK, nominal=0.15),
        ParameterSpec.between("arm.friction_scale", 0.5, 1.5, level=Level.FULL),
        ParameterSpec.between("arm.armature_scale", 0.75, 1.25, level=Level.FULL),
        ParameterSpec.between("arm.damping_scale", 0.5, 1.5, level=Level.FULL),
        ParameterSpec.between("arm.gain_scale", 0.75, 1.25, level=Level.FULL),
        ParameterSpec.between("arm.gray", (0.05, 0.6), (0.2, 0.8), level=Level.FULL, nominal=(0.1, 0.7), looks=True),
        ParameterSpec.around("light.position", scene.LIGHT_POSITION, (0.5, 0.6, 0.3), level=Level.FULL, looks=True),
        ParameterSpec.around("light.color", (0.6, 0.6, 0.6), 0.15, level=Level.FULL, looks=True),
        ParameterSpec.around("camera.offset", (0.0, 0.0, 0.0), 0.03, level=Level.FULL, looks=True),
        ParameterSpec.around("camera.rotation", (0.0, 0.0, 0.0), np.deg2rad(2.5), level=Level.FULL, looks=True),
        ParameterSpec.around("table.color", scene.TABLE_COLOR, 0.15, level=Level.FULL, looks=True),
        ParameterSpec.around("floor.color", scene.BACKDROP_COLOR, 0.25, level=Level.FULL, looks=True),
        ParameterSpec.around("wall.color", scene.BACKDROP_COLOR, 0.25, level=Level.FULL, looks=True),
    )


def apply_scene(physics: Physics, ids: np.ndarray, parameters: Parameters, arm: Arm = JACO) -> None:
    """Write the scene's parameters, stacked over the simulations ``ids``, into their model fields.

    The arm's dynamics are ``dof_frictionloss``, ``dof_armature``, ``dof_damping`` and the velocity gains of its servos: a
    torque is kv (command - velocity), and kv is ``actuator_gainprm[0]`` and, negative, in ``actuator_biasprm[2]``. The looks
    are ``light_pos``, ``light_diffuse``, ``cam_pos``, ``cam_quat``, ``geom_rgba`` and ``mat_rgba``.
    """
    model = physics.model
    dofs = slice(0, arm.num_joints)
    for field, quantity in (("dof_frictionloss", "friction"), ("dof_armature", "armature"), ("dof_damping", "damping")):
        scale = parameters[f"arm.{quantity}_scale"][:, None]
        physics.field(field)[ids, dofs] = getattr(model, field)[dofs] * scale
    physics.field("actuator_gainprm")[ids, :, 0] = model.actuator_gainprm[:, 0] * parameters["arm.gain_scale"][:, None]
    physics.field("actuator_biasprm")[ids, :, 2] = model.actuator_biasprm[:, 2] * parameters["arm.gain_scale"][:, None]
    lamp, camera = model.light(scene.LIGHT).id, model.camera(scene.CAMERA).id
    physics.field("light_pos")[ids, lamp] = parameters["light.position"]
    physics.field("light_diffuse")[ids, lamp] = parameters["light.color"]
    physics.field("cam_pos")[ids, camera] = model.cam_pos[camera] + parameters["camera.offset"]
    turn = quaternion_from_rotation_vector(parameters["camera.rotation"])
    physics.field("cam_quat")[ids, camera] = multiply_quaternions(model.cam_quat[camera], turn)
    for geom in (scene.TABLE, scene.FLOOR, scene.WALL):
        physics.field("geom_rgba")[ids, model.geom(geom).id, :3] = parameters[f"{geom}.color"]
    for shade, materials in enumerate(arm.materials):
        for material in materials:
            physics.field("mat_rgba")[ids, model.material(material).id, :3] = parameters["arm.gray"][:, shade, None]
