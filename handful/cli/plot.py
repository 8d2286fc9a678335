"""``handful plot``: the learning curves of one run, or several methods against each other."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import tyro

from handful.errors import ConfigurationError, DataError
from handful.storage import check_file_name

PICTURE_SUFFIXES = (".png", ".pdf", ".svg")
"""By which the format is chosen."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Draw the learning curves of one run, each phase by itself, or compare several runs of one task.

    To follow a run while it trains: tensorboard --logdir RUN. For one file that can be mailed: handful report RUN.

    Runs whose folders are named seed-N are the seeds of the method that their parent folder names.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of runs."""
    output: Path | None = None
    """Picture to write; by default curves.png in the run, or comparison.png in the folder that the runs share."""


def run(options: Options) -> None:
    """Draw, and say where the picture is."""
    if not options.runs:
        raise ConfigurationError("expected the folder of at least one run, got none.")
    if options.output is not None:
        check_file_name(options.output, "picture", PICTURE_SUFFIXES)

    from handful.runs.phases import has_phases
    from handful.viewing.curves import curves_by_method, read_whole_curve
    from handful.viewing.plots import draw_comparison, draw_run

    if len(options.runs) == 1 and has_phases(options.runs[0]):
        draw_phases(options.runs[0], options.output)
        return
    places = [folder.resolve() for folder in options.runs]
    for folder, place in zip(options.runs, places, strict=True):
        if places.count(place) > 1:
            raise ConfigurationError(f"expected different runs, got {folder} more than once.")
    curves = [read_whole_curve(folder) for folder in options.runs]
    left_out: list[str] = []
    if len(curves) == 1:
        path = options.output or curves[0].run / "curves.png"
        draw_run(curves[0], path)
    else:
        shared = Path(os.path.commonpath([curve.run.resolve().parent for curve in curves]))
        path = options.output or shared / "comparison.png"
        left_out = draw_comparison(curves_by_method(curves), path)
    print(path)
    if left_out:
        print(f"Left out, because no episode from a random start has ended yet: {', '.join(left_out)}.")


def draw_phases(folder: Path, output: Path | None) -> None:
    """Draw the curves of each phase of a run into a picture of its own."""
    from handful.runs.folder import METRICS_FILE
    from handful.runs.phases import read_phases
    from handful.viewing.curves import read_curve
    from handful.viewing.plots import draw_run

    names = [phase.name for phase in read_phases(folder).phases]
    begun = [name for name in names if (folder / name / METRICS_FILE).is_file()]
    if not begun:
        raise DataError(f"{folder} holds no metrics yet: expected {METRICS_FILE} in {folder / names[0]}.")
    for name in begun:
        path = folder / name / "curves.png" if output is None else output.with_stem(f"{output.stem}-{name}")
        draw_run(read_curve(folder / name), path)
        print(path)
