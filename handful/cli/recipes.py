"""``handful recipes``: list the recipes, or say what one of them sets."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from handful.config import options_of
from handful.runs.config import RunConfig
from handful.runs.recipes import DEFAULT_RECIPE, RECIPES, find_recipe


@dataclasses.dataclass(frozen=True)
class Options:
    """List the recipes of `handful train`, or the values that one of them sets."""

    recipe: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")] = None
    """Name of a recipe, to see its values."""
    task: str = "block-lifting"
    """Task whose values are shown."""


def run(options: Options) -> None:
    """Print a line for each recipe, or a line for each value that a recipe sets."""
    if options.recipe is None:
        width = max(map(len, RECIPES))
        for recipe in RECIPES.values():
            note = " (default)" if recipe.name == DEFAULT_RECIPE else ""
            print(f"{recipe.name:<{width}}  {recipe.summary}{note}")
        return
    from handful.tasks.registry import make_task

    make_task(options.task)
    recipe = find_recipe(options.recipe)
    print(f"{recipe.name}: {recipe.summary}")
    phases = recipe.phases(options.task)
    for phase in phases:
        if len(phases) > 1:
            print(f"{phase.name}: {phase.num_steps:,} control steps, about {phase.minutes:g} minutes on two cores")
        _print_values(phase.config)


def _print_values(config: RunConfig) -> None:
    """A line for each value that is not the default."""
    defaults = dict(options_of(RunConfig(), inline=("trainer",)))
    values = dict(options_of(config, inline=("trainer",)))
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    for name, value in changed.items():
        print(f"  --{name} {_words(value)}    (otherwise {_words(defaults[name])})")
    if not changed:
        print("  every option has the default that `handful train --help` shows")


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
