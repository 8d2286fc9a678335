"""Learning curves: the metrics that runs wrote, their means over seeds, and the figures drawn of them."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import DataError
from handful.runs.folder import METRICS_FILE
from handful.storage import written_when_complete

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

STEPS = "steps"
SECONDS = "seconds"
MINUTES = "minutes"
"""Not a column, but made of ``seconds``."""
SUCCESS = "success_rate_random_start"
RETURN = "return_random_start"

# Okabe and Ito's palette, which stays apart for the colour-blind and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")


@dataclasses.dataclass(frozen=True)
class Curve:
    """The metrics of one run, a row for each training iteration."""

    run: Path
    """Folder of the run."""
    columns: Mapping[str, np.ndarray]
    """Metrics by name, float64 [row]; NaN where the run had nothing to report."""

    def series(self, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
        """The points where both metrics are known; empty if the run never reported one of them."""
        if x not in self.columns or y not in self.columns:
            return np.empty(0), np.empty(0)
        known = np.isfinite(self.columns[x]) & np.isfinite(self.columns[y])
        return self.columns[x][known], self.columns[y][known]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of the figure of a run."""

    title: str
    """What it shows, with the unit."""
    columns: Mapping[str, str]
    """Metrics to draw, with their labels."""
    y_limits: tuple[float, float] | None = None
    """Range of the vertical axis; None fits the data."""
    log: bool = False
    """Whether the vertical axis is logarithmic."""


_RATE = (-0.03, 1.03)

PANELS = (
    Panel("sustained success from random starts", {SUCCESS: "success"}, _RATE),
    Panel("task return of an episode", {RETURN: "random start", "return_demo_start": "start in a demonstration"}),
    Panel("reward per step", {"task_reward": "task", "imitation_reward": "imitation"}),
    Panel("KL from old to new policy [nat]", {"kl": "KL"}),
    Panel("weight of the KL penalty", {"kl_weight": "weight"}, log=True),
    Panel(
        "discriminator's accuracy",
        {"discriminator_accuracy_expert": "on demonstrations", "discriminator_accuracy_policy": "on the policy"},
        _RATE,
    ),
    Panel("error of object positions [cm]", {"auxiliary_error_cm": "auxiliary head"}),
    Panel("value function's explained variance", {"value_explained_variance": "value"}, (-0.53, 1.03)),
    Panel("standard deviation of actions", {"policy_std": "policy"}),
    Panel("control steps per second", {"steps_per_second": "speed"}),
)
"""What the figure of a run shows; a panel whose metrics the run lacks is left out."""


def read_curve(run: Path) -> Curve:
    """Read a run's metrics.

    A last line that a crash cut short is left out. Where a run went back to a checkpoint, what it wrote beyond that
    checkpoint before is left out too.

    Raises:
        DataError: the folder has no metrics, or something in them is not a number.
    """
    path = run / METRICS_FILE if run.is_dir() else run
    try:
        lines = path.read_text().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{run} is not a run: expected a folder with {METRICS_FILE}, there is none.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected text with comma-separated values, got other bytes.") from None
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    rows = list(csv.reader(lines))
    if len(rows) < 2:
        raise DataError(f"{path} holds no metrics yet: expected a header and at least one line.")
    names, values = rows[0], np.full((len(rows) - 1, len(rows[0])), math.nan)
    for index, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise DataError(f"{path}, line {index + 2}: expected {len(names)} values, got {len(row)}.")
        for column, text in enumerate(row):
            try:
                values[index, column] = float(text) if text else math.nan
            except ValueError:
                place = f"{path}, line {index + 2}, {names[column]}"
                raise DataError(f"{place}: expected a number, got '{text}'.") from None
    columns = {name: values[:, column] for column, name in enumerate(names)}
    if STEPS not in columns:
        raise DataError(f"{path} has no column '{STEPS}'; its columns are: {', '.join(names)}.")
    if SECONDS in columns:
        columns[MINUTES] = columns[SECONDS] / 60
    kept = _not_repeated(columns[STEPS])
    return Curve(run=path.parent, columns={name: column[kept] for name, column in columns.items()})


def _not_repeated(steps: np.ndarray) -> np.ndarray:
    """Which rows come before every later row in steps, bool [row]."""
    smallest_after = np.minimum.accumulate(np.append(steps[1:], math.inf)[::-1])[::-1]
    return steps < smallest_after


def student_t_975(degrees_of_freedom: int) -> float:
    """Quantile 0.975 of Student's t, half the width of a 95% interval in standard errors.

    Tabulated up to 10 degrees of freedom; beyond, the expansion about the normal quantile z (Abramowitz and Stegun
    26.7.5) to the third order in 1 / n, which is within 0.0003 there.
    """
    tabulated = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
    if degrees_of_freedom <= len(tabulated):
        return tabulated[degrees_of_freedom - 1]
    z, n = 1.959964, degrees_of_freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def mean_over_seeds(
    curves: Sequence[Curve], x: str, y: str, *, num_points: int = 200
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Mean of a metric over the runs of one method, where all of them have reported it.

    Args:
        curves: One run for each seed.
        x: Metric along the horizontal axis.
        y: Metric to average.
        num_points: Points on the common axis, to which every run is interpolated.

    Returns:
        The common axis and the mean, each [point], and half the width of the mean's 95% interval (Student's t over the
        seeds), [point]; None with a single seed, from which no interval follows.
    """
    series = [points for points in (curve.series(x, y) for curve in curves) if points[0].size]
    if not series:
        return np.empty(0), np.empty(0), None
    start, end = max(xs[0] for xs, _ in series), min(xs[-1] for xs, _ in series)
    if end < start:
        return np.empty(0), np.empty(0), None
    if len(series) == 1:
        return *series[0], None
    axis = np.linspace(start, end, num_points)
    values = np.stack([np.interp(axis, xs, ys) for xs, ys in series])
    standard_error = values.std(axis=0, ddof=1) / math.sqrt(len(series))
    return axis, values.mean(axis=0), student_t_975(len(series) - 1) * standard_error


def draw_run(curve: Curve, path: Path) -> None:
    """Draw all that a run reported about itself, one panel for each of ``PANELS``.

    Raises:
        StorageError: the picture cannot be written.
    """
    x = MINUTES if curve.series(MINUTES, STEPS)[0].size else STEPS
    panels = [panel for panel in PANELS if any(curve.series(x, column)[0].size for column in panel.columns)]
    if not panels:
        raise DataError(f"{curve.run} has nothing to draw: none of its metrics is one that the figure shows.")
    num_columns = min(4, math.ceil(math.sqrt(len(panels))))
    figure, axes = _figure(math.ceil(len(panels) / num_columns), num_columns)
    for panel, axis in zip(panels, axes, strict=False):
        for (column, label), colour in zip(panel.columns.items(), COLOURS, strict=False):
            xs, ys = curve.series(x, column)
            if xs.size:
                _line(axis, xs, ys, label=label, color=colour)
        _finish(axis, x, panel.title, y_limits=panel.y_limits)
        if panel.log:
            axis.set_yscale("log")
        if len(axis.lines) > 1:
            axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_comparison(methods: Mapping[str, Sequence[Curve]], path: Path) -> None:
    """Draw methods against each other: success and return of random starts, against steps and against minutes.

    Each line is the mean over a method's seeds, its band the 95% interval of that mean.

    Args:
        methods: The runs of each method, one for each seed.
        path: The picture to write.

    Raises:
        DataError: there is nothing to draw.
        StorageError: the picture cannot be written.
    """
    figure, axes = _figure(2, 2)
    drawn: dict[str, Line2D] = {}
    for index, (method, curves) in enumerate(methods.items()):
        style = {"color": COLOURS[index % len(COLOURS)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
        seeds = f"{len(curves)} seeds" if len(curves) > 1 else "1 seed, no interval"
        for axis, (y, x) in zip(axes, _COMPARISON, strict=True):
            xs, mean, half_width = mean_over_seeds(curves, x, y)
            if not xs.size:
                continue
            drawn[f"{method} ({seeds})"] = _line(axis, xs, mean, **style)
            if half_width is not None:
                axis.fill_between(
                    xs, mean - half_width, mean + half_width, color=style["color"], alpha=0.18, linewidth=0
                )
    if not drawn:
        raise DataError(f"nothing to compare: none of the runs of {', '.join(methods)} has reported {SUCCESS} yet.")
    for axis, (y, x) in zip(axes, _COMPARISON, strict=True):
        rate = y == SUCCESS
        _finish(axis, x, "success" if rate else "task return", y_limits=_RATE if rate else None)
    figure.legend(
        drawn.values(), drawn.keys(), loc="outside lower center", ncols=min(2, len(drawn)), frameon=False, fontsize=9
    )
    figure.suptitle("Episodes from random starts: mean over seeds, band: 95% interval of the mean", fontsize=10)
    _save(figure, path)


_COMPARISON = ((SUCCESS, STEPS), (SUCCESS, MINUTES), (RETURN, STEPS), (RETURN, MINUTES))


def _figure(num_rows: int, num_columns: int) -> tuple[Figure, list[Axes]]:
    # Figure without pyplot draws with Agg, needs no display and keeps no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * num_columns, 2.7 * num_rows), dpi=130, layout="constrained")
    return figure, list(figure.subplots(num_rows, num_columns, squeeze=False).flat)


def _line(axis: Axes, xs: np.ndarray, ys: np.ndarray, **style: Any) -> Line2D:
    # A run of a single iteration is a point, which a line alone would not show.
    return axis.plot(xs, ys, linewidth=1.6, marker="o" if len(xs) == 1 else None, **style)[0]


def _finish(axis: Axes, x: str, title: str, *, y_limits: tuple[float, float] | None) -> None:
    from matplotlib.ticker import EngFormatter

    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel("training time [min]" if x == MINUTES else "control steps", fontsize=8)
    if x == STEPS:
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlim(left=0)
    if y_limits is not None:
        axis.set_ylim(*y_limits)
    axis.grid(color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, color="#999999")
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    for axis in figure.axes:
        if not axis.lines:
            axis.remove()
    with written_when_complete(path) as temporary:
        figure.savefig(temporary)
