"""`handful train` with a configuration file, and the budget that a run keeps."""

from __future__ import annotations

import json

import pytest
from command_line import NUM_STEPS, TASK, TINY, assert_same_runs, checkpoint, rows

from handful.cli.main import run_command_line
from handful.runs.budget import Budget, read_budget
from handful.runs.folder import read_description
from handful.runs.phases import read_phases


def test_what_a_run_wrote_makes_the_same_run_again(whole_run, demonstrations, tmp_path, handful):
    words = ("train", TASK, "--demonstrations", demonstrations, "--num-steps", NUM_STEPS, "--run", tmp_path / "again")
    status, _, err = handful(*words, "--config", whole_run / "config.json")
    assert (status, err) == (0, "")
    assert_same_runs(whole_run, tmp_path / "again")
    assert read_description(tmp_path / "again") == read_description(whole_run)


def test_options_are_put_on_top_and_parts_of_a_file_suffice(whole_run, demonstrations, tmp_path, handful):
    file = tmp_path / "mine.json"
    config = json.loads((whole_run / "config.json").read_text())["config"]
    file.write_text(json.dumps({"config": {"num_envs": 4, "trainer": config["trainer"]}}))
    words = ("train", TASK, "--demonstrations", demonstrations, "--num-steps", 1, "--run", tmp_path / "run")
    assert handful(*words, "--config", file, "--ppo.discount", "0.9")[0] == 0
    saved = read_description(tmp_path / "run")
    assert (saved.config.num_envs, saved.config.trainer.ppo.discount, saved.recipe) == (4, 0.9, "custom")
    assert saved.config.trainer.rollout_steps == config["trainer"]["rollout_steps"]


def test_the_phases_of_a_run_are_taken_as_well(tmp_path, handful, monkeypatch):
    from handful.runs.phases import Phase, PhasedRun, begin_phases
    from handful.runs.recipes import find_recipe

    phases = tuple(Phase(name, find_recipe("quick").config(TASK), 100, 1.0) for name in ("a", "b"))
    begin_phases(tmp_path / "first", task=TASK, recipe="mine", phases=phases, demonstrations=tmp_path / "d.hdf5")
    monkeypatch.setattr(PhasedRun, "train", lambda self, **options: True)
    monkeypatch.setattr("handful.cli.demonstrate.record_with_progress", lambda *words, **options: None)
    words = ("train", TASK, "--config", tmp_path / "first", "--run", tmp_path / "second", "--seed", 7)
    assert handful(*words)[0] == 0
    again = read_phases(tmp_path / "second")
    assert [phase.name for phase in again.phases] == ["a", "b"] and again.recipe == "mine"
    assert [phase.config.trainer.seed for phase in again.phases] == [7, 7]


@pytest.mark.parametrize(
    ("content", "words", "status", "sentence"),
    [
        (None, (), 2, "no configuration file at '"),
        ("[]", (), 1, "expected an object with the entry config or phases"),
        ("{}", (), 1, "lacks the entry 'config'"),
        ('{"config": {"num_env": 4}}', (), 1, "unknown option 'num_env'"),
        ('{"config": {"num_envs": 0}}', (), 1, "num_envs"),
        ('{"confg": {}}', (), 1, "unknown entry 'confg'; the choices are: "),
        ('{"config": {}, "format": 1}', (), 1, "it is of version 1, and this program reads version 2"),
        ('{"phases": []}', (), 1, "it names 0 phases"),
        ('{"config": {}}', ("--recipe", "quick"), 2, "expected either --config or --recipe, got both."),
        ('{"config": {}}', ("--resume", "x"), 2, "expected either --config or --resume, got both."),
    ],
)
def test_a_file_that_cannot_be_is_one_sentence(content, words, status, sentence, tmp_path, handful, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "file.json").write_text(content)
    returned, out, err = handful("train", TASK, "--config", tmp_path / "file.json", *words)
    assert (returned, out, err.count("\n")) == (status, "", 1) and sentence in err
    assert not (tmp_path / "runs").exists()


def test_a_run_is_resumed_with_the_budget_that_it_had(demonstrations, tmp_path, handful):
    run = tmp_path / "run"
    words = ("train", TASK, *TINY, "--run", run, "--demonstrations", demonstrations, "--num-steps", 80)
    assert run_command_line([str(word) for word in words]) == 0
    assert read_budget(run) == Budget(num_steps=80)
    before = checkpoint(run)["steps"]
    assert handful("train", TASK, "--resume", run)[0] == 0
    assert checkpoint(run)["steps"] == before == 80
    assert handful("train", TASK, "--resume", run, "--num-steps", 120)[0] == 0
    assert len(rows(run)) == 3 and read_budget(run) == Budget(num_steps=120)
    (run / "budget.json").write_text("{}")
    status, _, err = handful("train", TASK, "--resume", run)
    assert status == 1 and "cannot be read as a run's budget" in err and err.count("\n") == 1


def test_an_empty_list_of_groups_is_refused(tmp_path, handful, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = handful("train", TASK, "--policy.groups")
    assert (status, out, err.count("\n")) == (2, "", 1) and "expected --policy.groups to name a group" in err
    assert not list(tmp_path.iterdir())
