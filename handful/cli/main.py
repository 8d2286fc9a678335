"""The command line ``handful``: finds a command, reads its options, and reports errors in one sentence.

A command is a module of this package with a frozen dataclass ``Options``, whose docstrings are the help, and a function
``run(options)``. Where defaults depend on other options, a function ``defaults(options)`` returns them. A field ``given``
gets the names of the options that the user gave. Only the module of
the command that runs is imported, and it imports torch and MuJoCo inside ``run``, so that help and errors about options
are printed at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
import io
import itertools
import logging
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from handful.errors import ConfigurationError, HandfulError, printable, unknown_name
from handful.storage import REASONS

COMMANDS = {
    "tasks": "list the tasks, or describe one of them",
    "view": "watch a task live in the browser",
    "preview": "draw random starts of a task and a scripted episode",
    "demonstrate": "record demonstrations of a task, by a script or by hand",
    "dataset": "look at, check, replay, merge, split and convert demonstrations",
    "doctor": "check this machine, what is installed, and every device",
    "train": "learn a task from demonstrations and reward",
    "recipes": "list the recipes of train, or the values that one sets",
    "evaluate": "run a policy from random starts and report its success",
    "export": "write a policy as ONNX, for a robot",
    "deploy": "run a policy on a robot, or on its twin",
    "calibrate": "find where a real camera is",
    "identify": "find how an arm differs from its model, from a recording of its motion",
    "transfer": "measure how policies carry over to the twin's laboratories",
    "reproduce": "train the experiments of the paper's Figs. 4 and 5, and draw them",
    "plot": "draw the learning curves of runs",
    "runs": "list runs, or compare some of them",
    "report": "write a run, or several, into one HTML file that can be mailed",
    "bench": "measure the speed of simulation and learning",
}
"""Each command with its line in ``handful --help``."""

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with the words after ``handful``, by default those of this process; exit with its status."""
    logger = logging.getLogger("handful")
    logger.addHandler(logging.StreamHandler())  # on standard error
    logger.setLevel(logging.INFO)
    logger.propagate = False
    sys.exit(run_command_line(sys.argv[1:] if arguments is None else arguments))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status: 0, 1 after a failure, 2 for wrong usage, 130 when interrupted."""
    try:
        _dispatch(list(arguments))
        sys.stdout.flush()
        return 0
    except ConfigurationError as error:
        return _report(str(error), EXIT_USAGE)
    except HandfulError as error:
        return _report(str(error), EXIT_FAILURE)
    except KeyboardInterrupt:
        return _report("interrupted.", EXIT_INTERRUPTED, label=None)
    except MemoryError:
        return _report("not enough memory: ask for fewer simulations or a smaller batch.", EXIT_FAILURE)
    except RuntimeError as error:
        if not re.search("can't allocate memory|out of memory", str(error)):  # torch's words for it
            raise
        return _report("not enough memory: ask for fewer simulations or a smaller batch.", EXIT_FAILURE)
    except BrokenPipeError:
        # The reader of our output has gone (`handful ... | head`); the flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        problem = REASONS.get(error.errno or 0)  # a folder deleted under a run, a name that is too long, ...
        if problem is None:  # a bug, which keeps its traceback
            raise
        return _report(printable(f"{error.filename}: {problem}.") if error.filename else f"{problem}.", EXIT_FAILURE)


def _dispatch(arguments: list[str]) -> None:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(_help("handful", "Teach a robot arm a skill from a handful of demonstrations.", COMMANDS))
    elif name == "--version":
        print(f"handful {importlib.metadata.version('handful')}")
    elif name in COMMANDS:
        command = importlib.import_module(f"handful.cli.{name}")
        if hasattr(command, "SUBCOMMANDS"):
            _dispatch_within(name, command.SUBCOMMANDS, arguments[1:])
        else:
            _run(command, f"handful {name}", arguments[1:])
    elif name.startswith("-"):
        raise unknown_name("option", name, ["--help", "--version"])
    else:
        raise unknown_name("command", name, COMMANDS)


def _dispatch_within(group: str, commands: dict[str, str], arguments: list[str]) -> None:
    """Run a command of a group, such as ``handful dataset info``."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(_help(f"handful {group}", f"{COMMANDS[group].capitalize()}.", commands))
    elif name in commands:
        _run(importlib.import_module(f"handful.cli.{group}.{name}"), f"handful {group} {name}", arguments[1:])
    else:
        raise unknown_name(f"command of {group}", name, commands)


def _run(command: Any, program: str, words: list[str]) -> None:
    """Run the module of a command with the words that follow its name."""
    options = parse_options(command.Options, words, program=program)
    defaults = command.defaults(options) if options is not None and hasattr(command, "defaults") else None
    if defaults is not None:
        options = parse_options(command.Options, words, program=program, default=defaults)
    if options is not None:
        if hasattr(options, "given"):
            options = dataclasses.replace(options, given=_given(words))
        command.run(options)


def _given(words: list[str]) -> tuple[str, ...]:
    """Names of the options that some words give, as they stand in the help, without ``--``."""
    options = (word.partition("=")[0] for word in itertools.takewhile(lambda word: word != "--", words))
    return tuple(option.removeprefix("--").replace("_", "-") for option in options if option.startswith("--"))


def _help(program: str, purpose: str, commands: dict[str, str]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in commands.items()]
    version = "; handful --version prints the version" if program == "handful" else ""
    return "\n\n".join(
        (
            purpose,
            f"usage: {program} COMMAND [OPTIONS]",
            "\n".join(lines),
            f"{program} COMMAND --help lists the options of a command{version}.",
        )
    )


def parse_options(
    options_type: type, arguments: Sequence[str], *, program: str, default: Any | None = None
) -> Any | None:
    """Read the words after a command into its dataclass of options; returns None if help was asked for and printed.

    The dataclass's docstrings become the help, in which ``program`` is for example ``handful train``. Options that are not
    given have the values of ``default``, or those of the dataclass.

    Raises:
        ConfigurationError: an unknown option or a wrong value; the message names the choices.
    """
    import tyro

    from handful.cli.help import help_text
    from handful.cli.mistakes import mistake_in

    words = list(itertools.takewhile(lambda word: word != "--", arguments))
    if {"-h", "--help", "--help-all"} & set(words):
        whole = "--help-all" in words
        print(help_text(options_type, program=program, width=shutil.get_terminal_size().columns, whole=whole))
        return None
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            # For tyro, None is a default like any other, so it is not passed.
            given = {} if default is None else {"default": default}
            return tyro.cli(options_type, args=list(arguments), prog=program, **given)
    except SystemExit as exit_:
        if not exit_.code:
            return None
    mistake = mistake_in(words, options_type, program=program) or _first_paragraph(complaint.getvalue())
    raise ConfigurationError(f"{mistake} For help: {program} --help")


def _first_paragraph(box: str) -> str:
    """The message inside the box that tyro draws around an error, as one line of plain text.

    The message follows the title and ends at a rule, an empty row or the bottom. If standard output is not UTF-8, tyro
    draws no sides, and hyphens below the title.
    """
    rows = [line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()]
    rules = [not row or row[0] in "╭╰" or set(row) <= set("─-") for row in rows]
    start = rules.index(True) + 1 if True in rules else 0
    end = rules.index(True, start) if True in rules[start:] else len(rows)
    # Where tyro wraps a value at the edge of the box, a space is left before the full stop.
    text = re.sub(r"\s+([.,])", r"\1", " ".join(rows[start:end]))
    return text if text.endswith(".") else f"{text}."


def _report(message: str, status: int, *, label: str | None = "error") -> int:
    from rich.console import Console
    from rich.text import Text

    text = Text(f"{label}: ", style="bold red") if label else Text()
    # A message can hold brackets and paths, which rich would read as markup or break at the edge of the terminal.
    Console(stderr=True, soft_wrap=True, highlight=False).print(text.append(message, style="default not bold"))
    return status
