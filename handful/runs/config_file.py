"""Configuration files: what a run wrote as its ``config.json``, whole or in parts, to begin another run with."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from handful.errors import ConfigurationError, DataError, HandfulError
from handful.runs.folder import CONFIG_FILE, RUN_FORMAT
from handful.runs.phases import Phase, phases_of
from handful.storage import read_json

ENTRIES = ("format", "task", "demonstrations", "recipe", "config", "phases", "budget")
"""What a file may hold. Of these, ``recipe``, ``config`` and ``phases`` matter to another run."""


@dataclasses.dataclass(frozen=True)
class ConfigFile:
    """What a configuration file says."""

    recipe: str
    """Name of the recipe that the configuration began as."""
    phases: tuple[Phase, ...]
    """The phases of a run, or its only one, which lasts as long as the user says."""


def read_config_file(path: pathlib.Path) -> ConfigFile:
    """Read a configuration file, or that of the run in a folder.

    A file needs the entry ``config`` or ``phases``; what is left out of a configuration keeps its default, as
    `handful train TASK --help-all` shows it.

    Raises:
        ConfigurationError: there is no such file.
        DataError: it cannot be read as a configuration.
    """
    file = path / CONFIG_FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigurationError(
            f"no configuration file at '{file}': expected the {CONFIG_FILE} of a run, or its folder."
        )
    try:
        values: dict[str, Any] = read_json(file)
        if not isinstance(values, dict):
            raise DataError("expected an object with the entry config or phases")
        unknown = next((name for name in values if name not in ENTRIES), None)
        if unknown is not None:
            raise DataError(f"unknown entry '{unknown[:50]}'; the choices are: {', '.join(ENTRIES)}")
        if values.get("format", RUN_FORMAT) != RUN_FORMAT:
            raise DataError(
                f"it is of version {str(values['format'])[:50]}, and this program reads version {RUN_FORMAT}"
            )
        return ConfigFile(str(values.get("recipe", "custom")), phases_of(values))
    except KeyError as error:
        raise DataError(f"{file} lacks the entry {error}.") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, HandfulError) as error:
        raise DataError(f"{file} cannot be read as a configuration: {str(error).rstrip('.')[:500]}.") from error
