"""``handful dataset view``: step through recorded episodes in the browser."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Step through recorded episodes in the browser: pictures, stages, actions, and who acted."""

    path: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of demonstrations."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's lets other machines see the page, if they have its address with
    the token in it."""
    port: int = 8080
    """Port to listen on; if it is taken, the next free one."""


def run(options: Options) -> None:
    """Serve the page until interrupted."""
    from handful.runs.interruption import Interruption
    from handful.viewing.episodes.serving import show_episodes

    with Interruption() as interruption:
        show_episodes(
            options.path,
            host=options.host,
            port=options.port,
            on_ready=lambda url: print(f"Look at {options.path} at {url} (Ctrl-C ends).", flush=True),
            on_warning=lambda sentence: print(sentence, file=sys.stderr, flush=True),
            stopped=lambda: interruption.requested,
        )
    print()
