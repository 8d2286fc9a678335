"""``handful tasks``: list the tasks, or describe one of them."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from handful.tasks.task import Task


MOST_LISTED = 8
"""Most stages of a task that the list of all tasks names one by one."""


@dataclasses.dataclass(frozen=True)
class Options:
    """List the tasks, or describe one of them: its goal, what varies, its stages and their rewards."""

    task: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")] = None
    """Name of a task; by default all are listed."""
    json: bool = False
    """Print JSON instead of text."""


def run(options: Options) -> None:
    """Print."""
    from handful.tasks.registry import TASKS, make_task

    tasks = {name: make_task(name) for name in (TASKS if options.task is None else [options.task])}
    if options.json:
        described = [{"name": name, **_described(task)} for name, task in tasks.items()]
        print(json.dumps(described if options.task is None else described[0]))
    elif options.task is None:
        _print_list(tasks)
    else:
        _print_task(options.task, tasks[options.task])


def _described(task: Task) -> dict[str, object]:
    from handful.simulation.observable import entry_names
    from handful.simulation.scene import CONTROL_TIMESTEP
    from handful.tasks.gym_registration import gymnasium_id

    return {
        "description": _summary(task),
        "horizon": task.horizon,
        "seconds": task.horizon * CONTROL_TIMESTEP,
        "stages": dict(zip(task.stages, task.stage_rewards, strict=True)),
        "score": task.score_name,
        "variants": {name: dict(arguments) for name, arguments in task.variants.items()},
        "object_features": entry_names(task.object_features),
        "object_positions": entry_names(task.object_positions),
        "gymnasium": gymnasium_id(task.name),
    }


def _summary(task: Task) -> str:
    return inspect.cleandoc(type(task).__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _print_list(tasks: dict[str, Task]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "goal", "stages")
    table.columns[0].no_wrap = True
    table.add_column("episode", justify="right")
    for name, task in tasks.items():
        stages = task.stages[1:] if len(task.stages) <= MOST_LISTED else (*task.stages[1:5], "...", task.stages[-1])
        table.add_row(name, _summary(task), ", ".join(stages), f"{_described(task)['seconds']:g} s")
    Console().print(table)
    print("handful tasks TASK describes one task; handful preview TASK draws it; handful view TASK shows it live.")


def _print_task(name: str, task: Task) -> None:
    from rich.console import Console
    from rich.table import Table

    described = _described(task)
    console = Console(highlight=False)
    length = f"{task.horizon} control steps ({described['seconds']:g} s)"
    console.print(f"{name}, {length}, {described['gymnasium']}", style="bold")
    for paragraph in inspect.cleandoc(type(task).__doc__ or "").split("\n\n"):
        console.print(re.sub(r"[*`]", "", paragraph.replace("\n", " ")), markup=False, end="\n\n")
    table = Table("stage")
    table.add_column("reward a step", justify="right")
    for stage, reward in zip(task.stages, task.stage_rewards, strict=True):
        table.add_row(stage, f"{reward:g}")
    console.print(table)
    if task.score_name is not None:
        console.print(f"Score, at the end of an episode: share of {task.score_name}.")
    if task.variants:
        console.print(f"Variants to train in: {', '.join(task.variants)}.")
