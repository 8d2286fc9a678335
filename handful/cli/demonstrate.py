"""``handful demonstrate``: record demonstrations of a task."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from typing import Annotated, Any

import tyro

from handful.errors import ConfigurationError
from handful.storage import check_file_name

NUM_DEMONSTRATIONS = 30
"""A handful (paper, section IV-A)."""
DEMONSTRATION_SUFFIXES = (".hdf5", ".h5")
"""Endings of the names of files of demonstrations."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Record demonstrations of a task by the scripted operator. Only successful episodes are kept."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    output: pathlib.Path | None = None
    """File to write, .hdf5; by default demonstrations/TASK.hdf5. Episodes are added to a file that has too few."""
    num_episodes: int = NUM_DEMONSTRATIONS
    """Successful episodes that the file holds in the end."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    arm: str = "jaco"
    """The arm: jaco or panda."""
    camera_hz: int = 5
    """Rate of the camera [Hz]: 20, 10 or 5."""
    seed: int = 0
    """Seed of the episodes and of the operator."""
    overwrite: bool = False
    """Replace an existing file."""


def run(options: Options) -> None:
    """Record, with progress."""
    if options.num_episodes < 1:
        raise ConfigurationError(f"expected at least 1 episode, got {options.num_episodes}.")
    if options.seed < 0:
        raise ConfigurationError(f"expected a seed of at least 0, got {options.seed}.")
    if options.output is not None and options.output.is_dir():
        raise ConfigurationError(f"{options.output} is a folder: expected the name of a file to write.")
    if options.output is not None:
        check_file_name(options.output, "demonstration file", DEMONSTRATION_SUFFIXES)
    output = options.output or pathlib.Path("demonstrations") / f"{options.task}.hdf5"
    settings = {name: value for name, value in vars(options).items() if name not in ("task", "output")}
    record_with_progress(options.task, output, **settings)


def record_with_progress(
    task: str, path: pathlib.Path, *, num_episodes: int = NUM_DEMONSTRATIONS, **settings: Any
) -> None:
    """Record by the task's script and show progress; the settings are those of `handful.api.record`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from handful.api import record
    from handful.demonstrations.recorder import RecordingProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    progress = Progress(*columns, console=console)
    bar = progress.add_task(f"recording {task}", total=num_episodes)
    with contextlib.ExitStack() as shown:

        def show(state: RecordingProgress) -> None:
            if not progress.live.is_started:  # not before the options and the file have been checked
                shown.enter_context(progress)
            progress.update(bar, completed=state.num_recorded)

        final = record(task, path, num_episodes=num_episodes, on_progress=show, **settings)
    kept = f"{path} holds {final.num_recorded} demonstrations"
    failed = f"{final.num_failed} episodes failed and were not kept"
    console.print(f"{kept}; {failed}.", highlight=False, soft_wrap=True)
