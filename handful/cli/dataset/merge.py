"""``handful dataset merge``: put several files of demonstrations together."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Write the episodes of several files, recorded alike, to one; an episode that is there twice is kept once."""

    paths: Annotated[tuple[pathlib.Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Files to merge, at least two."""
    output: pathlib.Path
    """File to write."""
    overwrite: bool = False
    """Replace an existing file."""


def run(options: Options) -> None:
    """Merge."""
    from handful.demonstrations.files.merging import merge

    count, twice = merge(options.output, options.paths, overwrite=options.overwrite)
    note = f"; {twice} that were there twice are kept once" if twice else ""
    print(f"{options.output} holds {count} episodes{note}.")
