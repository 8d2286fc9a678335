"""``handful dataset split``: divide a file into episodes to learn from and to test on."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Options:
    """Divide a file into episodes to learn from and episodes to test on, drawn at random.

    They are written to FILE with .train and .valid before its ending; with --masks the file itself says by its masks which
    are which, as robomimic's tools expect it.
    """

    path: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File of demonstrations."""
    valid: float = 0.1
    """Share of the episodes to test on; at least one, and never all."""
    seed: int = 0
    """Seed of the draw."""
    masks: bool = False
    """Write no new files: set the masks train and valid in the file."""
    train_output: pathlib.Path | None = None
    """File of the episodes to learn from, if it is to have another name."""
    valid_output: pathlib.Path | None = None
    """File of the episodes to test on, if it is to have another name."""
    overwrite: bool = False
    """Replace existing files."""


def run(options: Options) -> None:
    """Split."""
    from handful.demonstrations.files.merging import mark_valid, split

    if options.seed < 0:
        raise ConfigurationError(f"expected a seed of at least 0, got {options.seed}.")
    path = options.path
    if options.masks:
        train, valid = mark_valid(path, share=options.valid, seed=options.seed)
        print(f"{path}: mask/train has {len(train)} episodes, mask/valid has {len(valid)}: {', '.join(valid)}.")
        return
    outputs = (
        options.train_output or path.with_name(f"{path.stem}.train{path.suffix}"),
        options.valid_output or path.with_name(f"{path.stem}.valid{path.suffix}"),
    )
    train, valid = split(path, *outputs, share=options.valid, seed=options.seed, overwrite=options.overwrite)
    print(f"{outputs[0]} holds {len(train)} episodes, {outputs[1]} holds {len(valid)}: {', '.join(valid)}.")
