"""`handful reproduce` as its user meets it."""

from __future__ import annotations

import csv
import json
import signal
import time

import pytest
from command_line import NUM_STEPS, TASK, TINY, assert_same_runs
from PIL import Image

from handful.runs.evaluations import read_evaluations
from handful.runs.experiment_run import locked
from handful.runs.experiment_worker import Budget, train_and_evaluate
from handful.runs.folder import read_description, write_description

PATIENCE = 300.0
"""Only to end a test that hangs [s]: a crowded machine is slow."""
NUM_EPISODES = 4
STATE = ("--policy.groups", "physical_state")
# No method begins by cloning, whatever the recipe says.
LEARNER = tuple(TINY[: TINY.index("--cloning.epochs")] + TINY[TINY.index("--cloning.epochs") + 2 :])
WORDS = (
    *("reproduce", "figure-4", TASK, *LEARNER, *STATE, "--methods", "full", "rl", "--num-processes", 2),
    *("--num-steps", NUM_STEPS, "--num-evaluations", 2, "--num-episodes", NUM_EPISODES),
)


def wait_for_rows(process, runs) -> None:
    """Until all runs have reported their first iteration."""
    end = time.monotonic() + PATIENCE
    while not all((run / "metrics.csv").exists() and (run / "metrics.csv").read_text().count("\n") > 2 for run in runs):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.long
def test_interrupted_and_resumed_in_two_processes_it_ends_as_in_one_that_was_never_stopped(
    tmp_path, demonstrations, start_process, handful
):
    output = tmp_path / "figure"
    words = (*WORDS, "--demonstrations", demonstrations, "--output", output)
    runs = {method: output / TASK / method / "seed-0" for method in ("full", "rl")}
    process = start_process(*words)
    wait_for_rows(process, runs.values())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err == "interrupted.\n"
    assert out.splitlines()[-1] == "Interrupted and saved. To resume: the same 'handful reproduce' again."
    assert all((run / "checkpoint.safetensors").exists() for run in runs.values())

    status, out, err = handful(*words)
    assert (status, err) == (0, "")
    assert f"{output}/figure-4.png" in out and "The paper's orderings: 0 hold, 0 do not hold" in out
    budget = Budget(NUM_STEPS, num_evaluations=2, num_episodes=NUM_EPISODES)
    for method, run in runs.items():
        never_stopped = tmp_path / f"never-stopped-{method}"
        write_description(never_stopped, read_description(run))
        assert train_and_evaluate(never_stopped, budget)
        assert_same_runs(run, never_stopped)
        evaluations = read_evaluations(run)
        assert evaluations == read_evaluations(never_stopped)
        assert [each.steps for each in evaluations] == [NUM_STEPS // 2, NUM_STEPS]
    assert read_description(runs["full"]).config.trainer.cloning.epochs == 0

    # A point of the curve is what `handful evaluate` says of that policy.
    status, out, _ = handful("evaluate", TASK, "--policy", run, "--num-episodes", NUM_EPISODES, "--json")
    assert json.loads(out)["mean_return"] == evaluations[-1].mean_return
    with open(output / "figure-4.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["seed"], row["steps"]) for row in rows] == [
        *((method, "0", str(steps)) for method in runs for steps in (NUM_STEPS // 2, NUM_STEPS)),
        ("demonstrations", "", ""),
    ]
    assert float(rows[3]["return"]) == evaluations[-1].mean_return and float(rows[4]["return"]) > 0
    with Image.open(output / "figure-4.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 400

    # What is done is not done again, and other options do not mix with it.
    before = {run: (run / "checkpoint.safetensors").stat().st_mtime_ns for run in runs.values()}
    status, out, err = handful(*words)
    assert (status, err) == (0, "") and "runs are done" not in out
    assert {run: (run / "checkpoint.safetensors").stat().st_mtime_ns for run in runs.values()} == before
    for changed, sentence in (
        (("--ppo.discount", 0.5), "holds a run of block-lifting with another configuration"),
        (("--methods", "gail", "--ppo.discount", 0.5), "holds a run of block-lifting with another configuration"),
        (("--num-episodes", 5), "was evaluated in 4 episodes at a time, not in 5"),
    ):
        status, _, err = handful(*words, *changed)
        assert status == 2 and sentence in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_fails_is_said_and_costs_no_other(tmp_path, demonstrations, handful):
    words = (*WORDS, "--num-steps", 1, "--num-evaluations", 1, "--demonstrations", demonstrations, "--output", tmp_path)
    broken = tmp_path / TASK / "full" / "seed-0"
    broken.mkdir(parents=True)
    (broken / "checkpoint.safetensors").write_text("no checkpoint")
    status, out, err = handful(*words)
    assert status == 1 and err == "error: 1 of 2 runs failed; the same command tries them again.\n"
    assert f"Failed: {broken}: " in out
    assert len(read_evaluations(tmp_path / TASK / "rl" / "seed-0")) == 1
    assert (tmp_path / "figure-4.csv").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("figure-3",), "unknown figure 'figure-3': did you mean "),
        (("figure-4", "block-liftin"), "unknown task 'block-liftin': did you mean 'block-lifting'?"),
        (("figure-4", TASK, TASK), "expected each task once, got block-lifting, block-lifting."),
        (
            ("figure-4", TASK, "--methods", "gial"),
            "unknown method 'gial': did you mean 'gail'? The choices are: gail, ",
        ),
        (("figure-4", TASK, "--methods", "full", "full"), "expected each method once"),
        (("figure-4", TASK, "--num-seeds", 0), "expected --num-seeds of at least 1, got 0."),
        (("figure-4", TASK, "--num-steps", 0), "expected --num-steps of at least 1, got 0."),
        (("figure-4", TASK, "--seed", 3), "--seed is what the methods and their seeds are about"),
        (
            ("figure-4", TASK, "--imitation-weight", 1),
            "--imitation-weight is what the methods and their seeds are about",
        ),
        (("figure-4", TASK, "--cloning.epochs", 1), "--cloning.epochs is what the methods and their seeds are about"),
        (("figure-4", TASK, "--camera-hz", 7), "unknown camera rate 7 Hz"),
        (("figure-4", TASK, "--variant", "small"), "block-lifting has no variants: leave out the variant 'small'."),
        (("figure-4", TASK, "--recipe", "teacher-student"), "expected a recipe of one phase, got teacher-student"),
        (("figure-4", TASK, "pouring", "--demonstrations", "x.hdf5"), "expected one task with --demonstrations"),
        (("figure-5", "--policy.no-recurrent"), "the methods full and no-lstm are the same"),
        (("figure-5", *STATE, "--methods", "no-auxiliary-task"), "the method no-auxiliary-task is the full one where"),
    ],
)
def test_what_cannot_be_reproduced_is_one_sentence(words, sentence, tmp_path, handful):
    status, out, err = handful("reproduce", *words, "--output", tmp_path / "f")
    assert (status, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not (tmp_path / "f").exists()


def test_two_commands_do_not_train_in_one_folder(tmp_path, handful):
    with locked(tmp_path):
        status, _, err = handful(*WORDS, "--output", tmp_path)
    assert status == 2 and err.startswith(f"error: another 'handful reproduce' is training in {tmp_path}")
