"""When training breaks down: keep what leads to the failure, and reproduce it."""

from __future__ import annotations

import json
import pathlib

from handful.errors import DataError, HandfulError, StorageError, TrainingError
from handful.learning.persistence.checkpoint import load_checkpoint
from handful.learning.trainer import Trainer
from handful.runs.folder import CHECKPOINT_FILE
from handful.storage import read_json, write_atomically

ERROR_NAME = "error.json"
"""What went wrong, and in which iteration."""

MAX_ITERATIONS = 100_000
"""Iterations after a checkpoint within which a failure must have come: one is kept every 30 s."""


def write_failure(
    folder: pathlib.Path | str, *, checkpoint: pathlib.Path, trainer: Trainer, error: TrainingError
) -> None:
    """Keep, in a new folder, the last good checkpoint, from which the run leads to the error again, and the error.

    Save a checkpoint before the first iteration, so that there is one. It is copied, as the run may be resumed from it and
    replace it.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = checkpoint.read_bytes()
    except OSError as cause:
        raise StorageError(
            f"the failure could not be kept in {folder}: {cause.strerror} ({cause.filename})."
        ) from cause
    write_atomically(folder / CHECKPOINT_FILE, content)
    description = {"failed_iteration": trainer.iteration + 1, "message": str(error)}
    write_atomically(folder / ERROR_NAME, json.dumps(description, indent=2).encode())


def reproduce_failure(folder: pathlib.Path | str, trainer: Trainer) -> TrainingError | None:
    """Run a new trainer of the same run from the checkpoint that `write_failure` kept to where training broke down.

    Returns the error, or None if it did not come again. The trainer is left at the error, to be looked at.

    Raises:
        DataError: the folder holds no failure.
    """
    folder = pathlib.Path(folder)
    try:
        failed_iteration = int(read_json(folder / ERROR_NAME)["failed_iteration"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, HandfulError) as error:
        raise DataError(f"{folder} holds no failure: {ERROR_NAME} cannot be read.") from error
    trainer.load_state_dict(load_checkpoint(folder / CHECKPOINT_FILE))
    if failed_iteration > trainer.iteration + MAX_ITERATIONS:
        raise DataError(f"{folder / ERROR_NAME} names the iteration {failed_iteration}, far after its checkpoint.")
    try:
        while trainer.iteration < failed_iteration:
            trainer.iterate()
    except TrainingError as error:
        return error
    return None
