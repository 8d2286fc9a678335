"""``handful preview``: a picture of a task's random starts as the policy sees them, and of one scripted episode."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import ConfigurationError
from handful.simulation.arms import DEFAULT_ARM
from handful.storage import check_file_name, written_when_complete

PICTURE_SUFFIXES = (".png", ".jpg", ".webp")
"""By which the format is chosen."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Draw random starts of a task as the policy sees them, and the course of one scripted episode."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    output: pathlib.Path | None = None
    """Picture to write, .png, .jpg or .webp; by default TASK.png."""
    num_starts: int = 40
    """Number of random starts."""
    randomization: str = "full"
    """How much varies from start to start: none, task or full."""
    arm: str = DEFAULT_ARM
    """The arm: jaco or panda."""
    seed: int = 0
    """Seed of the starts and of the episode."""
    image_size: int = 64
    """Height and width of the policy's image [px]."""
    renderer: str | None = None
    """How images are drawn: rasterizer, raycaster or raycaster-shadows; by default the fastest."""


def run(options: Options) -> None:
    """Draw and write."""
    output = options.output or pathlib.Path(f"{options.task}.png")
    for name, value, least in (
        ("--num-starts", options.num_starts, 1),
        ("--image-size", options.image_size, 8),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise ConfigurationError(f"expected {name} of at least {least}, got {value}.")
    check_file_name(output, "picture", PICTURE_SUFFIXES)

    from PIL import Image

    from handful.viewing.preview import draw_preview

    picture = draw_preview(**{name: value for name, value in vars(options).items() if name != "output"})
    with written_when_complete(output) as temporary:
        Image.fromarray(picture).save(temporary)
    print(f"Wrote {output}.")
