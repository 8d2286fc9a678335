"""Where the episodes of a run begin, by its configuration."""

from __future__ import annotations

import math

from handful.demonstrations.frontiers import FrontierStarts
from handful.demonstrations.retries import RetryStarts
from handful.demonstrations.starts import DemonstrationStarts, start_probability
from handful.environment import StartDistribution
from handful.runs.config import CurriculumConfig
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.trajectory import Demonstrations


def make_starts(
    config: CurriculumConfig, demonstrations: Demonstrations, environment: TaskEnvironment
) -> StartDistribution | None:
    """Where episodes of an environment begin; None: always in random starts."""
    starts = _from_demonstrations(config, demonstrations, horizon=environment.horizon)
    if starts is None or config.retry_fraction == 0:
        return starts
    model = environment.physics.model
    return RetryStarts(starts, fraction=config.retry_fraction, nq=model.nq, nv=model.nv)


def _from_demonstrations(
    config: CurriculumConfig, demonstrations: Demonstrations, *, horizon: int
) -> StartDistribution | None:
    if config.random_start_probability >= 1.0 and config.retry_fraction == 0:
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
