"""When training breaks down: keep what leads to the failure, and reproduce it."""

from __future__ import annotations

import json
import pathlib

from handful.errors import DataError, StorageError, TrainingError
from handful.learning.persistence.checkpoint import load_checkpoint
from handful.learning.trainer import Trainer
from handful.storage import write_atomically

CHECKPOINT_NAME = "checkpoint.safetensors"
"""The last good checkpoint in the folder of a failure."""
ERROR_NAME = "error.json"
"""What went wrong, and in which iteration."""


def write_failure(
    folder: pathlib.Path | str, *, checkpoint: pathlib.Path, trainer: Trainer, error: TrainingError
) -> None:
    """Keep the last good checkpoint, from which the run leads to the error again, and the error.

    Args:
        folder: Folder to make and write to.
        checkpoint: Last checkpoint of the run, so save one before the first iteration. It is copied, as the run may be
            resumed from it and replace it.
        trainer: The trainer that broke down.
        error: Its error.

    Raises:
        StorageError: the disk refused.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = checkpoint.read_bytes()
    except OSError as cause:
        raise StorageError(
            f"the failure could not be kept in {folder}: {cause.strerror} ({cause.filename})."
        ) from cause
    write_atomically(folder / CHECKPOINT_NAME, content)
    description = {"failed_iteration": trainer.iteration + 1, "message": str(error)}
    write_atomically(folder / ERROR_NAME, json.dumps(description, indent=2).encode())


def reproduce_failure(folder: pathlib.Path | str, trainer: Trainer) -> TrainingError | None:
    """Run from a kept checkpoint to where training broke down.

    Args:
        folder: What `write_failure` wrote.
        trainer: A new trainer with the configuration, demonstrations and environment of the run.

    Returns:
        The error, or None if it did not come again. The trainer is left at the error, to be looked at.

    Raises:
        DataError: the folder holds no failure.
    """
    folder = pathlib.Path(folder)
    try:
        failed_iteration = int(json.loads((folder / ERROR_NAME).read_text())["failed_iteration"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no failure: {ERROR_NAME} cannot be read.") from error
    trainer.load_state_dict(load_checkpoint(folder / CHECKPOINT_NAME))
    try:
        while trainer.iteration < failed_iteration:
            trainer.iterate()
    except TrainingError as error:
        return error
    return None
