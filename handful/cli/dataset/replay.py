"""``handful dataset replay``: run recorded episodes again, to the bit."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import DataError


@dataclasses.dataclass(frozen=True)
class Options:
    """Run recorded episodes again and compare every state, to the bit.

    Episodes without actions are replayed state by state, and their stages are compared.
    """

    path: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of demonstrations."""
    video: pathlib.Path | None = None
    """Also write a video of all episodes, one after the other, to this file in .mp4."""


def run(options: Options) -> None:
    """Replay, with a line for each episode."""
    from handful.demonstrations.files.replaying import replay_file
    from handful.viewing.replay_film import ReplayFilm

    with contextlib.ExitStack() as stack:
        film = None if options.video is None else stack.enter_context(ReplayFilm(options.video))
        failed = 0
        for replay in replay_file(options.path, on_state=None if film is None else film.add):
            how = "by its actions" if replay.by_actions else "state by state"
            what = "states" if replay.by_actions else "stages"
            if replay.first_different is None:
                print(f"{replay.name}: {replay.num_steps} steps {how}, all {what} the same to the bit", flush=True)
                continue
            failed += 1
            by = f", by up to {replay.largest:.3g}" if replay.by_actions else ""
            print(
                f"{replay.name}: {replay.num_different} of {replay.num_steps + 1} {what} differ, the first at step "
                f"{replay.first_different}{by}",
                flush=True,
            )
    if options.video is not None:
        print(f"The video is {options.video}.")
    if failed:
        raise DataError(
            f"{failed} episodes of {options.path} do not replay: they were changed, or recorded where the physics computes "
            "other bits."
        )
