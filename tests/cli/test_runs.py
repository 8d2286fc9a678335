"""`handful runs` and `handful report` as their user meets them."""

from __future__ import annotations

import html.parser
import json
import shutil

import pytest
from command_line import NUM_STEPS, TASK

from handful.runs.config import RunConfig
from handful.runs.phases import Phase, begin_phases

METRICS = "steps,seconds,success_rate_random_start,return_random_start\n100,60,0.5,10\n200,120,0.625,20\n"


@pytest.fixture
def runs(whole_run, tmp_path):
    """Three runs: a whole one, the same with another discount, and one of two phases whose first has begun."""
    folder = tmp_path / "runs"
    shutil.copytree(whole_run, folder / "first")
    shutil.copytree(whole_run, folder / "deep" / "second")
    config = folder / "deep" / "second" / "config.json"
    config.write_text(config.read_text().replace('"discount": 0.98', '"discount": 0.95'))
    phases = (Phase("teacher", RunConfig(), 100, 1.0), Phase("student", RunConfig(), 100, 1.0))
    begin_phases(folder / "phased", task="pouring", recipe="mine", phases=phases, demonstrations=None)
    (folder / "phased" / "teacher").mkdir()
    (folder / "phased" / "teacher" / "metrics.csv").write_text(METRICS)
    return folder


def test_runs_are_listed_with_what_they_have_reached(runs, handful):
    status, out, err = handful("runs", runs, "--json")
    assert (status, err) == (0, "")
    listed = {each["folder"].removeprefix(f"{runs}/"): each for each in json.loads(out)}
    assert list(listed) == ["deep/second", "first", "phased"]
    first, phased = listed["first"], listed["phased"]
    assert (first["task"], first["recipe"], first["steps"], first["phase"]) == (TASK, "quick", NUM_STEPS, "")
    assert (phased["recipe"], phased["phase"], phased["success"]) == ("mine", "teacher 1/2", 0.625)
    assert (phased["steps"], phased["minutes"], phased["task_return"]) == (200, 2.0, 20.0)


def test_the_table_is_for_people_and_a_damaged_run_is_named(runs, handful, monkeypatch):
    monkeypatch.chdir(runs.parent)
    (runs / "deep" / "second" / "config.json").write_text("{")
    status, out, err = handful("runs")
    assert (status, err) == (0, "")
    assert "runs/first" in out and "62.5%" in out and "pouring" in out
    assert "Left out: runs/deep/second/config.json cannot be read" in out
    status, out, _ = handful("runs", "--task", "pouring")
    assert status == 0 and "runs/phased" in out and "runs/first" not in out


def test_runs_are_compared_by_the_options_in_which_they_differ(runs, handful):
    words = ("runs", runs / "first", runs / "deep" / "second", "--compare")
    status, out, err = handful(*words, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["differences"] == {"ppo.discount": ["0.98", "0.95"]}
    assert "ppo.discount" in handful(*words)[1]


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("nowhere",), 1, "there is no folder nowhere"),
        (("empty",), 1, "empty holds no run"),
        (("runs/first", "--compare"), 2, "expected at least 2 runs to compare, got 1."),
        (("runs", "--task", "purring"), 2, "unknown task 'purring': did you mean 'pouring'?"),
    ],
)
def test_what_cannot_be_listed_is_one_sentence(words, status, sentence, runs, handful, monkeypatch):
    monkeypatch.chdir(runs.parent)
    (runs.parent / "empty").mkdir()
    returned, out, err = handful("runs", *words)
    assert (returned, out, err.count("\n")) == (status, "", 1) and sentence in err


class Page(html.parser.HTMLParser):
    """The tags of a page that refer to something, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [(tag, value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_of_a_run_is_one_page_with_everything_inside(runs, handful):
    status, out, err = handful("report", runs / "first", "--num-episodes", 2)
    assert (status, out, err) == (0, f"{runs / 'first' / 'report.html'}\n", "")
    page = Page((runs / "first" / "report.html").read_text())
    assert [(tag, source.partition(",")[0]) for tag, source in page.sources] == [
        ("video", "data:video/mp4;base64"),
        ("img", "data:image/png;base64"),
    ]
    assert "of 2" in page.text and '"num_envs": 4' in page.text and f"{NUM_STEPS:,}" in page.text


def test_the_report_of_several_runs_says_in_what_they_differ(runs, handful, tmp_path):
    path = tmp_path / "both.html"
    words = ("report", runs / "first", runs / "deep" / "second", "--num-episodes", 0, "--output", path)
    assert handful(*words) == (0, f"{path}\n", "")
    page = Page(path.read_text())
    assert "ppo.discount" in page.text and "not measured" in page.text
    assert all(source.startswith("data:image/png") for _, source in page.sources) and len(page.sources) >= 2


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ((), 2, "expected the folder of at least one run, got none."),
        (("nowhere",), 1, "nowhere holds no run: config.json is missing."),
        (("runs/first", "runs/phased"), 2, "expected runs of one task, got runs of block-lifting, pouring"),
        (("runs/first", "--output", "x.txt"), 2, "expected the name of a report to end in .html, got x.txt."),
        (("runs/first", "--num-episodes", "-1"), 2, "expected --num-episodes of at least 0, got -1."),
        (("runs/first", "--randomization", "ful"), 2, "did you mean 'full'?"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(words, status, sentence, runs, handful, monkeypatch):
    monkeypatch.chdir(runs.parent)
    returned, out, err = handful("report", *words)
    assert (returned, out, err.count("\n")) == (status, "", 1) and sentence in err
    assert not list(runs.rglob("*.html"))
