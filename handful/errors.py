"""Errors that a user can act on.

Every message says, in one sentence, what was expected, what came, and what the choices are. The command line prints the
message alone, without a traceback.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable
from typing import Any


class HandfulError(Exception):
    """Base of all errors that are the fault of an input, a file or a device, and not of the program.

    Its text may repeat what a stranger's file says, so what would steer a terminal is shown as an escape.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


class ConfigurationError(HandfulError):
    """An option, a name or a combination of them that cannot be."""


class DataError(HandfulError):
    """A file that does not hold what it should: a demonstration, a policy, a checkpoint."""


class StorageError(HandfulError):
    """The disk refused: full, read-only, or no such folder."""


class TrainingError(HandfulError):
    """Training cannot continue: a loss, a parameter or an observation is not a finite number."""


class RobotError(HandfulError):
    """A robot that refuses, or that cannot be reached."""


def printable(text: str) -> str:
    r"""The text with control characters, which a terminal would obey, as escapes.

    >>> printable("red \x1b[31m")
    'red \\x1b[31m'
    """
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


def check_count(name: str, value: Any, *, at_least: int = 1) -> None:
    """Refuse what is not an integer of at least ``at_least``, by a `ConfigurationError`; ``name`` says of what."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ConfigurationError(f"expected {name}, an integer of at least {at_least}, got {value!r}.")


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> ConfigurationError:
    """The error for a name that is not among the choices, nearest choices first.

    >>> str(unknown_name("task", "block-liftin", ["pouring", "block-lifting"]))
    "unknown task 'block-liftin': did you mean 'block-lifting'? The choices are: block-lifting, pouring."
    """
    choices = list(choices)
    ranked = sorted(choices, key=lambda choice: -difflib.SequenceMatcher(None, name, choice).ratio())
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    hint = f": did you mean '{near[0]}'? The choices are" if near else "; the choices are"
    return ConfigurationError(f"unknown {kind} '{name}'{hint}: {', '.join(ranked)}.")
