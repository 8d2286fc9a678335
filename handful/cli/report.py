"""``handful report``: a run, or several, in one HTML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from handful.errors import ConfigurationError
from handful.storage import check_file_name, written_when_complete


@dataclasses.dataclass(frozen=True)
class Options:
    """Write a run into one HTML file that can be mailed: results, curves, a film and the configuration.

    Several runs of one task are compared, with the options in which they differ.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of runs."""
    output: Path | None = None
    """File to write, .html; by default report.html in the run, or comparison.html beside the first one."""
    num_episodes: int = 24
    """Episodes of each run's evaluation, of which up to 24 are filmed; 0 leaves evaluation and film out."""
    randomization: str = "task"
    """How much varies from episode to episode of the evaluation: none, task or full."""
    video: bool = True
    """Film the evaluation. A film takes some megabytes."""


def run(options: Options) -> None:
    """Write the report, and say where it is."""
    if not options.runs:
        raise ConfigurationError("expected the folder of at least one run, got none.")
    if options.num_episodes < 0:
        raise ConfigurationError(f"expected --num-episodes of at least 0, got {options.num_episodes}.")
    first = options.runs[0]
    path = options.output or (first / "report.html" if len(options.runs) == 1 else first.parent / "comparison.html")
    check_file_name(path, "report", (".html",))

    import torch
    from rich.console import Console

    from handful.simulation.randomization import parse_level
    from handful.viewing.report import build_report

    torch.set_num_threads(1)  # as in `handful evaluate`
    parse_level(options.randomization)
    console = Console(stderr=True, highlight=False)
    with console.status("reading the runs") as status:
        text = build_report(
            options.runs,
            num_episodes=options.num_episodes,
            randomization=options.randomization,
            film=options.video,
            on_run=lambda words: status.update(words),
        )
    with written_when_complete(path) as temporary:
        temporary.write_text(text)
    print(path)
