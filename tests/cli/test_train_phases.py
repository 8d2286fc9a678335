"""`handful train` with a recipe of several phases: a teacher, its student, and fine-tuning."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal

import pytest
from command_line import TASK, assert_same_runs, rows

from handful.runs.phases import Phase, Progress, latest_policy, read_phases
from handful.runs.recipes import find_recipe
from handful.viewing.live_table import LiveTable

PHASES = ("teacher", "student", "fine-tuning")
SMALL = (
    *("--recipe", "teacher-student", "--num-envs", "4", "--rollout-steps", "10", "--num-threads", "1"),
    *("--cloning.epochs", "2", "--cloning.num-segments", "2", "--discriminator.batch-size", "32"),
    *("--policy.hidden-size", "16", "--num-steps", "600"),
)


@pytest.fixture(scope="module")
def words(demonstrations) -> tuple:
    return ("train", TASK, *SMALL, "--demonstrations", demonstrations)


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory) -> pathlib.Path:
    """A run of three phases never stopped."""
    from handful.cli.main import run_command_line

    folder = tmp_path_factory.mktemp("phases") / "whole"
    assert run_command_line([str(word) for word in (*words, "--run", folder)]) == 0
    return folder


def test_every_phase_gets_its_share_of_the_steps_and_the_options_that_were_given(whole):
    description = read_phases(whole)
    assert tuple(phase.name for phase in description.phases) == PHASES
    total = sum(phase.num_steps for phase in description.phases)
    for phase in description.phases:
        assert phase.config.trainer.rollout_steps == 10 and phase.config.num_envs == 4
        steps = float(rows(whole / phase.name)[-1]["steps"])
        assert 0 <= steps - 600 * phase.num_steps / total < 40
    teacher, student, fine_tuning = (phase.config for phase in description.phases)
    assert (teacher.randomization, student.randomization, fine_tuning.randomization) == ("task", "full", "full")
    assert student.trainer.algorithm == "distillation" and fine_tuning.trainer.algorithm == "reinforcement"
    assert latest_policy(whole) == whole / "fine-tuning" / "policy.safetensors"


def test_an_option_that_is_given_holds_for_all_phases_even_if_it_is_the_default_of_the_first(
    words, tmp_path, handful, monkeypatch
):
    monkeypatch.setattr("handful.cli.train.train_phases", lambda run, options, budget: None)
    assert handful(*words, "--randomization", "task", "--run", tmp_path / "run")[0] == 0
    assert {phase.config.randomization for phase in read_phases(tmp_path / "run").phases} == {"task"}


@pytest.mark.parametrize("phase", PHASES)
def test_interrupted_in_any_phase_and_resumed_equals_never_stopped(phase, words, whole, tmp_path, handful, monkeypatch):
    update = LiveTable.update

    def interrupted(self, metrics):
        update(self, metrics)
        if phase in self._title and metrics.get("iteration") == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(LiveTable, "update", interrupted)
        status, out, _ = handful(*words, "--run", run)
    assert status == 130 and f"handful train {TASK} --resume {run} --num-steps 600" in out
    moved = shutil.move(run, tmp_path / "moved")
    assert handful("train", TASK, "--resume", moved, "--num-steps", 600)[0] == 0
    for each in PHASES:
        assert_same_runs(pathlib.Path(moved) / each, whole / each, anywhere=True)


def test_a_finished_run_is_evaluated_and_drawn_by_its_folder(whole, handful):
    status, out, _ = handful("evaluate", TASK, "--policy", whole, "--num-episodes", 2, "--json")
    assert status == 0 and json.loads(out)["policy"].endswith("fine-tuning/policy.safetensors")
    status, out, _ = handful("plot", whole)
    assert status == 0 and out.split() == [str(whole / phase / "curves.png") for phase in PHASES]


def test_little_time_is_shared_among_the_phases(words, tmp_path, handful):
    without_steps = words[: words.index("--num-steps")] + words[words.index("--num-steps") + 2 :]
    run = tmp_path / "run"
    assert handful(*without_steps, "--minutes", 0.0001, "--run", run)[0] == 0
    assert [len(rows(run / phase)) for phase in PHASES] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("--resume", "--seed", 1), "was begun with other options in its phase teacher"),
        (("--run",), "holds a run already"),
    ],
)
def test_a_run_is_resumed_under_its_own_options(change, sentence, whole, words, handful):
    option, *others = change
    own = words if option == "--run" else ("train", TASK)
    status, _, err = handful(*own, option, whole, *others)
    assert status == 2 and sentence in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--recipe", "student"), "--algorithm distillation needs a teacher"),
        (("--recipe", "fine-tuning"), "--distillation.weight above 0 needs a teacher"),
        (("--recipe", "student", "--teacher", "nowhere"), "there is no policy at nowhere/policy.safetensors"),
    ],
)
def test_a_student_without_a_teacher_is_one_sentence(words, sentence, demonstrations, tmp_path, handful):
    status, _, err = handful("train", TASK, *words, "--demonstrations", demonstrations, "--run", tmp_path / "run")
    assert status in (1, 2) and sentence in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_another_task_is_refused(whole, demonstrations, tmp_path, handful):
    words = ("train", "block-stacking", "--recipe", "student", "--teacher", whole / "teacher")
    status, _, err = handful(*words, "--demonstrations", demonstrations, "--run", tmp_path / "run")
    assert status == 2 and f"was trained on {TASK}, not on block-stacking" in err
    assert not (tmp_path / "run").exists()


def test_a_damaged_description_is_named(whole, tmp_path, handful):
    copied = shutil.copytree(whole, tmp_path / "copied")
    text = (copied / "config.json").read_text()
    (copied / "config.json").write_text(text.replace('"num_steps"', '"num_stepps"', 1))
    status, _, err = handful("train", TASK, "--resume", copied, "--num-steps", 600)
    assert status == 1 and "cannot be read as a run's configuration" in err


def test_time_left_counts_the_phases_to_come():
    phases = tuple(
        Phase(name, find_recipe("quick").config(TASK), 1000, minutes) for name, minutes in (("a", 10), ("b", 20))
    )
    metrics = {"seconds": 50.0, "steps": 500.0, "steps_per_second": 10.0}
    # 50 s are left in a, which then takes 100 s; b takes twice as long as a.
    assert Progress(0, phases, 0.0, None).seconds_left(metrics) == pytest.approx(50 + 200)
    assert Progress(0, phases, 0.0, 1.0).seconds_left(metrics) == pytest.approx(10 + 120)
    assert Progress(1, phases, 100.0, None).seconds_left(metrics) == pytest.approx(50)
    assert Progress(1, phases, 100.0, None).seconds_left({"cloning_epoch": 1.0}) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--device", "cuda:7"), "the device 'cuda:7' is not there; the choices here are: cpu"),
        (("--demonstrations", "nowhere.hdf5"), "no demonstration file at 'nowhere.hdf5'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(words, sentence, tmp_path, handful, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = handful("train", TASK, *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and sentence in err
    assert not list(tmp_path.iterdir())
