"""The picture of an experiment, like the paper's Figs. 4 and 5: return against control steps, a panel for each task."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from handful.errors import DataError
from handful.runs.evaluations import Results
from handful.runs.experiments import Experiment, Panel
from handful.runs.orderings import bootstrap_interval
from handful.storage import written_when_complete
from handful.viewing.sheet import LINE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 3
"""Most panels side by side."""


def draw_figure(experiment: Experiment, results: Results, path: Path) -> None:
    """Draw the means over seeds of every method, with 95% bootstrap intervals, and the demonstrations' mean return.

    Raises:
        DataError: no run has been evaluated yet.
    """
    from matplotlib.figure import Figure

    panels = [(task, panel) for task in results.tasks for panel in experiment.panels]
    if not panels:
        raise DataError(f"nothing to draw: no run of {experiment.name} has been evaluated yet.")
    num_columns = min(MAX_COLUMNS, len(panels)) if len(experiment.panels) == 1 else len(experiment.panels)
    num_rows = math.ceil(len(panels) / num_columns)
    own_legends = len(experiment.panels) > 1
    # Panels with long legends of their own are larger than those that share one.
    width, height = (5.6, 4.4) if own_legends else (4.2, 3.0)
    figure = Figure(figsize=(max(5.6, width * num_columns), height * num_rows + 0.6), dpi=130, layout="constrained")
    axes = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
    for (task, panel), axis in zip(panels, axes, strict=False):
        _draw_panel(axis, task, panel, results)
        if own_legends:
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}  # curves may lie anywhere inside
            axis.legend(**below, frameon=False, fontsize=7, ncols=3 if not panel.sequential else 5)
    for axis in axes[len(panels) :]:
        axis.remove()
    if not own_legends:
        _shared_legend(figure, axes[: len(panels)])
    what = "mean over seeds" + (", band: 95% bootstrap interval" if _has_intervals(results) else "")
    figure.suptitle(f"Mean actions, random starts: {what} ({_seed_words(results)})", fontsize=9)
    with written_when_complete(path) as temporary:
        figure.savefig(temporary)


def _draw_panel(axis: Axes, task: str, panel: Panel, results: Results) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for index, (method, label) in enumerate(panel.labels.items()):
        steps, returns = results.curve(task, method)
        if not steps:
            continue
        if panel.sequential:
            colour, line_style = colormaps["viridis"](0.95 * index / max(1, len(panel.labels) - 1)), "-"
        else:
            colour, line_style = LINE_COLORS[index % len(LINE_COLORS)], ("-", "--")[index // len(LINE_COLORS)]
        marker = "o" if len(steps) == 1 else None  # which a line alone would not show
        axis.plot(steps, returns.mean(axis=0), color=colour, linestyle=line_style, marker=marker, label=label)
        interval = bootstrap_interval(returns)
        if interval is not None:
            axis.fill_between(steps, *interval, color=colour, alpha=0.15, linewidth=0)
    axis.axhline(results.demonstrations[task], color="#666666", linestyle=":", linewidth=1.2, label="demonstrations")
    axis.set_title(f"{task}: {panel.title}" if panel.title else task, fontsize=10, loc="left")
    axis.set_xlabel("control steps", fontsize=8)
    axis.set_ylabel("return of an episode", fontsize=8)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_xlim(left=0)
    axis.grid(color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, color="#999999")
    axis.spines[["top", "right"]].set_visible(False)


def _shared_legend(figure: Figure, axes: list[Axes]) -> None:
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    last = "demonstrations"
    handles = {**{label: handle for label, handle in handles.items() if label != last}, last: handles[last]}
    columns = min(len(handles), 3 if len(axes) < MAX_COLUMNS else 5)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def _num_seeds(results: Results) -> list[int]:
    return [len(results.curve(task, method)[1]) for task, method in results.evaluations]


def _has_intervals(results: Results) -> bool:
    return max(_num_seeds(results)) > 1


def _seed_words(results: Results) -> str:
    counts = sorted(set(_num_seeds(results)))
    if counts == [1]:
        return "1 seed, no interval"
    return f"{counts[-1]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
