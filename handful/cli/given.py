"""Options that the user gave, put on top of a configuration that differs from task to task or from phase to phase."""

from __future__ import annotations

from collections.abc import Iterable

from handful.config import options_of, with_options
from handful.runs.config import RunConfig


def with_given(config: RunConfig, parsed: RunConfig, given: Iterable[str]) -> RunConfig:
    """A configuration with the values in ``parsed`` of the options whose names the user gave."""
    values = dict(options_of(parsed, inline=("trainer",)))
    names = {positive(name) for name in given}
    return with_options(config, {name: values[name] for name in names if name in values}, inline=("trainer",))


def positive(name: str) -> str:
    """The name of a flag, for that which switches it off."""
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}{last.removeprefix('no-')}"
