"""What a run appends to while it trains: metrics of iterations, and episodes."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import importlib.util
import io
import json
import pathlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from handful.environment import EpisodeSummary
from handful.errors import ConfigurationError, DataError, StorageError
from handful.runs.folder import CONFIG_FILE, EPISODES_FILE, METRICS_FILE
from handful.storage import read_text, reason, write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MAX_LOG_BYTES = 2**28
"""A longer log is refused; a row of metrics has 400 bytes."""

EPISODE_COLUMNS = (
    "iteration",
    "steps",
    "demonstration",
    "start_step",
    "length",
    "highest_stage",
    "final_stage",
    "held",
    "success",
    "diverged",
    "task_return",
)
"""Columns of ``episodes.csv``; the fields of `handful.environment.EpisodeSummary` after when the episode ended. A random
start has -1 as ``demonstration`` and ``start_step``."""


class CsvLog:
    """Rows appended to a CSV file, each on disk at once; its first column is ``iteration``."""

    def __init__(self, path: pathlib.Path, columns: tuple[str, ...], *, resume_after: int | None) -> None:
        """Open the file, anew or without the rows after ``resume_after``, the iteration from which the run is resumed.

        Raises:
            StorageError: the disk refused.
            DataError: the file has other columns.
        """
        self._path = path
        self.rows = [] if resume_after is None else _rows_until(path, columns, resume_after)
        """Rows that were kept."""
        lines = [",".join(columns), *(",".join(row[name] for name in columns) for row in self.rows)]
        write_atomically(path, "".join(f"{line}\r\n" for line in lines).encode())
        try:
            self._file = open(path, "a", newline="")  # noqa: SIM115 (closed in close)
        except OSError as error:
            raise StorageError(f"{path} could not be written: {reason(error)}.") from error
        self._csv = csv.DictWriter(self._file, columns, restval="", extrasaction="ignore")

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows; absent columns stay empty.

        Raises:
            StorageError: the disk refused.
        """
        try:
            self._csv.writerows(rows)
            self._file.flush()
        except OSError as error:
            raise StorageError(f"{self._path} could not be written: {reason(error)}.") from error

    def close(self) -> None:
        """Close the file."""
        # What could not be written was reported by ``write``; the same again would hide it.
        with contextlib.suppress(OSError):
            self._file.close()


class MetricsWriter:
    """Appends metrics to ``metrics.csv`` and to TensorBoard files in a run's folder."""

    def __init__(
        self,
        folder: pathlib.Path | str,
        names: tuple[str, ...],
        *,
        resume_after: int | None = None,
        tensorboard: bool = True,
        wandb: bool = False,
    ) -> None:
        """Open the files; the columns are those of `handful.learning.metrics.metric_names`. See `CsvLog`.

        ``wandb`` sends the metrics to Weights & Biases too, which the user's own settings of it address.

        Raises:
            ConfigurationError: ``wandb`` is wanted and not installed.
        """
        self._names = names
        self._log = CsvLog(pathlib.Path(folder) / METRICS_FILE, names, resume_after=resume_after)
        rows = self._log.rows
        self._tensorboard: SummaryWriter | None = None
        if tensorboard:
            # Imported here: it takes a second, and evaluation and deployment do without.
            from torch.utils.tensorboard import SummaryWriter

            purge_step = None if resume_after is None else int(float(rows[-1]["steps"])) + 1 if rows else 0
            threading.excepthook = _without_tensorboards(threading.excepthook)
            self._tensorboard = SummaryWriter(str(folder), purge_step=purge_step)
        self._wandb: Any = begin_wandb(pathlib.Path(folder)) if wandb else None

    def write(self, metrics: Mapping[str, float]) -> None:
        """Append one iteration's metrics; absent ones stay empty."""
        self._log.write([metrics])
        try:
            if self._tensorboard is not None:
                for name in self._names:
                    if name in metrics and name != "steps":
                        self._tensorboard.add_scalar(name, metrics[name], int(metrics["steps"]))
        except OSError as error:
            raise StorageError(f"TensorBoard's file could not be written: {reason(error)}.") from error
        if self._wandb is not None:
            self._wandb.log(
                {name: metrics[name] for name in self._names if name in metrics}, step=int(metrics["steps"])
            )

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        if self._wandb is not None:
            self._wandb.finish()
        with contextlib.suppress(OSError):
            if self._tensorboard is not None:
                self._tensorboard.close()


_Hook = Callable[[threading.ExceptHookArgs], object]


def _without_tensorboards(hook: _Hook) -> _Hook:
    """A hook that leaves out the traceback of TensorBoard's thread where the disk refuses; `MetricsWriter.write` says it."""
    if getattr(hook, "leaves_out_tensorboards", False):
        return hook

    def quieter(arguments: threading.ExceptHookArgs) -> None:
        is_writer = type(arguments.thread).__module__.startswith("tensorboard")
        if not (is_writer and isinstance(arguments.exc_value, OSError)):
            hook(arguments)

    quieter.leaves_out_tensorboards = True  # pyright: ignore[reportFunctionMemberAccess]
    return quieter


def check_wandb() -> None:
    """Refuse to log to Weights & Biases where its package is missing, by a `ConfigurationError`."""
    if importlib.util.find_spec("wandb") is None:
        raise ConfigurationError("--wandb needs the package wandb, which is not installed: pip install wandb")


def begin_wandb(folder: pathlib.Path) -> Any:
    """A run of Weights & Biases for the run in a folder, with its configuration; resumed where there is one already."""
    check_wandb()
    # By name, for the types are checked where the package is not installed.
    wandb = importlib.import_module("wandb")
    path = folder.absolute()
    name = f"{path.parent.name}-{path.name}"
    identity = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    values = json.loads((folder / CONFIG_FILE).read_text())
    return wandb.init(
        project="handful",
        name=name,
        id=identity,
        resume="allow",
        config=values,
        dir=str(folder),
        settings={"silent": True},
    )


class EpisodeWriter(CsvLog):
    """Appends episodes to ``episodes.csv``: where each began and how it ended, from which the curriculum can be drawn."""

    def __init__(self, folder: pathlib.Path, *, resume_after: int | None) -> None:
        super().__init__(folder / EPISODES_FILE, EPISODE_COLUMNS, resume_after=resume_after)

    def write_episodes(self, episodes: Iterable[EpisodeSummary], *, iteration: int, steps: int) -> None:
        """Append the episodes that ended in an iteration."""
        rows = [dataclasses.asdict(episode) for episode in episodes]
        flags = [{name: int(value) for name, value in row.items() if isinstance(value, bool)} for row in rows]
        moment = {"iteration": iteration, "steps": steps}
        self.write({**row, **flag, **moment} for row, flag in zip(rows, flags, strict=True))


def _rows_until(path: pathlib.Path, columns: tuple[str, ...], iteration: int) -> list[dict[str, str]]:
    """Rows of a log up to an iteration; a kill may have cut the last one short."""
    try:
        text = read_text(path, max_bytes=MAX_LOG_BYTES)
    except FileNotFoundError:
        return []
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if tuple(reader.fieldnames or ()) != columns:
            raise DataError(f"{path} has other columns than this version of the program writes.")
        rows = [row for row in reader if None not in row.values() and None not in row]
        kept = [row for row in rows if float(row["iteration"]) <= iteration]
        for row in kept:
            int(float(row["steps"]))
    except (csv.Error, ValueError, OverflowError) as error:
        raise DataError(f"{path} is damaged: {str(error)[:100]}.") from error
    return kept
