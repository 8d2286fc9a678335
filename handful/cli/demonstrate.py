"""``handful demonstrate``: record demonstrations of a task."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from typing import Annotated, Any

import tyro

from handful.errors import ConfigurationError
from handful.simulation.arms import DEFAULT_ARM
from handful.storage import check_file_name

NUM_DEMONSTRATIONS = 30
"""A handful (paper, section IV-A)."""
DEMONSTRATION_SUFFIXES = (".hdf5", ".h5")
"""Endings of the names of files of demonstrations."""

SCRIPTED = "scripted"
"""The operator that is a script."""

BY_HAND = ("keep-automatically", "policy", "max-seconds", "speed", "host", "port")
"""Options that mean something only with another operator."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Record demonstrations of a task by a script, or by hand. Only successful episodes are kept.

    With --operator browser, keyboard, gamepad, spacemouse or a device that another package adds, a page in the browser shows
    the arm in real time, and you steer. With --policy, a policy acts until you take over.
    """

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    output: pathlib.Path | None = None
    """File to write, .hdf5; by default demonstrations/TASK.hdf5. Episodes are added to a file that has too few."""
    operator: str = SCRIPTED
    """Who demonstrates: scripted, browser, keyboard, gamepad, spacemouse, or a device of another package."""
    num_episodes: int = NUM_DEMONSTRATIONS
    """Successful episodes that the file holds in the end."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    arm: str = DEFAULT_ARM
    """The arm: jaco or panda."""
    camera_hz: int | None = None
    """Rate of the camera [Hz]: 20, 10 or 5; by default 5, or that of the policy."""
    seed: int = 0
    """Seed of the episodes and of the script."""
    overwrite: bool = False
    """Replace an existing file."""
    keep_automatically: bool = False
    """By hand: keep an episode by itself once it has been solved for a second."""
    policy: str | None = None
    """By hand: who acts until you take over, a policy file, the folder of a run, or scripted; by default nobody."""
    max_seconds: float = 30.0
    """By hand: longest episode [s]."""
    speed: float = 1.0
    """By hand: scale of the speeds at first, from 0.25 to 2."""
    host: str = "127.0.0.1"
    """By hand: address of the page. Any other than this machine's lets other machines steer, if they have its address with
    the token in it."""
    port: int = 8080
    """By hand: port of the page; if it is taken, the next free one."""
    given: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """Options that the user gave."""


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
    if options.operator != SCRIPTED:
        if options.arm != DEFAULT_ARM:
            raise ConfigurationError(
                f"only the {DEFAULT_ARM} is demonstrated by hand, not the {options.arm}: leave out --arm."
            )
        _record_by_hand(options, output)
        return
    for name in BY_HAND:
        if name in options.given:
            raise ConfigurationError(f"--{name} is for demonstrating by hand: add --operator browser, or leave it out.")
    names = ("num_episodes", "randomization", "seed", "overwrite", "arm")
    settings = {name: getattr(options, name) for name in names}
    record_with_progress(options.task, output, camera_hz=options.camera_hz or 5, **settings)


def _record_by_hand(options: Options, output: pathlib.Path) -> None:
    """Serve the page until all episodes are kept, or Ctrl-C."""
    from handful.runs.interruption import Interruption
    from handful.viewing.operating.serving import Recording, operate

    fields = {field.name for field in dataclasses.fields(Recording)} - {"output"}
    recording = Recording(output=output, **{name: getattr(options, name) for name in fields})
    with Interruption() as interruption:
        status = operate(
            recording,
            on_ready=lambda url: print(f"Demonstrate {options.task} at {url} (Ctrl-C ends).", flush=True),
            on_warning=lambda sentence: print(sentence, file=sys.stderr, flush=True),
            stopped=lambda: interruption.requested,
        )
    again = "" if status.kept >= status.wanted else " The same command goes on."
    print(f"{output} holds {status.kept} of {status.wanted} demonstrations; {status.discarded} were discarded.{again}")


def record_with_progress(
    task: str, path: pathlib.Path, *, num_episodes: int = NUM_DEMONSTRATIONS, **settings: Any
) -> None:
    """Record by the task's script and show progress; the settings are those of `handful.api.record`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from handful.api import record
    from handful.demonstrations.recorder import RecordingProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
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
    console.print(f"{kept}; {failed}.", soft_wrap=True)
