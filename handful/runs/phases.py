"""Runs of several phases, each of which is a run of its own in a folder inside: a teacher, then its student, and so on.

A folder of such a run holds::

    config.json             the task, the recipe, and the configuration and budget of each phase
    demonstrations.hdf5     demonstrations for all phases, unless others were named
    teacher/                the run of the first phase, as `handful.runs.folder` describes it
    student/                that of the next, once it has begun
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from handful.config import from_json, to_json
from handful.errors import ConfigurationError, DataError, HandfulError
from handful.runs.config import RunConfig
from handful.runs.folder import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    DEMONSTRATIONS_FILE,
    POLICY_FILE,
    RUN_FORMAT,
    RunDescription,
    text_entry,
    write_config,
)
from handful.storage import exists, read_json


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
        values = read_json(folder / CONFIG_FILE)
    except (OSError, HandfulError):
        return False
    return isinstance(values, dict) and "phases" in values


def phases_of(values: dict[str, Any]) -> tuple[Phase, ...]:
    """The phases that the content of a ``config.json`` describes; one where it holds a single configuration."""
    if "phases" not in values:
        return (Phase("run", from_json(RunConfig, values["config"]), num_steps=sys.maxsize, minutes=math.inf),)
    phases = tuple(_phase(each) for each in values["phases"])
    _check_phases(phases)
    return phases


def read_phases(folder: pathlib.Path) -> PhasedDescription:
    """What the run in a folder is; a `DataError` says that its file cannot be read."""
    path = folder / CONFIG_FILE
    try:
        values: dict[str, Any] = read_json(path)
        if values.get("format") != RUN_FORMAT:
            raise DataError(f"it is of version {values.get('format')}, and this program reads version {RUN_FORMAT}")
        phases = tuple(_phase(each) for each in values["phases"])
        _check_phases(phases)
        return PhasedDescription(
            task=text_entry(values, "task"),
            demonstrations=folder / text_entry(values, "demonstrations"),
            recipe=text_entry(values, "recipe"),
            phases=phases,
        )
    except KeyError as error:
        raise DataError(f"{path} lacks the entry {error}.") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, DataError) as error:
        problem = str(error).rstrip(".")[:500]
        raise DataError(f"{path} cannot be read as a run's configuration: {problem}.") from error


def _phase(values: dict[str, Any]) -> Phase:
    """A phase from what a file says of it."""
    bare = {**values, "config": {}}
    try:
        phase = msgspec.convert(bare, Phase)
    except msgspec.ValidationError as error:
        raise DataError(f"a phase: {error}") from error
    if bare.keys() - {field.name for field in dataclasses.fields(Phase)}:
        raise DataError(f"a phase has the entry {sorted(bare)[0]!r:.50}")
    return dataclasses.replace(phase, config=from_json(RunConfig, values["config"]))


def _check_phases(phases: tuple[Phase, ...]) -> None:
    """Refuse phases that are none: their names become folders inside the run's, and nowhere else."""
    if not 0 < len(phases) <= 100:
        raise DataError(f"it names {len(phases)} phases")
    names = [phase.name for phase in phases]
    for number, phase in enumerate(phases):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", phase.name) or names.count(phase.name) > 1:
            raise DataError(f"a phase cannot have the name {phase.name!r:.50}")
        for other in (phase.teacher, phase.start_from, phase.retries_from):
            if other is not None and other not in names[:number]:
                raise DataError(f"the phase {phase.name} names {other!r:.50}, which is no phase before it")
        if not 1 <= phase.num_steps < 1e15 or not 0.0 < phase.minutes < 1e9:
            raise DataError(f"the phase {phase.name} has a budget that cannot be")


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
            if number + 1 < len(phases) and exists(self.folder / phases[number + 1].name / CHECKPOINT_FILE):
                spent += training_seconds(folder)
                continue
            left = None
            if minutes is not None:
                rest = sum(each.minutes for each in phases[number:])
                # Not 0, so that every phase trains at least once.
                left = max(1e-6, minutes - spent / 60.0) * phase.minutes / rest
            resume = exists(folder / CHECKPOINT_FILE)
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
    if exists(folder / CONFIG_FILE):
        raise ConfigurationError(
            f"{folder} holds a run already: resume it by --resume {folder}, or name another folder by --run."
        )
    where = demonstrations or folder / DEMONSTRATIONS_FILE
    description = PhasedDescription(task, where, recipe, phases)
    write_phases(folder, description)
    return PhasedRun(folder, description)


def training_seconds(folder: pathlib.Path) -> float:
    """Training time of the run in a folder, as its checkpoint says [s]."""
    from handful.learning.persistence.checkpoint import load_checkpoint

    seconds = load_checkpoint(folder / CHECKPOINT_FILE).get("seconds")
    if not isinstance(seconds, int | float) or not 0.0 <= seconds < 1e12:
        raise DataError(f"{folder / CHECKPOINT_FILE} is damaged: its training time cannot be {str(seconds)[:50]}.")
    return float(seconds)


def latest_policy(folder: pathlib.Path) -> pathlib.Path | None:
    """The policy file of the last phase that has one; None where the folder holds no run of several phases."""
    if not has_phases(folder):
        return None
    files = [folder / phase.name / POLICY_FILE for phase in read_phases(folder).phases]
    return next((file for file in reversed(files) if file.is_file()), None)
