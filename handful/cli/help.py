"""The help of a command, made from its dataclass of options: names, types and defaults of fields, and their docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import pathlib
import textwrap
import types
import typing
from typing import Annotated, Any

import tyro

TEXT_COLUMN = 26
"""Column where explanations begin; below a longer option, they begin on the next line."""
MAX_WIDTH = 100
"""Longest line, however wide the terminal is."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One option, or one word without hyphens."""

    name: str
    """As it is typed, for example ``--ppo.discount``."""
    kind: str
    """Type of the value that follows; empty for a switch."""
    text: str
    """What it means."""
    default: str
    """Default value; empty where the text names it."""
    negation: str | None = None
    """For a switch, the option that turns it off."""


def help_text(options_type: type, *, program: str, width: int, whole: bool = False) -> str:
    """The text that ``program --help`` prints for a dataclass of options in a terminal of this width [characters].

    Where the class has a tuple ``MOST_USED`` of names of fields, only these are shown, unless the ``whole`` is wanted, as
    by ``program --help-all``.
    """
    width = min(width, MAX_WIDTH)
    groups = _groups(options_type, _default_of(options_type), "", "options")
    shown = None if whole else getattr(options_type, "MOST_USED", None)
    num_options = sum(len(entries) for _, _, entries in groups)
    if shown is not None:
        by_field = {
            entry.name.strip("-[]. ").lower().replace("-", "_"): entry for _, _, each in groups for entry in each
        }
        groups = [("options", "", [by_field[name] for name in shown])]
    words = " ".join(entry.name for _, _, entries in groups for entry in entries if not entry.name.startswith("-"))
    lines = [f"usage: {program} [OPTIONS] {words}".rstrip(), ""]
    for paragraph in inspect.cleandoc(options_type.__doc__ or "").split("\n\n"):
        lines += [*textwrap.wrap(_plain(paragraph), width), ""]
    for title, meaning, entries in groups:
        lines += textwrap.wrap(f"{title}: {meaning}".rstrip(), width)
        for entry in entries:
            lines += _entry_lines(entry, width)
        lines.append("")
    if shown is not None:
        lines += textwrap.wrap(f"{program} --help-all shows all {num_options} options.", width)
    return "\n".join(lines).rstrip()


def entries_of(options_type: type) -> list[Entry]:
    """Every option and every word without hyphens, in the order of the help."""
    return [entry for _, _, group in _groups(options_type, _default_of(options_type), "", "") for entry in group]


def option_names(options_type: type) -> list[str]:
    """Every option as it is typed, with both forms of a switch, ``--help`` and ``--help-all``."""
    names = [name for entry in entries_of(options_type) for name in (entry.name, entry.negation) if name is not None]
    return ["--help", "--help-all", *(name for name in names if name.startswith("--"))]


Group = tuple[str, str, list[Entry]]
"""Title, meaning and entries."""


def _groups(cls: type, defaults: dict[str, Any], prefix: str, title: str, meaning: str = "") -> list[Group]:
    """Options of a dataclass, then those of its nested dataclasses; one with an empty name joins its parent's group."""
    hints, texts = typing.get_type_hints(cls, include_extras=True), _field_docstrings(cls)
    entries: list[Entry] = []
    inner: list[Group] = []
    for field in dataclasses.fields(cls):
        annotated = typing.get_origin(hints[field.name]) is Annotated
        hint, *marks = typing.get_args(hints[field.name]) if annotated else (hints[field.name],)
        if tyro.conf.Suppress in marks:  # filled in by the program
            continue
        named = next((mark.name for mark in marks if getattr(mark, "name", None)), field.name)
        name, default = named.replace("_", "-"), defaults.get(field.name)
        if not dataclasses.is_dataclass(hint):
            entries.append(_entry(f"{prefix}{name}", hint, marks, default, texts[field.name]))
        elif any(getattr(mark, "name", None) == "" for mark in marks):
            joined, *others = _groups(typing.cast(type, hint), vars(default), prefix, "")
            entries += joined[2]
            inner += others
        else:
            what = _plain((hint.__doc__ or "").partition("\n\n")[0])
            inner += _groups(typing.cast(type, hint), vars(default), f"{prefix}{name}.", field.name, what)
    return [(title, meaning, entries), *inner]


def _entry(name: str, hint: Any, marks: list[Any], default: Any, text: str) -> Entry:
    if tyro.conf.Positional in marks:
        metavars = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
        return Entry(metavars[0] if metavars else name.upper(), "", text, "")
    if hint is bool:
        group, _, last = name.rpartition(".")
        negation = f"--{group}.no-{last}" if group else f"--no-{last}"
        return Entry(f"--{name}", "", text, "yes" if default else "", negation)
    return Entry(f"--{name}", _kind(hint), text, _shown(default))


def _entry_lines(entry: Entry, width: int) -> list[str]:
    # Of a switch that is on, both forms are shown.
    on = entry.negation is not None and entry.default == "yes"
    name = f"{entry.name}, {entry.negation}" if on else entry.name
    default = entry.name if on else entry.default
    text = f"{entry.text} (default: {default})" if default else entry.text
    head = f"  {name} {entry.kind}".rstrip()
    body = textwrap.wrap(_plain(text), width - TEXT_COLUMN, break_on_hyphens=False)
    if len(head) + 2 <= TEXT_COLUMN and body:
        return [head.ljust(TEXT_COLUMN) + body[0], *(" " * TEXT_COLUMN + line for line in body[1:])]
    return [head, *(" " * TEXT_COLUMN + line for line in body)]


def _kind(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _kind(next(argument for argument in arguments if argument is not type(None)))
    if origin is typing.Literal:
        return "{" + ",".join(map(str, arguments)) + "}"
    if origin is tuple:
        return f"{_kind(arguments[0])} ..."
    return {int: "INT", float: "NUMBER", str: "NAME", pathlib.Path: "PATH"}.get(hint, "VALUE")


def _shown(default: Any) -> str:
    if default is None or default is dataclasses.MISSING:
        return ""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _default_of(cls: type) -> dict[str, Any]:
    """Defaults by field name, without fields that have none."""
    fields, missing = dataclasses.fields(cls), dataclasses.MISSING
    defaults = {field.name: field.default for field in fields if field.default is not missing}
    return defaults | {field.name: field.default_factory() for field in fields if field.default_factory is not missing}


def _field_docstrings(cls: type) -> dict[str, str]:
    """The strings below the fields of a dataclass, up to the first empty line: what follows is no help, but background."""
    texts: dict[str, str] = {}
    body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]).body
    for statement, following in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            texts[statement.target.id] = " ".join(
                inspect.cleandoc(str(following.value.value)).partition("\n\n")[0].split()
            )
    return texts


def _plain(text: str) -> str:
    """The text on one line, without the marks of code."""
    return " ".join(text.replace("``", "").split())
