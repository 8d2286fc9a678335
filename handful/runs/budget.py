"""The budget of a run, kept in its folder, so that a run is resumed with the budget that it had."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Annotated

import msgspec

from handful.errors import DataError, HandfulError
from handful.storage import read_json, write_atomically

BUDGET_FILE = "budget.json"


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long a run is trained, counted since it began; None is no bound."""

    minutes: Annotated[float, msgspec.Meta(gt=0, lt=1e9)] | None = None
    """Training time [min]."""
    num_steps: Annotated[int, msgspec.Meta(gt=0, lt=10**15)] | None = None
    """Control steps."""

    @property
    def is_given(self) -> bool:
        """Whether there is any bound."""
        return self.minutes is not None or self.num_steps is not None

    @property
    def words(self) -> str:
        """The options of the command line that give it, each after a space."""
        minutes = "" if self.minutes is None else f" --minutes {self.minutes:g}"
        return minutes if self.num_steps is None else f"{minutes} --num-steps {self.num_steps}"


def write_budget(folder: pathlib.Path, budget: Budget) -> None:
    """Keep the budget of the run in a folder; a `StorageError` says that the disk refused."""
    write_atomically(folder / BUDGET_FILE, (json.dumps(dataclasses.asdict(budget)) + "\n").encode())


def read_budget(folder: pathlib.Path) -> Budget:
    """The budget with which the run in a folder was begun or last resumed; no bounds where none is kept.

    Raises:
        DataError: the file is none of ours.
    """
    path = folder / BUDGET_FILE
    try:
        values = read_json(path)
        budget = msgspec.convert(values, Budget)
    except FileNotFoundError:
        return Budget()
    except (HandfulError, msgspec.ValidationError) as error:
        raise _unreadable(path) from error
    if values.keys() != {field.name for field in dataclasses.fields(Budget)}:
        raise _unreadable(path)
    return budget


def _unreadable(path: pathlib.Path) -> DataError:
    return DataError(f"{path} cannot be read as a run's budget: expected minutes and num_steps.")
