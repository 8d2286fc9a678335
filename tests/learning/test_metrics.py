from __future__ import annotations

import csv
import pathlib

import pytest
from toy import ToyEnvironment

from handful.errors import DataError, StorageError
from handful.learning.metrics import METRICS, metric_names
from handful.runs.logs import MetricsWriter

NAMES = ("iteration", "steps", "kl")


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [int(float(row["iteration"])) for row in csv.DictReader(file)]


def test_resuming_drops_rows_that_the_checkpoint_does_not_know(tmp_path):
    writer = MetricsWriter(tmp_path, NAMES, tensorboard=False)
    for iteration in range(1, 6):
        writer.write({"iteration": iteration, "steps": 10 * iteration})
    writer.close()
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("6,6")  # a kill in the middle of a row
    writer = MetricsWriter(tmp_path, NAMES, resume_after=3, tensorboard=False)
    writer.write({"iteration": 4, "steps": 40, "kl": 0.5})
    writer.close()
    assert rows(tmp_path) == [1, 2, 3, 4]


def test_each_row_is_on_disk_at_once_and_tensorboard_gets_it_too(tmp_path):
    writer = MetricsWriter(tmp_path, NAMES)
    writer.write({"iteration": 1, "steps": 10, "kl": 0.5})
    assert rows(tmp_path) == [1]
    writer.close()
    assert any("tfevents" in path.name for path in tmp_path.iterdir())


def test_bad_folders_and_foreign_tables_are_refused(tmp_path):
    with pytest.raises(StorageError):
        MetricsWriter(tmp_path / "nowhere", NAMES, tensorboard=False)
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="other columns"):
        MetricsWriter(tmp_path, NAMES, resume_after=1, tensorboard=False)


def test_every_metric_has_one_definition():
    names = metric_names(ToyEnvironment(1).spec)
    assert len(names) == len(set(names)) == len(METRICS) + 1  # two stages for one entry
    assert all(metric.definition.endswith(".") for metric in METRICS)


def test_the_page_of_metrics_defines_every_metric():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    for metric in METRICS:
        assert f"| `{metric.name}` | {metric.unit} | {metric.definition} |" in page


def test_a_full_disk_is_told_once_and_closing_does_not_hide_it(tmp_path, monkeypatch):
    def full(path, mode="r", **options):
        return open("/dev/full" if mode == "a" else path, mode, **options)

    monkeypatch.setattr("handful.runs.logs.open", full, raising=False)
    writer = MetricsWriter(tmp_path, NAMES, tensorboard=False)
    with pytest.raises(StorageError, match=r"metrics\.csv could not be written: the disk is full"):
        writer.write({"iteration": 1, "steps": 10})
    writer.close()
