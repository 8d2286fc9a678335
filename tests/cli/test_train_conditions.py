"""`handful train` under the conditions of a real robot."""

from __future__ import annotations

import pytest
from command_line import TASK, TINY, assert_same_runs

from handful.runs.folder import read_description

pytestmark = pytest.mark.slow


def test_a_run_whose_actions_are_lost_is_resumed_to_the_bit(demonstrations, tmp_path, handful):
    words = ("train", TASK, "--demonstrations", demonstrations, *TINY, "--conditions.named", "dropping")
    assert handful(*words, "--run", tmp_path / "whole", "--num-steps", 160)[0] == 0
    assert handful(*words, "--run", tmp_path / "parts", "--num-steps", 80)[0] == 0
    assert handful("train", TASK, "--resume", tmp_path / "parts", "--num-steps", 160)[0] == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    assert read_description(tmp_path / "whole").config.conditions.resolved().action_drop == 0.5
