"""Weights & Biases: told where it is asked for, and missed in one sentence where it is not installed."""

from __future__ import annotations

import importlib.util
import json
import pathlib

import pytest

from handful.cli.main import run_command_line
from handful.errors import ConfigurationError
from handful.runs import logs
from handful.runs.logs import MetricsWriter

STAND_IN = """
import json, pathlib
LOG = pathlib.Path(__file__).with_name("log.json")
def note(**said):
    LOG.write_text(json.dumps([*(json.loads(LOG.read_text()) if LOG.exists() else []), said]))
class Run:
    def log(self, values, step): note(step=step, values=values)
    def finish(self): note(finished=True)
def init(**options): note(init=options); return Run()
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What a stand-in for the package was told."""
    package = tmp_path / "packages" / "wandb"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(__import__("sys").modules, "wandb", raising=False)
    return lambda: json.loads((package / "log.json").read_text())


def write(folder: pathlib.Path, *, resume_after: int | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"task": "pouring"}')
    writer = MetricsWriter(
        folder, ("iteration", "steps", "kl"), resume_after=resume_after, tensorboard=False, wandb=True
    )
    writer.write({"iteration": 1.0, "steps": 40.0, "kl": 0.5, "unknown": 1.0})
    writer.close()


def test_it_gets_the_configuration_and_every_iteration_and_a_resumed_run_is_the_same_one(tmp_path, told):
    write(tmp_path / "run")
    write(tmp_path / "run", resume_after=1)
    first, second = (each["init"] for each in told() if "init" in each)
    assert first["config"] == {"task": "pouring"} and first["id"] == second["id"] and first["resume"] == "allow"
    assert told()[1:3] == [{"step": 40, "values": {"iteration": 1.0, "steps": 40.0, "kl": 0.5}}, {"finished": True}]


def test_it_is_missed_in_a_sentence_before_anything_is_made(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install wandb"):
        logs.check_wandb()
    assert run_command_line(["train", "block-lifting", "--wandb"]) == 2
    assert "--wandb needs the package wandb" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
