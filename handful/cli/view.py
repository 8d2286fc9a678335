"""``handful view``: watch a task live in the browser."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Watch a task live in the browser: the scene, what the policy sees, stage and reward, and who acts."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    policy: str | None = None
    """Who acts first: a policy file, the folder of a run, or zero, random or scripted; by default the policy that ships
    with handful, or the script where none ships."""
    force: bool = False
    """Take a policy that was trained on another task, if its observations fit."""
    arm: str | None = None
    """The arm: jaco or panda; by default that which the policy was trained with."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    seed: int = 0
    """Seed of the first episode; later ones count up."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's lets other machines see and steer the page,
    if they have its address with the token in it."""
    port: int = 8080
    """Port to listen on; if it is taken, the next free one."""


def run(options: Options) -> None:
    """Serve the page until interrupted."""
    from handful.viewing.serving import serve

    serve(
        **vars(options),
        on_ready=lambda url: print(f"Watch {options.task} at {url} (Ctrl-C ends).", flush=True),
        on_warning=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )
    print()
