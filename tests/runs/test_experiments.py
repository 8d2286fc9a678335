from __future__ import annotations

import csv

import numpy as np
import pytest

from handful.config import options_of
from handful.errors import ConfigurationError, DataError
from handful.runs.evaluations import Evaluation, Results, read_evaluations, write_evaluations, write_results
from handful.runs.experiment_run import plan_runs
from handful.runs.experiment_worker import Budget
from handful.runs.experiments import EXPERIMENTS, FIGURE_4, FIGURE_5, method_config
from handful.runs.orderings import bootstrap_interval, decide, judge, write_verdicts
from handful.runs.recipes import find_recipe
from handful.tasks.registry import TASKS

TASK = "block-stacking"


def results_of(returns: dict[str, list[float]], *, steps: int = 100, demonstrations: float = 50.0) -> Results:
    """One evaluation of each seed, by method."""
    runs = {
        (TASK, method): {seed: [Evaluation(steps, 50, 0.5, value)] for seed, value in enumerate(values)}
        for method, values in returns.items()
    }
    return Results(runs, {TASK: demonstrations})


def verdict(returns: dict[str, list[float]], first: str, second: str, **options):
    verdicts = judge(FIGURE_4, results_of(returns, **options))
    return next(each for each in verdicts if (each.ordering.first, each.ordering.second) == (first, second))


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_an_experiment_names_only_what_there_is(experiment):
    names = [method.name for method in experiment.methods]
    assert len(set(names)) == len(names)
    assert set(experiment.tasks) <= set(TASKS)
    assert {name for panel in experiment.panels for name in panel.labels} == set(names)
    for ordering in experiment.orderings:
        assert {ordering.first, ordering.second} <= {*names, "demonstrations"}
        assert set(ordering.tasks) <= set(experiment.tasks)


def test_each_method_changes_one_thing_besides_its_seed():
    common = find_recipe("zhu-2018").config(TASK)
    full = method_config(common, FIGURE_5.method("full"), 3)
    assert full.trainer.seed == 3 and full.trainer.cloning.epochs == 0
    values = dict(options_of(full, inline=("trainer",)))
    for method in FIGURE_5.methods[1:]:
        changed = dict(options_of(method_config(common, method, 3), inline=("trainer",)))
        assert [name for name in values if changed[name] != values[name]] == list(method.changes)


def test_no_method_begins_by_cloning_whatever_the_recipe_does():
    assert find_recipe("quick").config("pouring").trainer.cloning.epochs > 0
    config = method_config(find_recipe("quick").config("pouring"), FIGURE_4.method("full"), 0)
    assert config.trainer.cloning.epochs == 0


def test_runs_are_planned_seed_by_seed_and_are_as_many_as_asked(tmp_path):
    commons = {task: find_recipe("zhu-2018").config(task) for task in ("block-lifting", TASK)}
    runs = plan_runs(FIGURE_4, tmp_path, commons=commons, methods=("full", "rl"), num_seeds=2)
    assert [(run.seed, run.task, run.method) for run in runs] == [
        (seed, task, method) for seed in (0, 1) for task in commons for method in ("full", "rl")
    ]
    assert len({run.folder for run in runs}) == 8
    assert all(run.config.trainer.seed == run.seed for run in runs)


def test_methods_that_options_make_the_same_are_refused(tmp_path):
    common = method_config(find_recipe("zhu-2018").config(TASK), FIGURE_5.method("no-lstm"), 0)
    with pytest.raises(ConfigurationError, match="the methods full and no-lstm are the same"):
        plan_runs(FIGURE_5, tmp_path, commons={TASK: common}, methods=("full", "no-lstm"), num_seeds=1)


def test_the_last_evaluation_is_at_the_end():
    assert Budget(1000, num_evaluations=3, num_episodes=1).targets == [334, 667, 1000]
    assert Budget(2, num_evaluations=4, num_episodes=1).targets[-1] == 2


def test_evaluations_survive_their_file_and_another_file_is_refused(tmp_path):
    evaluations = [Evaluation(100, 50, 0.1, 1 / 3), Evaluation(200, 50, 0.5, 2.0)]
    assert read_evaluations(tmp_path) == []
    write_evaluations(tmp_path, evaluations)
    assert read_evaluations(tmp_path) == evaluations
    (tmp_path / "evaluations.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected the columns steps, num_episodes, success_rate, mean_return"):
        read_evaluations(tmp_path)


def test_a_curve_is_of_the_runs_that_have_come_furthest():
    def run(*returns):
        return [Evaluation(100 * (number + 1), 50, 0.0, value) for number, value in enumerate(returns)]

    results = Results({(TASK, "full"): {0: run(1.0, 2.0), 1: run(3.0, 6.0), 2: run(100.0)}}, {TASK: 0.0})
    steps, returns = results.curve(TASK, "full")
    assert steps == [100, 200]
    np.testing.assert_array_equal(returns, [[1.0, 2.0], [3.0, 6.0]])
    assert results.curve(TASK, "rl")[0] == []


def test_the_csv_holds_every_evaluation_and_the_demonstrations(tmp_path):
    write_results(results_of({"full": [1.5, 2.5], "rl": [0.5]}), tmp_path / "f.csv")
    with open(tmp_path / "f.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["task", "method", "seed", "steps", "success", "return"],
        [TASK, "full", "0", "100", "0.5", "1.5"],
        [TASK, "full", "1", "100", "0.5", "2.5"],
        [TASK, "rl", "0", "100", "0.5", "0.5"],
        [TASK, "demonstrations", "", "", "1.0", "50.0"],
    ]


def test_an_interval_of_seeds_lies_around_the_difference_and_narrows_with_them():
    generator = np.random.default_rng(0)
    widths = []
    for count in (5, 80):
        first, second = generator.normal(10.0, 1.0, count), generator.normal(7.0, 1.0, count)
        low, high = bootstrap_interval(first, second)
        assert low < first.mean() - second.mean() < high
        widths.append(high - low)
    # The standard error of the difference of means of 80 each is 0.158, which makes 0.62 by the normal approximation.
    assert widths[1] == pytest.approx(0.62, rel=0.25) and widths[1] < widths[0]
    assert bootstrap_interval(np.array([1.0]), np.array([2.0, 3.0])) is None
    ends = bootstrap_interval(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
    assert [end.shape for end in ends] == [(2,), (2,)]
    np.testing.assert_allclose(ends, [[1.0, 10.0], [3.0, 30.0]], rtol=0.4)


@pytest.mark.parametrize(
    ("relation", "interval", "outcome"),
    [
        ("above", (1.0, 9.0), "holds"),
        ("above", (-9.0, -1.0), "does not hold"),
        ("above", (-1.0, 9.0), "not decided"),
        ("level with", (-4.0, 4.0), "holds"),
        ("level with", (6.0, 9.0), "does not hold"),
        ("level with", (-9.0, -6.0), "does not hold"),
        ("level with", (1.0, 6.0), "not decided"),
        ("not below", (-4.0, 20.0), "holds"),
        ("not below", (-9.0, -6.0), "does not hold"),
        ("not below", (-6.0, 20.0), "not decided"),
    ],
)
def test_an_interval_decides_a_relation_within_a_margin_of_five(relation, interval, outcome):
    assert decide(relation, interval, margin=5.0) == outcome


def test_methods_that_have_learned_nothing_decide_nothing():
    for relation in ("above", "level with", "not below"):
        assert decide(relation, (0.0, 0.0), margin=0.0) == "not decided"


def test_orderings_are_judged_from_three_seeds_on():
    high, low = [99.0, 100.0, 101.0], [19.0, 20.0, 21.0]
    holds = verdict({"full": high, "rl": low}, "full", "rl")
    assert holds.outcome == "holds" and holds.num_seeds == (3, 3) and holds.steps == 100
    assert holds.difference == pytest.approx(80.0) and 77.0 < holds.interval[0] < 80.0 < holds.interval[1] < 83.0
    assert verdict({"full": low, "rl": high}, "full", "rl").outcome == "does not hold"
    two = verdict({"full": high[:2], "rl": low}, "full", "rl")
    assert two.outcome == "not decided" and two.interval is not None
    one = verdict({"full": high[:1], "rl": low}, "full", "rl")
    assert one.outcome == "not decided" and one.interval is None and one.difference == pytest.approx(79.0)
    missing = verdict({"full": high}, "full", "rl")
    assert missing.outcome == "not decided" and missing.difference is None


def test_a_method_is_compared_with_the_demonstrations_return():
    above = verdict({"full": [60.0, 61.0, 62.0]}, "full", "demonstrations", demonstrations=50.0)
    assert above.outcome == "holds" and above.difference == pytest.approx(11.0) and above.num_seeds == (3,)
    assert above.interval[0] >= 10.0 and above.interval[1] <= 12.0


def test_nothing_is_decided_before_both_methods_have_come_to_the_end():
    results = results_of({"full": [99.0, 100.0, 101.0], "rl": [19.0, 20.0, 21.0]})
    results.evaluations[TASK, "full"][0].append(Evaluation(200, 50, 0.5, 120.0))
    verdicts = judge(FIGURE_4, results)
    assert (verdicts[0].ordering.second, verdicts[0].outcome, verdicts[0].steps) == ("rl", "not decided", 100)


def test_the_table_has_a_row_for_each_verdict(tmp_path):
    verdicts = judge(FIGURE_4, results_of({"full": [99.0, 100.0, 101.0], "rl": [19.0, 20.0, 21.0]}))
    write_verdicts(verdicts, tmp_path / "f.md")
    lines = (tmp_path / "f.md").read_text().splitlines()
    assert lines[0] == "The paper's orderings: 2 hold, 0 do not hold, 4 are not decided."
    rows = [line for line in lines if line.startswith(f"| {TASK} |")]
    assert len(rows) == len(verdicts) == 6
    assert rows[0].startswith(f"| {TASK} | full above rl | holds | 80.0 | 7")
