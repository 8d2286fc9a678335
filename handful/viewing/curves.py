"""Learning curves: the metrics of runs, by method, and their means over seeds."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from handful.errors import DataError, HandfulError
from handful.runs.folder import CONFIG_FILE, METRICS_FILE, text_entry
from handful.runs.phases import has_phases, read_phases
from handful.storage import read_json, read_text

STEPS = "steps"
SECONDS = "seconds"
MINUTES = "minutes"
"""Not a column of the file: made of ``seconds``."""
SUCCESS = "success_rate_random_start"
RETURN = "return_random_start"

MAX_METRICS_BYTES, MAX_COLUMNS, MAX_VALUE = 2**26, 500, 1e30
"""More is no file of metrics: one has 400 bytes a row and 60 columns."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """The metrics of one run, a row for each training iteration."""

    run: Path
    """Folder of the run."""
    columns: Mapping[str, np.ndarray]
    """Metrics by name, float64 [row]; NaN where the run reported nothing."""
    task: str | None = None
    """The task that the run's configuration names; None where there is no configuration."""

    def series(self, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
        """The points where both metrics are known; empty if the run never reported one of them."""
        if x not in self.columns or y not in self.columns:
            return np.empty(0), np.empty(0)
        known = np.isfinite(self.columns[x]) & np.isfinite(self.columns[y])
        return self.columns[x][known], self.columns[y][known]


def read_curve(run: Path) -> Curve:
    """Read a run's metrics.

    ``run`` is its folder or its file of metrics. A last line that a crash cut short is left out, and so is what the run
    wrote after the checkpoint from which it was resumed.

    Raises:
        DataError: the folder has no metrics, or something in them is not a number.
    """
    path = run / METRICS_FILE if run.is_dir() else run
    try:
        lines = read_text(path, max_bytes=MAX_METRICS_BYTES).splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{run} is not a run: expected a folder with {METRICS_FILE}, there is none.") from None
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise DataError(f"{path}: expected comma-separated values ({error}).") from error
    if len(rows) < 2:
        raise DataError(f"{path} holds no metrics yet: expected a header and at least one line.")
    if len(rows[0]) > MAX_COLUMNS or len(set(rows[0])) < len(rows[0]):
        raise DataError(f"{path}: expected the name of each metric once, in at most {MAX_COLUMNS} columns.")
    names, values = rows[0], np.full((len(rows) - 1, len(rows[0])), math.nan)
    for index, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise DataError(f"{path}, line {index + 2}: expected {len(names)} values, got {len(row)}.")
        for column, text in enumerate(row):
            try:
                values[index, column] = _number(text)
            except ValueError:
                place = f"{path}, line {index + 2}, {names[column][:50]}"
                raise DataError(f"{place}: expected a number, got '{text[:50]}'.") from None
    columns = {name: values[:, column] for column, name in enumerate(names)}
    if STEPS not in columns:
        raise DataError(f"{path} has no column '{STEPS}'; its columns are: {', '.join(names)}.")
    if SECONDS in columns:
        columns[MINUTES] = columns[SECONDS] / 60
    steps = np.where(np.isfinite(columns[STEPS]), columns[STEPS], math.inf)
    smallest_after = np.minimum.accumulate(np.append(steps[1:], math.inf)[::-1])[::-1]
    kept = steps < smallest_after  # a resumed run writes some steps again
    if not kept.any():
        raise DataError(f"{path}: expected a number of steps in at least one line, there is none.")
    columns = {name: column[kept] for name, column in columns.items()}
    return Curve(run=path.parent, columns=columns, task=_task_of(path.parent))


def _number(text: str) -> float:
    """A value of a metric; NaN where there is none."""
    value = float(text) if text else math.nan
    if math.isfinite(value) and abs(value) > MAX_VALUE:
        raise ValueError("no number that a picture can show")
    return value


def read_whole_curve(run: Path) -> Curve:
    """The metrics of a run, those of its phases one after the other if it has several; see `read_curve`.

    Steps and seconds then count on from phase to phase.

    Raises:
        DataError: no phase has metrics yet, or those of one cannot be read.
    """
    if not has_phases(run):
        return read_curve(run)
    description = read_phases(run)
    folders = [run / phase.name for phase in description.phases]
    curves = [read_curve(folder) for folder in folders if (folder / METRICS_FILE).is_file()]
    if not curves:
        raise DataError(f"{run} holds no metrics yet: expected {METRICS_FILE} in {folders[0]}.")
    columns: dict[str, list[np.ndarray]] = {name: [] for curve in curves for name in curve.columns}
    before: dict[str, float] = dict.fromkeys((STEPS, SECONDS, MINUTES), 0.0)
    for curve in curves:
        nothing = np.full(len(curve.columns[STEPS]), math.nan)
        for name, parts in columns.items():
            parts.append(curve.columns.get(name, nothing) + before.get(name, 0.0))
        before = {name: parts[-1][-1] for name, parts in columns.items() if name in before}
    return Curve(
        run=run, columns={name: np.concatenate(parts) for name, parts in columns.items()}, task=description.task
    )


def _task_of(run: Path) -> str | None:
    path = run / CONFIG_FILE
    try:
        return text_entry(read_json(path), "task")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (KeyError, TypeError, HandfulError) as error:
        raise DataError(f"{path} does not name the task of the run.") from error


def mean_over_seeds(
    curves: Sequence[Curve], x: str, y: str, *, num_points: int = 200
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Mean of a metric ``y`` over the runs of one method, one for each seed, where all of them have reported it.

    Returns the axis of the metric ``x`` and the mean, each [point], and half the width of the mean's 95% interval (Student's
    t over the seeds), [point]; None with a single seed, which gives no interval. Every run is interpolated to the axis.
    """
    from scipy import stats

    series = [points for points in (curve.series(x, y) for curve in curves) if points[0].size]
    if not series:
        return np.empty(0), np.empty(0), None
    if len(series) == 1:
        return *series[0], None
    start, end = max(xs[0] for xs, _ in series), min(xs[-1] for xs, _ in series)
    if end < start:
        return np.empty(0), np.empty(0), None
    axis = np.linspace(start, end, num_points)
    values = np.stack([np.interp(axis, xs, ys) for xs, ys in series])
    half_width = stats.t.ppf(0.975, len(series) - 1) * stats.sem(values, axis=0)
    return axis, values.mean(axis=0), half_width


def curves_by_method(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Group runs into methods: runs named ``seed-N`` are the seeds of their folder, any other run is its own method.

    A method is called by its folder's name, or by its path where several have the same name.
    """
    groups: dict[Path, list[Curve]] = {}
    for curve in curves:
        folder = curve.run.resolve()
        groups.setdefault(folder.parent if folder.name.startswith("seed") else folder, []).append(curve)
    names = [folder.name for folder in groups]
    shared = os.path.commonpath(list(groups)) if groups else ""
    return {
        folder.name if names.count(folder.name) == 1 else os.path.relpath(folder, shared): members
        for folder, members in groups.items()
    }
