"""Figures of learning curves: all metrics of one run, and methods against each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import ConfigurationError, DataError
from handful.storage import written_when_complete
from handful.viewing.curves import MINUTES, RETURN, STEPS, SUCCESS, Curve, mean_over_seeds
from handful.viewing.sheet import LINE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LINE_STYLES = ("-", "--", "-.", ":")


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
_COMPARISON = ((SUCCESS, STEPS), (SUCCESS, MINUTES), (RETURN, STEPS), (RETURN, MINUTES))

PANELS = (
    Panel("sustained success from random starts", {SUCCESS: "success"}, _RATE),
    Panel("task return of an episode", {RETURN: "random start", "return_demo_start": "start in a demonstration"}),
    Panel("reward per step", {"task_reward": "task", "imitation_reward": "imitation"}),
    Panel("frontier of the demonstrations", {"frontier": "mean", "frontiers_at_beginning": "at the beginning"}, _RATE),
    Panel("distance from the teacher", {"distillation_error": "student", "teacher_error": "fine-tuning"}, log=True),
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


def draw_run(curve: Curve, path: Path) -> None:
    """Draw the metrics of a run, one panel for each of `PANELS`."""
    x = MINUTES if curve.series(MINUTES, STEPS)[0].size else STEPS
    panels = [panel for panel in PANELS if any(curve.series(x, column)[0].size for column in panel.columns)]
    if not panels:
        raise DataError(f"{curve.run} has nothing to draw: none of its metrics is one that the figure shows.")
    num_columns = min(4, math.ceil(math.sqrt(len(panels))))
    figure, axes = _figure(math.ceil(len(panels) / num_columns), num_columns)
    for panel, axis in zip(panels, axes, strict=False):
        for (column, label), colour in zip(panel.columns.items(), LINE_COLORS, strict=False):
            xs, ys = curve.series(x, column)
            if xs.size:
                _line(axis, xs, ys, label=label, color=colour)
        _finish(axis, x, panel.title, y_limits=panel.y_limits)
        if panel.log:
            axis.set_yscale("log")
        if len(axis.lines) > 1:
            axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_comparison(methods: Mapping[str, Sequence[Curve]], path: Path) -> list[str]:
    """Draw methods against each other: success and return of random starts, against steps and against minutes.

    Each line is the mean over a method's runs, one for each seed, and its band is the 95% interval of that mean. Returns the
    runs that are left out because they have not reported any success rate yet, or the method where none of its runs has.

    Raises:
        ConfigurationError: the runs are of several tasks.
        DataError: there is nothing to draw.
    """
    tasks = sorted({curve.task for curves in methods.values() for curve in curves if curve.task is not None})
    if len(tasks) > 1:
        raise ConfigurationError(f"expected runs of one task, got runs of {', '.join(tasks)}: draw each by itself.")
    figure, axes = _figure(2, 2)
    drawn: dict[str, Line2D] = {}
    left_out: list[str] = []
    for index, (method, curves) in enumerate(methods.items()):
        style = {"color": LINE_COLORS[index % len(LINE_COLORS)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
        silent = [curve for curve in curves if not curve.series(STEPS, SUCCESS)[0].size]
        num_seeds = len(curves) - len(silent)
        label = f"{method} ({num_seeds} seeds)" if num_seeds > 1 else f"{method} (1 seed, no interval)"
        for axis, (y, x) in zip(axes, _COMPARISON, strict=True):
            xs, mean, half_width = mean_over_seeds(curves, x, y)
            if not xs.size:
                continue
            drawn[label] = _line(axis, xs, mean, **style)
            if half_width is not None:
                band = mean - half_width, mean + half_width
                axis.fill_between(xs, *band, color=style["color"], alpha=0.18, linewidth=0)
        if label not in drawn:
            left_out.append(method)
        elif silent:
            left_out += [f"{method}/{curve.run.name}" for curve in silent]
    if not drawn:
        raise DataError(f"nothing to compare: none of the runs of {', '.join(methods)} has reported {SUCCESS} yet.")
    for axis, (y, x) in zip(axes, _COMPARISON, strict=True):
        rate = y == SUCCESS
        _finish(axis, x, "success" if rate else "task return", y_limits=_RATE if rate else None)
    style = {"loc": "outside lower center", "ncols": min(2, len(drawn)), "frameon": False, "fontsize": 9}
    figure.legend(drawn.values(), drawn.keys(), **style)
    figure.suptitle("Episodes from random starts: mean over seeds, band: 95% interval of the mean", fontsize=10)
    _save(figure, path)
    return left_out


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
