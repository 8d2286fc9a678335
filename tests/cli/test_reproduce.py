"""`handful compare`, `plot` and `bench` as their user meets them."""

from __future__ import annotations

import json

import pytest
from command_line import NUM_STEPS, TASK, TINY, assert_same_runs, rows
from PIL import Image

from handful.cli.compare import METHODS
from handful.learning.trainer import Trainer
from handful.runs.folder import read_description


def finished(folder) -> dict[str, bytes]:
    return {str(path.parent): path.read_bytes() for path in folder.glob("*/seed-*/checkpoint.safetensors")}


@pytest.mark.slow
def test_a_comparison_that_was_stopped_trains_what_is_missing_and_nothing_twice(
    tmp_path, demonstrations, whole_run, handful, monkeypatch
):
    folder = tmp_path / "compare"
    words = ("compare", TASK, *TINY, "--num-steps", NUM_STEPS, "--demonstrations", demonstrations, "--output", folder)
    iterate = Trainer.iterate

    def stop_in_the_second_method(self):
        if self.discriminator is None and self.iteration == 3:
            raise KeyboardInterrupt
        return iterate(self)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Trainer, "iterate", stop_in_the_second_method)
        status, out, _ = handful(*words)
    assert status == 130 and "To resume: the same 'handful compare' again." in out
    before = finished(folder)
    assert len(before) == 2

    status, out, err = handful(*words)
    assert (status, err) == (0, "")
    assert f"The curves so far: {folder}/comparison.png" in out
    after = finished(folder)
    assert {path.rpartition("/seed-")[0].rpartition("/")[2] for path in after} == set(METHODS)
    assert after[f"{folder}/full/seed-0"] == before[f"{folder}/full/seed-0"]
    # The full model with seed 0 is what 'handful train' trains.
    assert_same_runs(folder / "full" / "seed-0", whole_run)
    assert all(len(rows(folder / method / "seed-0")) == len(rows(whole_run)) for method in METHODS)
    configs = {method: read_description(folder / method / "seed-0").config for method in METHODS}
    assert {method: config.trainer.imitation_weight for method, config in configs.items()} == {
        **{"full": 0.5, "rl": 0.0, "gail": 1.0, "rl-no-curriculum": 0.0}
    }
    assert [method for method, c in configs.items() if c.curriculum.random_start_probability == 1.0] == [
        "rl-no-curriculum"
    ]

    # More seeds are added to what is there.
    status, _, err = handful(*words, "--num-seeds", 2, "--methods", "rl")
    assert (status, err) == (0, "")
    more = finished(folder)
    assert more.keys() - after.keys() == {f"{folder}/rl/seed-1"}
    assert more.items() >= after.items()
    assert rows(folder / "rl" / "seed-1") != rows(folder / "rl" / "seed-0")
    with Image.open(folder / "comparison.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 400

    # Curves of the same folders, drawn again by hand.
    status, out, _ = handful(
        "plot", folder / "full" / "seed-0", folder / "rl" / "seed-0", "--output", tmp_path / "a.png"
    )
    assert (status, out) == (0, f"{tmp_path}/a.png\n") and (tmp_path / "a.png").exists()


def test_a_comparison_too_short_for_an_episode_trains_all_the_same(tmp_path, demonstrations, handful):
    words = (
        "--num-steps",
        1,
        "--demonstrations",
        demonstrations,
        "--output",
        tmp_path / "c",
        "--methods",
        "rl",
        "gail",
    )
    status, out, err = handful("compare", TASK, *TINY, *words)
    assert (status, err) == (0, "")
    assert "No curves yet: nothing to compare" in out and len(finished(tmp_path / "c")) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--methods", "gial"), "unknown method 'gial': did you mean 'gail'? The choices are: gail, "),
        (("--methods", "full", "full"), "expected each method once"),
        (("--num-seeds", 0), "expected at least 1 seed, got 0."),
        (("--seed", 3), "--seed is what the methods and their seeds are about"),
        (("--imitation-weight", 1), "--imitation-weight is what the methods and their seeds are about"),
        (("--camera-hz", 7), "unknown camera rate 7 Hz"),
        (("--minutes", 0), "expected --minutes above 0, got 0.0."),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(words, sentence, tmp_path, handful):
    budget = () if "--minutes" in words else ("--num-steps", 1)
    status, out, err = handful("compare", TASK, *TINY, "--output", tmp_path / "c", *budget, *words)
    assert (status, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_a_run_is_drawn(whole_run, tmp_path, handful):
    path = tmp_path / "curves.png"
    assert handful("plot", whole_run, "--output", path) == (0, f"{path}\n", "")
    with Image.open(path) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("nowhere",), 1, "nowhere is not a run: expected a folder with metrics.csv, there is none."),
        (("RUN", "--output", "/proc/curves.png"), 1, "cannot write /proc/curves.png"),
        (("RUN", "--output", "curves.doc"), 2, "expected the name of a picture to end in"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(words, status, sentence, whole_run, handful):
    returned, out, err = handful("plot", *(whole_run if word == "RUN" else word for word in words))
    assert (returned, out) == (status, "")
    assert sentence in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_bench_prints_figures_with_units(handful):
    status, out, err = handful("bench", TASK, "--json", "--num-envs", 4, "--seconds", 0.01, "--num-threads", 1)
    assert (status, err, out.count("\n")) == (0, "", 1)
    figures = json.loads(out)
    assert all(figure.keys() >= {"name", "value", "unit"} and figure["value"] > 0 for figure in figures)
    assert figures[0]["task"] == TASK and figures[0]["num_envs"] == 4 and figures[0]["versions"]["torch"]
    names = [figure["name"] for figure in figures]
    assert len(set(names)) == len(names)
    wanted = {"physics", "learning/5hz", "inference/20hz", "update/5hz", "learning/20hz", "memory"} | {
        f"physics_and_camera/{renderer}/{rate}hz" for renderer in ("rasterizer", "raycaster") for rate in (5, 20)
    }
    assert wanted <= set(names)


@pytest.mark.parametrize("words", [("--num-envs", 0), ("--seconds", 0), ("--num-threads", 0)])
def test_a_bench_of_nothing_is_refused(words, handful):
    status, out, err = handful("bench", TASK, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
