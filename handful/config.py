"""Configurations: frozen dataclasses that check their own fields, and that are written to and read from JSON.

A field says what it may hold by its type, such as `Fraction` or ``Annotated[int, Meta(ge=2)]``. `msgspec` checks types and
bounds, both when a configuration is made in Python and when it is read from a file.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from handful.errors import ConfigurationError, DataError

MAY_BE_INFINITE = "may be infinite"
"""Mark of a number that infinity switches off."""

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Bound = Annotated[float, Meta(gt=0), MAY_BE_INFINITE]
Count = Annotated[int, Meta(ge=1, le=10**7)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**53)]


class Config:
    """Base of all configurations, which are frozen dataclasses."""

    def __post_init__(self) -> None:
        """Check every field: a `ConfigurationError` names one that has another type or lies outside of its bounds."""
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            problem = _problem(hint, value)
            if problem is not None:
                raise ConfigurationError(f"{name} {problem}, got {value}.")


ConfigType = TypeVar("ConfigType", bound=Config)


def from_json(config_type: type[ConfigType], values: Any) -> ConfigType:
    """A configuration from plain JSON values; entries that are missing keep their defaults.

    Raises:
        DataError: an entry is unknown, or has another type or value than the field may hold.
    """
    try:
        unknown = next(_unknown_entries(config_type, values, ""), None)
        if unknown is not None:
            raise DataError(f"unknown option '{unknown}'")
        return msgspec.convert(values, config_type)
    except (msgspec.ValidationError, ConfigurationError) as error:
        raise DataError(str(error).rstrip(".").replace("`", "")) from error


def to_json(config: Config) -> dict[str, Any]:
    """Plain JSON values; `from_json` makes the same configuration of them."""
    return msgspec.to_builtins(config)


def options_of(config: Config, *, inline: tuple[str, ...] = (), prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names, as the command line spells them without ``--``, and values of all fields, nested ones too.

    The fields of a field in ``inline`` are named without it; ``prefix`` stands before every name.
    """
    for field in dataclasses.fields(typing.cast(Any, config)):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if isinstance(value, Config):
            yield from options_of(value, inline=inline, prefix=prefix if field.name in inline else f"{prefix}{name}.")
        else:
            yield prefix + name, value


def with_options(config: ConfigType, options: Mapping[str, Any], *, inline: tuple[str, ...] = ()) -> ConfigType:
    """A configuration with other values of some fields, which are named as `options_of` names them.

    All are changed at once, so that only the outcome is checked, and not what lies between.
    """
    return _with_options(config, {tuple(name.replace("-", "_").split(".")): options[name] for name in options}, inline)


def _with_options(config: Any, options: Mapping[tuple[str, ...], Any], inline: tuple[str, ...]) -> Any:
    names = {field.name for field in dataclasses.fields(config)}
    changes: dict[str, Any] = {}
    nested: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value in options.items():
        if path[0] not in names:
            path = (next(name for name in inline if name in names), *path)
        if len(path) == 1:
            changes[path[0]] = value
        else:
            nested.setdefault(path[0], {})[path[1:]] = value
    changes |= {name: _with_options(getattr(config, name), inner, inline) for name, inner in nested.items()}
    return dataclasses.replace(config, **changes)


@functools.cache
def _hints(config_type: type) -> dict[str, Any]:
    return typing.get_type_hints(config_type, include_extras=True)


def _problem(hint: Any, value: Any) -> str | None:
    """What is wrong with a field's value, after the words "NAME must"; None if nothing is."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _problem(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple and isinstance(value, tuple):
        return next((problem for each in value if (problem := _problem(arguments[0], each))), None)
    if isinstance(hint, type) and issubclass(hint, Config):
        return None if isinstance(value, hint) else f"must be a {hint.__name__}"
    infinite = isinstance(value, float) and not math.isfinite(value)
    if infinite and (math.isnan(value) or value < 0 or MAY_BE_INFINITE not in arguments):
        return "must be a finite number"
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        bounds = next((each for each in arguments if isinstance(each, Meta)), None)
        if bounds is not None and isinstance(value, int | float) and "got" not in str(error):
            return _words(bounds, value)
        if origin is typing.Literal:
            return f"must be one of {', '.join(map(str, arguments))}"
        return f"must be of the type {getattr(hint, '__name__', hint)}"
    return None


def _words(bounds: Meta, value: float) -> str:
    if bounds.gt is not None:
        return f"must be above {bounds.gt}"
    if bounds.le is not None and bounds.le <= 1:
        return f"must lie in [{bounds.ge}, {bounds.le}]"
    if bounds.le is not None and value > bounds.le:
        return f"must be at most {bounds.le}"
    return f"must be at least {bounds.ge}"


def _unknown_entries(hint: Any, values: Any, path: str) -> Iterator[str]:
    """Entries that are no fields, at any depth."""
    hint = next((each for each in typing.get_args(hint) if _is_config(each)), hint)
    if not _is_config(hint) or not isinstance(values, dict):
        return
    hints = _hints(hint)
    for name, value in values.items():
        if name not in hints:
            yield f"{path}{name}"
        else:
            yield from _unknown_entries(hints[name], value, f"{path}{name}.")


def _is_config(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Config)
