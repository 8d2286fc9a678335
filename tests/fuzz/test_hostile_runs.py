"""Folders of runs that a stranger has made, read by the commands that read them: each is told in a sentence, or shown."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil

import pytest
from harness import NUM_CASES, changed, check, flipped

from handful.cli.main import run_command_line
from handful.demonstrations.operators.devices.browser import MAX_PRESSES, BrowserDevice
from handful.demonstrations.operators.devices.device import Reading
from handful.runs.budget import Budget, write_budget
from handful.runs.config import RunConfig
from handful.runs.folder import RunDescription, write_description

TASK = "block-lifting"
METRICS = "iteration,steps,seconds,success_rate_random_start,return_random_start\n1,100,60,,\n2,200,120,0.625,20\n"
CELLS = ("nan", "inf", "-inf", "", "1e308", "1e29", "-1", "\x1b[31m", "9" * 5000, "[/red]", '"', "\0")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path) -> pathlib.Path:
    """A run without a checkpoint, whose demonstrations are missing."""
    folder = tmp_path / "runs" / "a"
    write_description(folder, RunDescription(TASK, folder / "missing.hdf5", "quick", RunConfig()))
    write_budget(folder, Budget(num_steps=100))
    (folder / "metrics.csv").write_text(METRICS)
    return folder


def _handful(*words: object) -> tuple[int, str]:
    """The status and what was printed, which must be text that no terminal obeys."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = run_command_line([str(word) for word in words])
    text = out.getvalue()
    assert all(each.isprintable() or each == "\n" for each in text), repr(text)
    assert status in (0, 1, 2) and (status == 0 or len(text) < 5000), text
    return status, text


def _change(folder: pathlib.Path, name: str, value: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "[link=file:///etc/passwd]x[/link]"])
def test_names_in_a_run_are_shown_as_they_are(run, name):
    _change(run, "recipe", name)
    status, text = _handful("runs", run)
    assert status == 0 and name in text.replace("\n", "")
    shutil.copytree(run, run.parent / name.replace("/", ""))
    _change(run, "recipe", "other")
    assert _handful("runs", run.parent, "--compare")[0] == 0


@pytest.mark.parametrize("rows", ["1,nan,1,,", "1,inf,1,,", "1,-inf,1,,", "1,,,,", "1,1e29,nan,,"])
def test_absurd_numbers_of_steps_are_told(run, rows):
    header = METRICS.splitlines()[0]
    (run / "metrics.csv").write_text(f"{header}\n{rows}\n")
    for words in (["runs", run], ["runs", run, "--json"], ["plot", run], ["report", run, "--num-episodes", 0]):
        _handful(*words)


def test_links_in_circles_end(run):
    for name in ("b", "c", "d"):
        (run.parent / name).mkdir()
        for other in ("x", "y", "z"):
            os.symlink(run.parent, run.parent / name / other)

    def case(rng) -> None:
        status, text = _handful("runs", run.parent)
        assert status == 0 and text.count(TASK) == 1, text

    check(case, num_cases=1)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"minutes": null, "num_steps": Infinity}', '{"minutes": -1, "num_steps": null}'],
)
def test_a_budget_that_cannot_be_is_told(run, text):
    (run / "budget.json").write_text(text)
    status, text = _handful("train", TASK, "--resume", run)
    assert status == 1 and "cannot be read as a run's budget" in text


def test_a_configuration_that_is_no_file_is_told(run, tmp_path):
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    status, text = _handful("train", TASK, "--config", deep, "--run", tmp_path / "x")
    assert status == 1 and "cannot be read as a configuration" in text
    (run / "config.json").unlink()
    os.mkfifo(run / "config.json")

    def case(rng) -> None:
        for words in (["runs", run], ["report", run], ["plot", run], ["train", TASK, "--resume", run]):
            assert _handful(*words)[0] != 0

    check(case, num_cases=1)


def test_changed_runs_are_read_by_every_command(run, tmp_path):
    whole = json.loads((run / "config.json").read_text())
    other, work = run.parent / "b", tmp_path / "work"
    shutil.copytree(run, other)
    commands = (
        ["runs", work],
        ["runs", work, other, "--compare"],
        ["runs", work, "--json"],
        ["train", TASK, "--resume", work],
        ["train", TASK, "--config", work / "config.json", "--demonstrations", work / "missing", "--run", work / "x"],
        ["train", TASK, "--reproduce-failure", work],
    )

    shutil.copytree(run, work)
    for words in commands:  # what is imported once is not to count
        _handful(*words)

    def case(rng) -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(run, work)
        if rng.random() < 0.6:
            content = json.dumps(changed(whole, rng)).encode()
            (work / "config.json").write_bytes(flipped(content, rng) if rng.random() < 0.2 else content)
        if rng.random() < 0.3:
            (work / "budget.json").write_text(json.dumps(changed({"minutes": 1.0, "num_steps": 7}, rng)))
        if rng.random() < 0.5:
            cells = METRICS.split(",")
            for _ in range(rng.choice((1, 1, 3))):
                cells[rng.randrange(len(cells))] = rng.choice(CELLS)
            (work / "metrics.csv").write_text(",".join(cells))
        _handful(*rng.choice(commands))

    check(case, num_cases=max(12, NUM_CASES * 3 // 10))


def test_presses_that_nobody_reads_are_bounded():
    now = 0.0
    device = BrowserDevice(lambda: now)
    device.put(Reading())
    for _ in range(1000):
        device.press("discard")
    assert len(device.read().presses) == MAX_PRESSES
