"""``handful plot``: the learning curves of one run, or several methods against each other."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import tyro

from handful.errors import ConfigurationError
from handful.viewing.curves import Curve, draw_comparison, draw_run, read_curve

PICTURE_SUFFIXES = (".png", ".pdf", ".svg")
"""By which the format is chosen."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Draw the learning curves of one run, or compare several.

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
    if options.output is not None and options.output.suffix not in PICTURE_SUFFIXES:
        endings = ", ".join(PICTURE_SUFFIXES)
        raise ConfigurationError(f"expected the name of a picture to end in one of {endings}, got {options.output}.")
    curves = [read_curve(folder) for folder in options.runs]
    if len(curves) == 1:
        path = options.output or curves[0].run / "curves.png"
        draw_run(curves[0], path)
    else:
        shared = Path(os.path.commonpath([curve.run.resolve().parent for curve in curves]))
        path = options.output or shared / "comparison.png"
        draw_comparison(methods_of(curves), path)
    print(path)


def methods_of(curves: list[Curve]) -> dict[str, list[Curve]]:
    """The curves by method: the parent folder's name where the run's own is ``seed-N``, the run's own otherwise."""
    methods: dict[str, list[Curve]] = {}
    for curve in curves:
        folder = curve.run.resolve()
        methods.setdefault(folder.parent.name if folder.name.startswith("seed") else folder.name, []).append(curve)
    return methods
