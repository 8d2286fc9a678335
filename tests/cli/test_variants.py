"""A run in a variant of a task: its demonstrations are the task's own, its policy acts in the task itself."""

from __future__ import annotations

import json

import pytest
from command_line import TINY, assert_same_runs

from handful.runs.folder import read_description


@pytest.mark.slow
def test_a_run_in_a_variant_learns_from_the_tasks_demonstrations_and_is_resumed_to_the_bit(handful, tmp_path):
    demonstrations = tmp_path / "one.hdf5"
    assert handful("demonstrate", "pouring", "--num-episodes", 1, "--output", demonstrations)[0] == 0
    words = ["train", "pouring", *TINY, "--recipe", "teacher", "--demonstrations", demonstrations, "--num-steps"]
    for run, budgets in (("whole", (120,)), ("parted", (40, 120))):
        status, _, error = handful(*words, budgets[0], "--run", tmp_path / run)
        assert status == 0, error
        for budget in budgets[1:]:
            assert handful("train", "pouring", "--resume", tmp_path / run, "--num-steps", budget)[0] == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "parted")
    assert read_description(tmp_path / "whole").config.variant == "eight-balls"
    status, out, _ = handful("evaluate", "pouring", "--policy", tmp_path / "whole", "--num-episodes", 1, "--json")
    report = json.loads(out)
    assert (status, report["variant"], report["num_episodes"]) == (0, None, 1)


def test_an_evaluation_says_how_much_of_the_task_was_done(handful):
    words = ("evaluate", "pouring", "--policy", "zero", "--num-episodes", 1, "--variant", "eight-balls")
    status, out, _ = handful(*words)
    assert status == 0 and "pouring, variant eight-balls: zero, 1 episodes" in out
    assert "balls in the box, at the end" in out and "reached 'over'" in out
    status, out, _ = handful(*words, "--json")
    report = json.loads(out)
    assert (report["variant"], report["mean_score"], report["episodes"][0]["score"]) == ("eight-balls", 0.0, 0.0)


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_an_unknown_variant_is_refused_before_anything_begins(command, handful, tmp_path):
    options = ("--policy", "zero") if command == "evaluate" else ("--run", tmp_path / "run")
    status, _, error = handful(command, "order-fulfillment", "--variant", "two-toy", *options)
    assert status == 2 and "unknown variant of order-fulfillment 'two-toy': did you mean 'two-toys'?" in error
    status, _, error = handful(command, "block-lifting", "--variant", "easy", *options)
    assert status == 2 and "block-lifting has no variants: leave out the variant 'easy'." in error
    assert not (tmp_path / "run").exists()
