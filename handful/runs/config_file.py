"""Configurations as JSON files, readable by people, and back into their dataclasses."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import types
import typing
from typing import Any, TypeVar

from handful.errors import ConfigurationError, DataError
from handful.storage import write_atomically

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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigurationError) as error:
        raise DataError(
            f"{path} cannot be read as a configuration of this version: {str(error).rstrip('.')}."
        ) from error


def from_values(config_type: type[Config], values: dict[str, Any]) -> Config:
    """A dataclass, nested ones too, from plain JSON values; entries that are missing keep their defaults."""
    hints = typing.get_type_hints(config_type)
    unknown = set(values) - set(hints)
    if unknown:
        raise ValueError(f"unknown option '{min(unknown)}'")
    converted = {}
    for name, value in values.items():
        try:
            converted[name] = _value(hints[name], value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    return config_type(**converted)


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_values(hint, value)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(next(t for t in arguments if t is not type(None)), value)
    if origin is tuple:
        return tuple(_value(arguments[0], each) for each in value)
    # JSON writes 1.0 as it pleases; True is an int to Python and not to a person.
    expected = (int, float) if hint is float else hint if isinstance(hint, type) else type(arguments[0])
    if not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool):
        raise TypeError(f"expected {getattr(hint, '__name__', hint)}, got {value!r}")
    return value
