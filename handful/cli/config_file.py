"""Configurations as JSON files, readable by people, and back into their dataclasses."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import types
import typing
from typing import Any, TypeVar

from handful.errors import DataError
from handful.learning.checkpoint import write_atomically

Config = TypeVar("Config")


def write_config(path: pathlib.Path, header: dict[str, Any], config: Any) -> None:
    """Write a header's entries and, under ``config``, a dataclass.

    Raises:
        StorageError: the disk refused.
    """
    text = json.dumps({**header, "config": dataclasses.asdict(config)}, indent=2)
    write_atomically(path, (text + "\n").encode())


def read_config(path: pathlib.Path, config_type: type[Config]) -> tuple[dict[str, Any], Config]:
    """Read what `write_config` wrote: header and configuration.

    Raises:
        DataError: the file is damaged, or of a version with other options.
    """
    try:
        header = json.loads(path.read_text())
        config = header.pop("config")
        return header, from_values(config_type, config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a configuration of this version: {error}.") from error


def from_values(config_type: type[Config], values: dict[str, Any]) -> Config:
    """A dataclass, nested ones too, from plain JSON values; entries that are missing keep their defaults."""
    hints = typing.get_type_hints(config_type)
    unknown = set(values) - set(hints)
    if unknown:
        raise ValueError(f"unknown option '{min(unknown)}'")
    return config_type(**{name: _value(hints[name], value) for name, value in values.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_values(hint, value)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return value if value is None else _value(next(t for t in typing.get_args(hint) if t is not type(None)), value)
    return tuple(value) if origin is tuple else value
