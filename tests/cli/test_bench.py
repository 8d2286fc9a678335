"""`handful bench` as its user meets it."""

from __future__ import annotations

import json

import pytest
from command_line import TASK


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
