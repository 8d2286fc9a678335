"""Mistakes in the words after a command, each said in one sentence: what was expected, what came, the nearest choices."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Sequence

from handful.cli.help import Entry, entries_of
from handful.errors import unknown_name

NUM_NEAREST = 4
"""Options that are named where one is unknown; a command may have a hundred."""

_NUMBERS: dict[str, tuple[Callable[[str], object], str]] = {
    "NUMBER": (float, "a number"),
    "INT": (int, "a whole number"),
}
"""Kinds of values that can be checked, with how and what they are called."""


def mistake_in(words: Sequence[str], options_type: type, *, program: str) -> str | None:
    """What is wrong with the words after a command; None where it is something else than what is looked for here.

    Looked for are options that do not exist, values that are missing, are no number or no choice, and missing words.
    """
    entries = entries_of(options_type)
    options = {name: entry for entry in entries for name in (entry.name, entry.negation) if name and name[:2] == "--"}
    wanted = [entry for entry in entries if not entry.name.startswith("-")]
    num_given, waiting = 0, None  # words without hyphens, and an option whose value is awaited
    several = any(" ..." in entry.name for entry in wanted)  # whether any word may follow
    for word in words:
        name, given, value = word.partition("=")
        name = name.replace("_", "-")
        if word.startswith("--"):
            if waiting is not None:
                return f"expected {_called(waiting)} after {waiting.name}, got {word}."
            if name not in options:
                return unknown_option(name, [*options, "--help", "--help-all"])
            entry = options[name]
            if given and (problem := _problem(entry, value)):
                return problem
            waiting = entry if entry.kind and not given else None
        elif waiting is not None:
            if problem := _problem(waiting, word):
                return problem
            several, waiting = waiting.kind.endswith("..."), None
        else:
            num_given += 1
            if num_given > len(wanted) and not several:
                before = " ".join(entry.name.strip("[]") for entry in wanted)
                return f"expected nothing but options after {program} {before}, got '{word}'.".replace("  ", " ")
    if waiting is not None:
        return f"expected {_called(waiting)} after {waiting.name}, got nothing."
    if num_given < len(wanted) and not wanted[num_given].name.startswith("["):
        return _missing(wanted[num_given], program)
    return None


def unknown_option(name: str, choices: Sequence[str]) -> str:
    """A sentence about an option that does not exist, with the few that are nearest."""
    ranked = sorted(choices, key=lambda choice: -difflib.SequenceMatcher(None, name, choice).ratio())[:NUM_NEAREST]
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    hint = f": did you mean '{near[0]}'? The nearest are" if near else "; the nearest are"
    return f"unknown option '{name}'{hint}: {', '.join(ranked)}."


def _problem(entry: Entry, value: str) -> str | None:
    """What is wrong with an option's value."""
    kind = entry.kind.removesuffix(" ...")
    if kind.startswith("{"):
        choices = kind.strip("{}").split(",")
        return None if value in choices else str(unknown_name(f"value of {entry.name},", value, choices))
    if kind not in _NUMBERS:
        return None
    read, _ = _NUMBERS[kind]
    with contextlib.suppress(ValueError):
        read(value)
        return None
    return None if value == "None" else f"expected {_called(entry)} for {entry.name}, got '{value}'."


def _called(entry: Entry) -> str:
    kind = entry.kind.removesuffix(" ...")
    if kind.startswith("{"):
        return f"one of {', '.join(kind.strip('{}').split(','))}"
    return _NUMBERS[kind][1] if kind in _NUMBERS else {"PATH": "a path", "NAME": "a name"}.get(kind, "a value")


def _missing(entry: Entry, program: str) -> str:
    """A sentence about a word that is missing."""
    if entry.name != "TASK":
        return f"expected {program} {entry.name}, got no {entry.name}."
    from handful.tasks.registry import TASKS

    return f"expected the name of a task, as in {program} {next(iter(TASKS))}; the choices are: {', '.join(TASKS)}."
