"""``handful runs``: list runs, or compare some of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from handful.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from handful.viewing.run_list import RunSummary


@dataclasses.dataclass(frozen=True)
class Options:
    """List runs with their task, recipe, steps, training time and success.

    With --compare, also list the options in which they differ. For their curves: handful plot RUN RUN; for both in one file:
    handful report RUN RUN.
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN ...]")] = ()
    """Folders of runs, or folders with runs in them; by default runs."""
    task: str | None = None
    """Only runs of this task."""
    compare: bool = False
    """List the options in which the runs differ."""
    json: bool = False
    """Print JSON instead of tables."""


def run(options: Options) -> None:
    """Print."""
    from handful.errors import unknown_name
    from handful.tasks.registry import TASKS
    from handful.viewing.run_list import differences, find_runs, summarize_all

    if options.task is not None and options.task not in TASKS:
        raise unknown_name("task", options.task, TASKS)
    folders = [run for folder in options.folders or (Path("runs"),) for run in find_runs(folder)]
    summaries, problems = summarize_all(dict.fromkeys(folders))
    summaries = [each for each in summaries if options.task in (None, each.task)]
    if not summaries:
        where = ", ".join(map(str, options.folders)) or "runs"
        raise DataError(problems[0] if problems else f"{where} holds no run: handful train TASK makes one.")
    if options.compare and len(summaries) < 2:
        raise ConfigurationError(f"expected at least 2 runs to compare, got {len(summaries)}.")
    differ = differences([each.folder for each in summaries]) if options.compare else {}
    if options.json:
        rows = [{**dataclasses.asdict(each), "folder": str(each.folder)} for each in summaries]
        print(json.dumps({"runs": rows, "differences": differ} if options.compare else rows))
        return
    _print_list(summaries, problems)
    if options.compare:
        _print_differences(summaries, differ)


def _print_list(summaries: list[RunSummary], problems: list[str]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    # Without markup: names come from files, and may hold brackets.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    table = Table("run", "task", "recipe, phase", box=SIMPLE)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    for name in ("steps", "minutes", "success", "return"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in summaries:
        success = "" if each.success is None else f"{each.success:.1%}"
        task_return = "" if each.task_return is None else f"{each.task_return:.1f}"
        words = (str(each.folder), each.task, f"{each.recipe}\n{each.phase}".strip())
        table.add_row(*words, f"{each.steps:,}", f"{each.minutes:.1f}", success, task_return)
    console.print(table)
    note = "Success is that of training's last 100 episodes from random starts; handful evaluate measures it better."
    console.print(note, soft_wrap=True)
    for problem in problems:
        console.print(f"Left out: {problem}", soft_wrap=True)


def _print_differences(summaries: list[RunSummary], differ: dict[str, list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    if not differ:
        console.print("These runs have the same options.")
        return
    table = Table("option", *(str(each.folder) for each in summaries))
    for name, values in differ.items():
        table.add_row(name, *values)
    console.print(table)
