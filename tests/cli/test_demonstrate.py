"""`handful demonstrate` as its user meets it."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import TASK

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.position_controller import PositionController


def test_a_file_is_filled_up_with_the_episodes_it_would_have_had(tmp_path, demonstrations, handful):
    path = tmp_path / "three.hdf5"
    for num_episodes in (1, 2, 1):
        status, out, err = handful("demonstrate", TASK, "--output", path, "--num-episodes", num_episodes)
        assert (status, out) == (0, "")
    assert f"{path} holds 2 demonstrations; 0 episodes failed and were not kept." in err
    filled, at_once = (load_demonstrations(each, TASK) for each in (path, demonstrations))
    assert len(filled) == len(at_once) == 2
    # Those that are recorded together are kept in the order in which they end.
    pairs = zip(
        *(sorted(each.trajectories, key=lambda episode: episode.seed) for each in (filled, at_once)), strict=True
    )
    for left, right in pairs:
        np.testing.assert_array_equal(left.states, right.states)
        np.testing.assert_array_equal(left.observations["pixels"], right.observations["pixels"])


def test_overwriting_begins_anew(tmp_path, handful):
    path = tmp_path / "one.hdf5"
    words = ("demonstrate", TASK, "--output", path, "--num-episodes", 1)
    assert handful(*words)[0] == 0
    before = load_demonstrations(path, TASK).trajectories[0].seed
    assert handful(*words, "--seed", 1, "--randomization", "full", "--overwrite")[0] == 0
    after = load_demonstrations(path, TASK)
    assert after.trajectories[0].seed != before and after.randomization == "full" and len(after) == 1


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (
            ("--randomization", "full"),
            2,
            "was recorded with randomization task, not full: append with the same options",
        ),
        (("--camera-hz", 20), 2, "was recorded with camera_hz 5, not 20"),
        (("--num-episodes", 0), 2, "expected at least 1 episode, got 0."),
        (("--seed", -1), 2, "expected a seed of at least 0, got -1."),
        (("--camera-hz", 7), 2, "unknown camera rate 7 Hz"),
        (("--randomization", "ful"), 2, "did you mean 'full'?"),
        (("--output", "FILE/below.hdf5"), 1, "cannot make the folder"),
        (("--output", "x.txt"), 2, "expected the name of a demonstration file to end in .hdf5, .h5, got x.txt."),
        (("--output", "FOLDER"), 2, "is a folder: expected the name of a file to write."),
        (("--output", "DAMAGED"), 1, "is not a whole HDF5 file"),
    ],
)
def test_what_cannot_be_recorded_is_one_sentence(words, status, sentence, tmp_path, demonstrations, handful):
    damaged = tmp_path / "damaged.hdf5"
    damaged.write_bytes(demonstrations.read_bytes()[:5000])
    places = {"FILE/below.hdf5": demonstrations / "below.hdf5", "FOLDER": tmp_path, "DAMAGED": damaged}
    words = tuple(places.get(word, word) for word in words)
    before = demonstrations.read_bytes()
    output = () if "--output" in words else ("--output", demonstrations)
    returned, out, err = handful("demonstrate", TASK, *output, *words)
    assert (returned, out) == (status, "")
    assert sentence in err and err.count("\n") == 1
    assert demonstrations.read_bytes() == before


def test_episodes_that_fail_are_counted_and_not_kept(tmp_path, handful, monkeypatch):
    """The tool hangs where it is for the first 300 steps, which is the first episodes' whole time."""
    move, steps = PositionController.action, []

    def hang(self, command):
        steps.append(command)
        action = move(self, command)
        return np.zeros_like(action) if len(steps) <= 300 else action

    monkeypatch.setattr(PositionController, "action", hang)
    path = tmp_path / "one.hdf5"
    status, _, err = handful("demonstrate", TASK, "--output", path, "--num-episodes", 1)
    assert status == 0 and f"{path} holds 1 demonstrations; 1 episodes failed and were not kept." in err
    assert len(load_demonstrations(path, TASK)) == 1
