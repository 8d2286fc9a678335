"""``handful dataset convert``: write a LeRobotDataset v3, or read HDF5 in robomimic's layout."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Options:
    """Write a LeRobotDataset v3 from a file of demonstrations, or read HDF5 in robomimic's layout.

    If OUTPUT ends in .hdf5, a file of this version is written: from one that robomimic or an older handful wrote, with
    observations, stages and rewards computed and images drawn anew from its states. Else OUTPUT is the folder of a
    LeRobotDataset v3.
    """

    path: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """File to read."""
    output: Annotated[pathlib.Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUTPUT")]
    """File in .hdf5, or new folder, to write."""
    task: str | None = None
    """Task whose states the file holds, if the file does not say it."""
    camera_hz: int | None = None
    """Rate at which images are drawn anew [Hz], 20, 10 or 5; by default that of the file, or 5."""
    pixels: bool = True
    """Whether a LeRobotDataset gets images."""
    instruction: str | None = None
    """The task in words for a LeRobotDataset; by default what 'handful tasks' says of it."""
    overwrite: bool = False
    """Replace an existing file."""


def run(options: Options) -> None:
    """Convert."""
    if options.output.suffix in (".hdf5", ".h5"):
        _to_hdf5(options)
    else:
        _to_lerobot(options)


def _to_hdf5(options: Options) -> None:
    import contextlib

    from handful.demonstrations.files.merging import check_free, write_file
    from handful.demonstrations.files.robomimic import RobomimicReader

    check_free(options.output, overwrite=options.overwrite)
    if options.output.exists() and options.output.resolve() == options.path.resolve():
        raise ConfigurationError(f"expected another file to write than {options.path} itself.")
    reader = RobomimicReader(options.path, task=options.task, camera_hz=options.camera_hz)
    with contextlib.closing(reader):
        count = write_file(options.output, reader.attributes, reader.episodes())
    print(
        f"{options.output} holds {count} episodes of {reader.source.task}, with images at {reader.source.camera_hz} Hz."
    )


def _to_lerobot(options: Options) -> None:
    import inspect

    from handful.demonstrations.files.lerobot import write_lerobot
    from handful.demonstrations.files.reading import opened
    from handful.tasks.registry import make_task

    for name, value in (("--task", options.task), ("--camera-hz", options.camera_hz)):
        if value is not None:
            raise ConfigurationError(f"{name} is for reading other files: convert to a file in .hdf5 first.")
    with opened(options.path) as file:
        summary = inspect.cleandoc(type(make_task(file.spec.task)).__doc__ or file.spec.task)
        count = write_lerobot(
            options.output,
            file.spec,
            (trajectory for _, trajectory in file.episodes(pixels=options.pixels)),
            instruction=options.instruction or summary.partition("\n\n")[0].replace("\n", " "),
            pixels=options.pixels,
        )
    print(f"{options.output} is a LeRobotDataset v3 with {count} episodes.")
