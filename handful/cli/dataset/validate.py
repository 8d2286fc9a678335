"""``handful dataset validate``: check everything in files of demonstrations."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import DataError


@dataclasses.dataclass(frozen=True)
class Options:
    """Check everything in files of demonstrations: every field, every checksum, and the stages of all states."""

    paths: Annotated[tuple[pathlib.Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Files of demonstrations."""


def run(options: Options) -> None:
    """Print what is wrong, one sentence each; the first is also the error with which the command ends."""
    from handful.demonstrations.files.validation import problems_in

    if not options.paths:
        raise DataError("expected at least one file to validate.")
    found: list[str] = []
    for path in options.paths:
        problems = problems_in(path)
        found += problems
        if not problems:
            print(f"{path} is sound.", flush=True)
    for problem in found[1:]:
        print(problem)
    if found:
        more = f" ({len(found) - 1} more above.)" if len(found) > 1 else ""
        raise DataError(f"{found[0]}{more}")
