import dataclasses
import errno
import importlib
import io
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from handful.cli import main as command_line
from handful.errors import ConfigurationError, DataError


@dataclasses.dataclass(frozen=True)
class Options:
    """Learn a task."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Which task."""
    minutes: float | None = 20.0
    """How long."""
    method: Literal["full", "gail"] = "full"
    """Which method."""
    run: Path = Path("runs/first")
    """Where to."""
    use_gail: bool = True
    """Whether to imitate."""


@pytest.fixture
def install(monkeypatch):
    """Put a function in the place of the command ``train``."""

    def replace(function):
        module = types.ModuleType("handful.cli.train")
        module.Options, module.run = Options, function
        monkeypatch.setitem(sys.modules, "handful.cli.train", module)

    return replace


def parse(*words):
    return command_line.parse_options(Options, words, program="handful train")


def test_options_are_read_into_the_dataclass():
    options = parse("pouring", "--minutes", "5", "--no-use-gail", "--run", "x")
    assert options == Options("pouring", minutes=5.0, use_gail=False, run=Path("x"))


def test_underscores_in_options_are_taken_for_hyphens():
    assert parse("pouring", "--no_use_gail").use_gail is False


def test_help_of_a_command_shows_its_docstrings(capsys):
    assert parse("--help") is None
    assert "Which task." in capsys.readouterr().out


@pytest.mark.parametrize("words", [("pouring", "--minuts", "5"), ("--minuts=5", "pouring"), ("--minuts",)])
def test_an_unknown_option_names_the_nearest_first(words):
    with pytest.raises(
        ConfigurationError,
        match=r"'--minuts': did you mean '--minutes'\? The nearest are: --minutes(, --[a-z-]+){3}\. ",
    ):
        parse(*words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), r"expected the name of a task, as in handful train block-lifting; the choices are: block-lifting, "),
        (("pouring", "--minutes", "long"), r"expected a number for --minutes, got 'long'\."),
        (("pouring", "--minutes=long"), r"expected a number for --minutes, got 'long'\."),
        (("pouring", "--minutes"), r"expected a number after --minutes, got nothing\."),
        (("--minutes", "--run", "x", "pouring"), r"expected a number after --minutes, got --run\."),
        (
            ("pouring", "--method", "ful"),
            r"unknown value of --method, 'ful': did you mean 'full'\? The choices are: full, ",
        ),
        (("pouring", "lifting"), r"expected nothing but options after handful train TASK, got 'lifting'\."),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_other_mistakes_are_one_line_without_a_box(words, sentence, encoding, monkeypatch):
    # tyro chooses between lines and hyphens by the encoding of standard output.
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        parse(*words)
    assert not set("\n│╭─\x1b") & set(str(caught.value))
    assert "---" not in str(caught.value)
    assert output.tell() == 0


def test_a_command_runs_with_its_options(install):
    seen = []
    install(seen.append)
    assert command_line.run_command_line(["train", "pouring"]) == 0
    assert seen == [Options("pouring")]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigurationError("no [such] task."), 2, "error: no [such] task."),
        (DataError("x" * 300), 1, "error: " + "x" * 300),
        (KeyboardInterrupt(), 130, "interrupted."),
        (MemoryError(), 1, "error: not enough memory: ask for fewer simulations or a smaller batch."),
        (OSError(errno.ENOSPC, "", "runs/a"), 1, "error: runs/a: the disk is full."),
        (OSError(errno.EROFS, "", "runs/a"), 1, "error: runs/a: the file system is read-only."),
        (PermissionError(errno.EACCES, "", "runs/a"), 1, "error: runs/a: permission denied."),
    ],
)
def test_errors_become_one_line_and_a_status(install, capsys, error, status, message):
    def fail(options):
        raise error

    install(fail)
    assert command_line.run_command_line(["train", "pouring"]) == status
    assert capsys.readouterr() == ("", message + "\n")


def test_a_bug_keeps_its_traceback(install):
    def fail(options):
        raise OSError(errno.EINVAL, "a bug")

    install(fail)
    with pytest.raises(OSError, match="a bug"):
        command_line.run_command_line(["train", "pouring"])


def test_an_unknown_command_names_the_nearest(capsys):
    assert command_line.run_command_line(["evalute"]) == 2
    assert "did you mean 'evaluate'? The choices are: evaluate, " in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(words, capsys):
    assert command_line.run_command_line(words) == 0
    listing = capsys.readouterr().out
    assert [command for command in command_line.COMMANDS if f"  {command} " not in listing] == []


def _all_commands():
    """Every command, those of a group with the group's name before them."""
    for command in command_line.COMMANDS:
        module = importlib.import_module(f"handful.cli.{command}")
        within = getattr(module, "SUBCOMMANDS", None)
        yield from ([command, each] for each in within) if within else [[command]]


@pytest.mark.parametrize("words", list(_all_commands()), ids=" ".join)
def test_every_command_explains_each_of_its_options(words, capsys):
    module = importlib.import_module(".".join(["handful.cli", *words]))
    assert module.Options.__dataclass_params__.frozen
    assert callable(module.run)
    assert command_line.run_command_line([*words, "--help"]) == 0
    assert f"usage: handful {' '.join(words)}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in command_line.COMMANDS)])
def test_help_does_not_wait_for_torch_or_a_simulator(words):
    program = (
        "import sys; from handful.cli.main import run_command_line as run; status = run(sys.argv[1:]);"
        "heavy = {'torch', 'mujoco', 'warp', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_causes_no_complaint():
    program = "from handful.cli import main; main._help = lambda *_: 'x' * 10**6; main.main(['--help'])"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == command_line.EXIT_BROKEN_PIPE
