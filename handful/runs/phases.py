"""Runs of several phases, each of which is a run of its own in a folder inside: a teacher, then its student, and so on.

A folder of such a run holds::

    config.json             the task, the recipe, and the configuration and budget of each phase
    demonstrations.hdf5     demonstrations for all phases, unless others were named
    teacher/                the run of the first phase, as `handful.runs.folder` describes it
    student/                that of the next, once it has begun
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from handful.config import from_json, to_json
from handful.errors import ConfigurationError, DataError
from handful.runs.config import RunConfig
from handful.runs.folder import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    DEMONSTRATIONS_FILE,
    POLICY_FILE,
    RUN_FORMAT,
    RunDescription,
    write_config,
)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run, which ends when its budget is spent."""

    name: str
    """Name of its folder."""
    config: RunConfig
    """What it depends on."""
    num_steps: int
    """Control steps after which the next phase begins."""
    minutes: float
    """About how long that takes on two cores [min]: its share of a run that is given less time."""
    teacher: str | None = None
    """Name of the phase before whose policy teaches."""
    start_from: str | None = None
    """Name of the phase before whose networks it begins with."""
    retries_from: str | None = None
    """Name of the phase before whose failures some of its episodes begin with."""


@dataclasses.dataclass(frozen=True)
class PhasedDescription:
    """What ``config.json`` says of a run of several phases."""

    task: str
    demonstrations: pathlib.Path
    recipe: str
    phases: tuple[Phase, ...]

    def phase_in(self, folder: pathlib.Path, phase: Phase) -> RunDescription:
        """The description of one phase's run, in ``folder/NAME``."""
        paths = {"teacher": phase.teacher, "start_from": phase.start_from, "retries_from": phase.retries_from}
        named = {name: str(folder / other) for name, other in paths.items() if other is not None}
        config = dataclasses.replace(phase.config, **named)
        return RunDescription(self.task, self.demonstrations, f"{self.recipe}: {phase.name}", config)


def write_phases(folder: pathlib.Path, description: PhasedDescription) -> None:
    """Make the folder of a run, with the file that says what it is; see `handful.runs.folder.write_config`."""
    phases = [{**vars(phase), "config": to_json(phase.config)} for phase in description.phases]
    own = {"phases": phases}
    write_config(
        folder, task=description.task, demonstrations=description.demonstrations, recipe=description.recipe, own=own
    )


def has_phases(folder: pathlib.Path) -> bool:
    """Whether a folder holds a run of several phases."""
    try:
        return "phases" in json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, ValueError, TypeError):
        return False


def phases_of(values: dict[str, Any]) -> tuple[Phase, ...]:
    """The phases that the content of a ``config.json`` describes; one where it holds a single configuration."""
    if "phases" not in values:
        return (Phase("run", from_json(RunConfig, values["config"]), num_steps=sys.maxsize, minutes=math.inf),)
    phases = tuple(Phase(**{**each, "config": from_json(RunConfig, each["config"])}) for each in values["phases"])
    if not phases:
        raise DataError("it names no phase")
    return phases


def read_phases(folder: pathlib.Path) -> PhasedDescription:
    """What the run in a folder is; a `DataError` says that its file cannot be read."""
    path = folder / CONFIG_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        if values.get("format") != RUN_FORMAT:
            raise DataError(f"it is of version {values.get('format')}, and this program reads version {RUN_FORMAT}")
        return PhasedDescription(
            task=str(values["task"]),
            demonstrations=folder / str(values["demonstrations"]),
            recipe=str(values["recipe"]),
            phases=phases_of(values),
        )
    except KeyError as error:
        raise DataError(f"{path} lacks the entry {error}.") from error
    except (OSError, ValueError, TypeError, AttributeError, DataError) as error:
        raise DataError(f"{path} cannot be read as a run's configuration: {str(error).rstrip('.')}.") from error


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run of several phases stands."""

    number: int
    """Of the present phase, from 0."""
    phases: tuple[Phase, ...]
    """All phases, with their budgets."""
    seconds_before: float
    """Training time of the phases before [s]."""
    minutes: float | None
    """Training time that the present phase may take [min]; None: until it has had its steps."""

    @property
    def phase(self) -> Phase:
        """The present phase."""
        return self.phases[self.number]

    def seconds_left(self, metrics: dict[str, float]) -> float | None:
        """Training time left over all phases [s], given the latest metrics; None where they do not tell.

        The time of later phases is what they take on two cores, in proportion to how long the present one takes.
        """
        seconds, rate = metrics.get("seconds"), metrics.get("steps_per_second")
        if seconds is None or not rate:
            return None
        left = max(0.0, self.phase.num_steps - metrics.get("steps", 0.0)) / rate
        whole = seconds + left
        if self.minutes is not None:
            left = min(left, max(0.0, 60.0 * self.minutes - seconds))
            whole = min(whole, 60.0 * self.minutes)
        later = sum(phase.minutes for phase in self.phases[self.number + 1 :])
        return left + whole * later / self.phase.minutes


class PhasedRun:
    """A run of several phases in its folder, new or resumed."""

    def __init__(self, folder: pathlib.Path, description: PhasedDescription) -> None:
        """Take a folder that holds, or will hold, such a run."""
        self.folder = folder
        self.description = description

    def train(
        self,
        *,
        minutes: float | None,
        num_steps: int | None,
        on_phase: Callable[[Progress], Callable[[dict[str, float]], None]],
        checkpoint_seconds: float = 30.0,
        wandb: bool = False,
    ) -> bool:
        """Train phase after phase until the last has spent its budget; returns False if the user interrupted before.

        ``minutes`` of training time in all [min] are shared among the phases as their own are; what one leaves goes to
        those after it. ``num_steps`` control steps in all are shared in proportion too. None leaves the phases' own
        budgets. ``on_phase`` is called where a phase begins or is resumed; what it returns, with each iteration's metrics.
        """
        from handful.runs.training_run import TrainingRun

        phases, spent = self._with_budget(num_steps), 0.0
        for number, phase in enumerate(phases):
            folder = self.folder / phase.name
            if number + 1 < len(phases) and (self.folder / phases[number + 1].name / CHECKPOINT_FILE).exists():
                spent += training_seconds(folder)
                continue
            left = None
            if minutes is not None:
                rest = sum(each.minutes for each in phases[number:])
                # Not 0, so that every phase trains at least once.
                left = max(1e-6, minutes - spent / 60.0) * phase.minutes / rest
            resume = (folder / CHECKPOINT_FILE).exists()
            run = TrainingRun(folder, self.description.phase_in(self.folder, phase), resume=resume)
            try:
                done = run.train(
                    minutes=left,
                    num_steps=phase.num_steps,
                    on_iteration=on_phase(Progress(number, phases, spent, left)),
                    checkpoint_seconds=checkpoint_seconds,
                    wandb=wandb,
                )
                spent += run.trainer.seconds
            finally:
                run.close()
            if not done:
                return False
        return True

    def _with_budget(self, num_steps: int | None) -> tuple[Phase, ...]:
        """The phases, with so many control steps in all."""
        phases = self.description.phases
        if num_steps is None:
            return phases
        share = num_steps / sum(phase.num_steps for phase in phases)
        return tuple(dataclasses.replace(each, num_steps=max(1, round(share * each.num_steps))) for each in phases)


def begin_phases(
    folder: pathlib.Path, *, task: str, recipe: str, phases: tuple[Phase, ...], demonstrations: pathlib.Path | None
) -> PhasedRun:
    """A new run of several phases; a `ConfigurationError` says that the folder holds a run already."""
    if (folder / CONFIG_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds a run already: resume it by --resume {folder}, or name another folder by --run."
        )
    where = demonstrations or folder / DEMONSTRATIONS_FILE
    description = PhasedDescription(task, where, recipe, phases)
    write_phases(folder, description)
    return PhasedRun(folder, description)


def training_seconds(folder: pathlib.Path) -> float:
    """Training time of the run in a folder, as its policy's file says [s]."""
    from handful.learning.persistence.policy_file import load_policy

    _, manifest = load_policy(folder / POLICY_FILE)
    return float(manifest.training.get("seconds", 0.0))


def latest_policy(folder: pathlib.Path) -> pathlib.Path | None:
    """The policy file of the last phase that has one; None where the folder holds no run of several phases."""
    if not has_phases(folder):
        return None
    files = [folder / phase.name / POLICY_FILE for phase in read_phases(folder).phases]
    return next((file for file in reversed(files) if file.is_file()), None)
