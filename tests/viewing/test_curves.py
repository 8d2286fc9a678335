from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.errors import ConfigurationError, DataError, StorageError
from handful.learning.metrics import METRICS
from handful.viewing.curves import Curve, curves_by_method, mean_over_seeds, read_curve
from handful.viewing.plots import PANELS, draw_comparison, draw_run


@pytest.fixture
def write_run(tmp_path):
    def write(text, name="first"):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.csv").write_text(text)
        return folder

    return write


def curve_of(name="run", **columns):
    return Curve(run=name, columns={key: np.asarray(values, float) for key, values in columns.items()})


def learning_curve(seed, num_rows=60):
    generator = np.random.default_rng(seed)
    steps = np.arange(1, num_rows + 1) * 20_000.0
    names = {column for panel in PANELS for column in panel.columns}
    rising = 1 / (1 + np.exp(-(steps - 5e5) / 1e5)) + generator.normal(0, 0.02, num_rows)
    columns = {name: np.abs(rising) + 1e-3 for name in sorted(names)}
    return curve_of(f"seed-{seed}", steps=steps, minutes=steps / 60_000, **columns)


def test_empty_cells_are_unknown_and_a_torn_last_line_is_left_out(write_run):
    curve = read_curve(write_run("steps,kl\n1,\n2,0.5\n3,0."))
    np.testing.assert_array_equal(curve.columns["kl"], [np.nan, 0.5])
    assert [list(values) for values in curve.series("steps", "kl")] == [[2], [0.5]]


def test_what_a_run_wrote_beyond_the_checkpoint_it_went_back_to_is_left_out(write_run):
    curve = read_curve(write_run("steps,kl\n10,1\n20,2\n30,3\n20,4\n30,5\n40,6\n"))
    np.testing.assert_array_equal(curve.columns["steps"], [10, 20, 30, 40])
    np.testing.assert_array_equal(curve.columns["kl"], [1, 4, 5, 6])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps,kl\n", "holds no metrics yet"),
        ("steps,kl\n1,2\n1\n", "line 3: expected 2 values, got 1"),
        ("steps,kl\n1,much\n", "line 2, kl: expected a number, got 'much'"),
        ("kl\n1\n", "no column 'steps'; its columns are: kl"),
    ],
)
def test_metrics_that_are_wrong_are_named(write_run, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_curve(write_run(text))


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(DataError, match="is not a run"):
        read_curve(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("num_seeds", "quantile"),
    [(2, 12.7062), (3, 4.3027), (11, 2.2281), (12, 2.2010), (21, 2.0860), (101, 1.9840)],
)
def test_half_an_interval_is_the_tabulated_quantile_of_student_t_in_standard_errors(num_seeds, quantile):
    # Two values at equal distance from the mean, and the rest on it, have a standard error of sqrt(2 / (n (n - 1))).
    values = [-1.0, 1.0, *[0.0] * (num_seeds - 2)]
    curves = [curve_of(steps=[0, 10], kl=[value, value]) for value in values]
    _, _, half_width = mean_over_seeds(curves, "steps", "kl", num_points=2)
    error = np.sqrt(2 / (num_seeds * (num_seeds - 1)))
    np.testing.assert_allclose(half_width / error, quantile, atol=6e-5)  # the table has four decimals


def test_the_interval_is_that_of_a_mean_of_three_by_hand():
    curves = [curve_of(steps=[0, 10], kl=[value, value]) for value in (1.0, 2.0, 3.0)]
    _, mean, half_width = mean_over_seeds(curves, "steps", "kl", num_points=3)
    np.testing.assert_allclose(mean, 2.0)
    # Standard deviation 1, so the standard error is 1 / sqrt(3); t has 2 degrees of freedom.
    np.testing.assert_allclose(half_width, 4.3027 / np.sqrt(3), atol=5e-5)


def test_seeds_are_averaged_only_where_all_of_them_have_reported():
    curves = [curve_of(steps=[0, 10, 20], kl=[0, 10, 20]), curve_of(steps=[5, 15], kl=[5, 15])]
    steps, mean, half_width = mean_over_seeds(curves, "steps", "kl", num_points=11)
    assert (steps[0], steps[-1]) == (5, 15)
    np.testing.assert_allclose(mean, steps)
    np.testing.assert_allclose(half_width, 0, atol=1e-12)


def test_one_seed_has_no_interval():
    steps, mean, half_width = mean_over_seeds([curve_of(steps=[1, 2], kl=[3, 4])], "steps", "kl")
    assert (list(steps), list(mean), half_width) == ([1, 2], [3, 4], None)


def test_a_run_is_drawn_with_all_its_panels(tmp_path):
    draw_run(learning_curve(0), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_methods_are_drawn_though_one_has_a_single_seed_and_one_has_nothing_yet(tmp_path):
    methods = {
        "full": [learning_curve(seed) for seed in range(3)],
        "gail": [learning_curve(7, num_rows=30)],
        "rl": [curve_of(steps=[1.0], minutes=[0.1])],
    }
    assert draw_comparison(methods, tmp_path / "deeper" / "comparison.png") == ["rl"]
    assert (tmp_path / "deeper" / "comparison.png").stat().st_size > 10_000


def test_nothing_to_compare_is_said(tmp_path):
    with pytest.raises(DataError, match="nothing to compare: none of the runs of full, rl"):
        draw_comparison({"full": [curve_of(steps=[1.0])], "rl": []}, tmp_path / "x.png")


def test_runs_of_several_tasks_are_not_drawn_on_one_axis(write_run, tmp_path):
    curves = {}
    for task in ("pouring", "block-lifting"):
        folder = write_run("steps,success_rate_random_start\n1,0.5\n2,0.6\n", task)
        (folder / "config.json").write_text(f'{{"task": "{task}"}}')
        curves[task] = [read_curve(folder)]
    with pytest.raises(ConfigurationError, match="expected runs of one task, got runs of block-lifting, pouring"):
        draw_comparison(curves, tmp_path / "x.png")


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        draw_run(learning_curve(0), tmp_path / "file" / "curves.png")


def test_seeds_belong_to_the_method_that_their_parent_names():
    curves = [curve_of(path) for path in map(Path, ("a/full/seed-0", "a/full/seed-1", "a/rl"))]
    assert {method: len(members) for method, members in curves_by_method(curves).items()} == {"full": 2, "rl": 1}


def test_runs_of_the_same_name_in_two_folders_are_not_seeds_of_each_other():
    curves = [curve_of(path) for path in map(Path, ("a/first", "b/first", "b/second"))]
    methods = curves_by_method(curves)
    assert {method: len(members) for method, members in methods.items()} == {"a/first": 1, "b/first": 1, "second": 1}


def test_minutes_come_from_the_seconds_that_a_run_writes(write_run):
    curve = read_curve(write_run("steps,seconds\r\n1,30\r\n2,90\r\n"))
    np.testing.assert_array_equal(curve.columns["minutes"], [0.5, 1.5])


def test_every_metric_that_the_figure_shows_is_one_that_training_writes():
    written = {metric.name for metric in METRICS}
    assert {column for panel in PANELS for column in panel.columns} <= written
