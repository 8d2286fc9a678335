"""``handful dataset info``: say what a file of demonstrations holds."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Say what a file of demonstrations holds: task, episodes, who acted, how long each stage took."""

    path: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of demonstrations, such as demonstrations/block-lifting.hdf5."""
    json: bool = False
    """Print it as JSON, for programs."""


def run(options: Options) -> None:
    """Print the description."""
    from handful.demonstrations.files.summary import summarize

    summary = summarize(options.path)
    if options.json:
        print(json.dumps(summary, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for name, value in summary.items():
        if name != "episodes":
            words = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
            console.print(f"{name.replace('_', ' ')}: {words}", soft_wrap=True, markup=False)
    table = Table("episode")
    for column in ("seconds", "success at", "return", "acted"):
        table.add_column(column, justify="right")
    for each in summary["episodes"]:
        table.add_row(
            each["name"], f"{each['seconds']:.2f}", f"{each['success_at']:.2f}", f"{each['return']:.1f}", each["acted"]
        )
    console.print(table)
