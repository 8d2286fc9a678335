"""Where the episodes of a run begin, by its configuration."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from typing import Any, cast

from handful.demonstrations.frontiers import FrontierStarts
from handful.demonstrations.retries import RetryStarts, failures_of
from handful.demonstrations.starts import DemonstrationStarts, start_probability
from handful.environment import Start, StartDistribution
from handful.errors import ConfigurationError, DataError
from handful.learning.persistence.checkpoint import load_checkpoint
from handful.runs.config import CurriculumConfig
from handful.runs.folder import CHECKPOINT_FILE
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.trajectory import OWN_BODY, Demonstrations


def make_starts(
    config: CurriculumConfig,
    demonstrations: Demonstrations,
    environment: TaskEnvironment,
    *,
    given: Sequence[Start] = (),
) -> StartDistribution | None:
    """Where episodes of an environment begin; None: always in random starts. Some of the retries are those ``given``."""
    starts = _from_demonstrations(config, demonstrations, horizon=environment.horizon)
    if starts is None or config.retry_fraction == 0:
        return starts
    model = environment.physics.model
    return RetryStarts(
        starts, fraction=config.retry_fraction, nq=model.nq, nv=model.nv, given=given, arm=environment.task.arm
    )


def failures_in(folder: str, environment: TaskEnvironment) -> list[Start]:
    """The states in which episodes of a run had failed.

    Raises:
        DataError: the folder has no readable checkpoint.
        ConfigurationError: the run kept none, or they are of another task or variant.
    """
    path = pathlib.Path(folder) / CHECKPOINT_FILE
    try:
        starts = cast("dict[str, Any]", load_checkpoint(path))["environment"]["starts"]
        failures = failures_of(starts) if starts is not None and "failures" in starts else []
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: the failures in it cannot be read.") from error
    if not failures:
        raise ConfigurationError(
            f"the run {folder} kept no failures: expected one with a --curriculum.retry-fraction over 0, in which some "
            "episodes failed."
        )
    size, names = environment.physics.get_state().shape[1], {spec.name for spec in environment.parameter_specs}
    first = failures[0]
    if first.state is None or len(first.state) != size or set(first.parameters) != names:
        raise ConfigurationError(
            f"the failures of the run {folder} are of another task or variant than {environment.task.name}."
        )
    return failures


def _from_demonstrations(
    config: CurriculumConfig, demonstrations: Demonstrations, *, horizon: int
) -> StartDistribution | None:
    if config.random_start_probability >= 1.0 and config.retry_fraction == 0:
        return None
    if demonstrations.body != OWN_BODY:  # whose states say nothing of the arm
        return None
    if config.frontiers:
        return FrontierStarts(
            demonstrations,
            horizon=horizon,
            random_fraction=config.random_start_probability,
            final_random_fraction=config.final_random_start_probability,
            max_random_length=control_steps(config.max_random_seconds),
        )
    max_length = control_steps(config.max_seconds)
    probability = start_probability(config.random_start_probability, horizon=horizon, max_length=max_length)
    return DemonstrationStarts(
        demonstrations,
        random_start_probability=probability,
        clusters=config.clusters,
        max_length=max_length,
        include_solved=config.include_solved,
    )


def control_steps(seconds: float) -> int | None:
    """A time in control steps; None where it is infinite."""
    return None if math.isinf(seconds) else max(1, round(seconds * CONTROL_HZ))
