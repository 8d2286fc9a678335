"""The runs in a folder: what each is, how far it has come, and in which options some of them differ."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from handful.config import options_of
from handful.errors import DataError, HandfulError
from handful.runs.config_file import ConfigFile, read_config_file
from handful.runs.folder import CONFIG_FILE, METRICS_FILE, read_description
from handful.runs.phases import has_phases, read_phases
from handful.viewing.curves import MINUTES, RETURN, STEPS, SUCCESS, read_whole_curve

MISSING = "-"
"""Stands where a run has no such option."""


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """What there is to say of a run in a line."""

    folder: Path
    """Its folder."""
    task: str
    """Its task."""
    recipe: str
    """Its recipe."""
    phase: str
    """The phase that it is in, or was when it ended; empty for a run of one phase."""
    steps: int
    """Control steps so far."""
    minutes: float
    """Training time so far [min]."""
    success: float | None
    """Success that was reported last, of training's episodes from random starts; None before the first has ended."""
    task_return: float | None
    """Mean return that was reported last."""


def find_runs(folder: Path) -> list[Path]:
    """The runs in a folder and below, by name; the phases of a run are not listed by themselves.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}: name one with runs in it, or train first, as in handful train block-lifting."
        )
    return _runs_in(folder, set())


def _runs_in(folder: Path, seen: set[str]) -> list[Path]:
    """The runs in a folder, without those in folders that were ``seen``: links may lead in circles."""
    place = os.path.realpath(folder)
    if place in seen:
        return []
    seen.add(place)
    if (folder / CONFIG_FILE).is_file():
        return [folder]
    inner = sorted(path for path in folder.iterdir() if os.path.isdir(path) and not path.name.startswith("."))
    return [run for path in inner for run in _runs_in(path, seen)]


def summarize(folder: Path) -> RunSummary:
    """Summarise the run in a folder.

    Raises:
        DataError: it holds no run, or one that cannot be read.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise DataError(f"{folder} holds no run: {CONFIG_FILE} is missing.")
    if has_phases(folder):
        description = read_phases(folder)
        begun = [phase.name for phase in description.phases if (folder / phase.name / METRICS_FILE).is_file()]
        phase = f"{begun[-1]} {len(begun)}/{len(description.phases)}" if begun else ""
        has_metrics = bool(begun)
    else:
        description, phase = read_description(folder), ""
        has_metrics = (folder / METRICS_FILE).is_file()
    steps, minutes, success, task_return = 0, 0.0, None, None
    if has_metrics:
        curve = read_whole_curve(folder)
        steps = int(curve.columns[STEPS][-1])
        minutes = float(curve.columns[MINUTES][-1]) if MINUTES in curve.columns else math.nan
        success, task_return = (_last(curve.series(STEPS, name)[1]) for name in (SUCCESS, RETURN))
    return RunSummary(folder, description.task, description.recipe, phase, steps, minutes, success, task_return)


def summarize_all(folders: Iterable[Path]) -> tuple[list[RunSummary], list[str]]:
    """Summaries of the runs that can be read, and a sentence for each of the others."""
    summaries, problems = [], []
    for folder in folders:
        try:
            summaries.append(summarize(folder))
        except HandfulError as error:
            problems.append(str(error))
    return summaries, problems


def differences(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Options in which runs differ, by name as on the command line, each with its value in every run.

    Options of a phase are named PHASE/OPTION.
    """
    values = [_options(read_config_file(folder)) for folder in folders]
    names = dict.fromkeys(name for each in values for name in each)
    rows = {name: [each.get(name, MISSING) for each in values] for name in names}
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def _options(file: ConfigFile) -> dict[str, str]:
    values = {"recipe": file.recipe}
    for phase in file.phases:
        prefix = f"{phase.name}/" if len(file.phases) > 1 else ""
        for name, value in options_of(phase.config, inline=("trainer",)):
            values[prefix + name] = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return values


def _last(values: np.ndarray) -> float | None:
    return float(values[-1]) if len(values) else None
