"""The help that people read."""

from __future__ import annotations

import importlib
import re

import pytest

from handful.cli.help import MAX_WIDTH, TEXT_COLUMN, help_text, option_names
from handful.cli.main import COMMANDS, parse_options


def options_of(command):
    return importlib.import_module(f"handful.cli.{command.replace(' ', '.')}").Options


def all_commands():
    """Every command, those of a group with the group's name before them."""
    for command in COMMANDS:
        within = getattr(importlib.import_module(f"handful.cli.{command}"), "SUBCOMMANDS", None)
        yield from (f"{command} {each}" for each in within) if within else [command]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", list(all_commands()))
def test_help_fits_the_terminal_and_explains_every_option(command, width):
    text = help_text(options_of(command), program=f"handful {command}", width=width, whole=True)
    lines = text.splitlines()
    assert lines[0].startswith(f"usage: handful {command} [OPTIONS]")
    assert max(map(len, lines)) <= min(width, MAX_WIDTH)
    assert "``" not in text and "(default: None)" not in text
    rows = [index for index, line in enumerate(lines) if re.match(r"  \S", line)]
    for index in rows:
        explanation = lines[index][TEXT_COLUMN:] if lines[index][:TEXT_COLUMN].endswith(" ") else ""
        below = lines[index + 1] if index + 1 < len(lines) else ""
        assert explanation or below.startswith(" " * TEXT_COLUMN), lines[index]
    first = (lines[index].split()[0] for index in rows)
    shown = {word.rstrip(",") for word in first if not word.strip("[],").isupper()}  # the others are positional
    # One way of each switch is shown, and both are known.
    names = option_names(options_of(command))
    switches = {name for name in names if name.replace("no-", "") in names and "no-" in name}
    assert shown <= set(names)
    assert len(shown) == len(names) - len(switches) - 2  # but for --help and --help-all themselves


@pytest.mark.parametrize("command", list(all_commands()))
def test_every_option_that_help_knows_is_one_that_the_parser_knows(command, capsys):
    """The names are made by us and the parser is tyro's: they must agree."""
    import tyro

    with pytest.raises(SystemExit):
        tyro.cli(options_of(command), args=["--help"])
    theirs = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", capsys.readouterr().out))
    theirs -= {"--help-verbose", "--logdir"}  # the second is TensorBoard's
    assert set(option_names(options_of(command))) == theirs | {"--help-all"}


def test_what_switches_something_off_is_shown(capsys):
    assert parse_options(options_of("train"), ["block-lifting", "--help-all"], program="handful train") is None
    out = capsys.readouterr().out
    assert "  --policy.recurrent, --policy.no-recurrent\n" in out
    assert "(default: --policy.recurrent)" in " ".join(out.split())
    assert "  --discriminator.use-actions\n" in out
    assert "--ppo.objective {kl,clip}" in out and "(default: kl)" in out
    assert "--num-threads INT" in out and "VALUE" not in out


def test_the_help_of_a_long_command_is_short_and_leads_to_the_rest(capsys):
    assert parse_options(options_of("train"), ["--help"], program="handful train") is None
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 45 and "--ppo.discount" not in out
    for option in ("TASK", *options_of("train").MOST_USED[1:]):
        assert f"  {option if option == 'TASK' else '--' + option} " in out
    assert "handful train --help-all shows all" in out


def test_what_lies_behind_a_number_is_in_the_docstring_and_not_in_the_help():
    text = help_text(options_of("train"), program="handful train", width=100, whole=True)
    assert "episodes grasped the mug" not in text and "92% success" not in text
