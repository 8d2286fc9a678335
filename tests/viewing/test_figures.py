from __future__ import annotations

import pytest
from PIL import Image

from handful.errors import DataError
from handful.runs.evaluations import Evaluation, Results
from handful.runs.experiments import EXPERIMENTS
from handful.viewing.figures import draw_figure


def results_of(experiment, *, num_seeds: int, num_tasks: int) -> Results:
    runs = {
        (task, method.name): {
            seed: [Evaluation(100 * point, 50, 0.5, point + seed + number) for point in (1, 2, 3)]
            for seed in range(num_seeds)
        }
        for task in experiment.tasks[:num_tasks]
        for number, method in enumerate(experiment.methods)
    }
    return Results(runs, dict.fromkeys(experiment.tasks, 2.0))


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_a_panel_for_each_task_and_part(experiment, tmp_path):
    sizes = []
    for num_tasks in (1, 6):
        draw_figure(experiment, results_of(experiment, num_seeds=2, num_tasks=num_tasks), tmp_path / "f.png")
        with Image.open(tmp_path / "f.png") as picture:
            sizes.append(picture.size)
    if experiment.name == "figure-4":
        assert sizes[1][0] > 2 * sizes[0][0] and sizes[1][1] > 1.5 * sizes[0][1]
    else:
        assert sizes[0] == sizes[1] and sizes[0][0] > 1000


def test_one_seed_and_methods_without_runs_are_drawn_all_the_same(tmp_path):
    experiment = EXPERIMENTS["figure-4"]
    results = results_of(experiment, num_seeds=1, num_tasks=2)
    del results.evaluations["block-stacking", "rl"]
    draw_figure(experiment, results, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5_000


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(DataError, match="nothing to draw: no run of figure-4 has been evaluated yet"):
        draw_figure(EXPERIMENTS["figure-4"], Results({}, {}), tmp_path / "f.png")
