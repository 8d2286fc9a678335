"""`handful dataset` as its user meets it."""

from __future__ import annotations

import json
import shutil

import h5py
import pytest
from command_line import NUM_STEPS, TASK, TINY


@pytest.fixture
def without_actions(tmp_path, demonstrations):
    path = tmp_path / "states.hdf5"
    shutil.copy(demonstrations, path)
    with h5py.File(path, "a") as file:
        for episode in file["data"].values():
            del episode["actions"]
    return path


def test_a_file_is_described_checked_and_replayed(demonstrations, handful, tmp_path):
    status, out, _ = handful("dataset", "info", demonstrations, "--json")
    assert status == 0 and json.loads(out)["num_episodes"] == 2
    status, out, _ = handful("dataset", "validate", demonstrations)
    assert (status, out) == (0, f"{demonstrations} is sound.\n")
    video = tmp_path / "replay.mp4"
    status, out, _ = handful("dataset", "replay", demonstrations, "--video", video)
    assert status == 0 and out.count("all states the same to the bit") == 2 and video.stat().st_size > 1000


def test_demonstrations_without_actions_validate_replay_and_train(without_actions, handful, tmp_path):
    assert handful("dataset", "validate", without_actions)[0] == 0
    status, out, _ = handful("dataset", "replay", without_actions)
    assert status == 0 and out.count("state by state, all stages the same") == 2
    options = ("--demonstrations", without_actions, "--num-steps", NUM_STEPS, "--run", tmp_path / "run")
    status, out, err = handful("train", TASK, *TINY, *options)
    assert status == 0, err
    assert "nothing is cloned; their states are learned from" in out


def test_files_are_merged_split_and_converted(demonstrations, handful, tmp_path):
    train, valid, merged, anew = (tmp_path / f"{name}.hdf5" for name in ("train", "valid", "merged", "anew"))
    words = ("--train-output", train, "--valid-output", valid)
    assert handful("dataset", "split", demonstrations, "--valid", 0.5, *words)[0] == 0
    status, out, _ = handful("dataset", "merge", train, valid, "--output", merged)
    assert (status, out) == (0, f"{merged} holds 2 episodes.\n")
    status, out, _ = handful("dataset", "convert", merged, anew)
    assert status == 0 and handful("dataset", "validate", anew)[0] == 0
    status, out, _ = handful("dataset", "convert", merged, tmp_path / "lerobot")
    assert status == 0 and "LeRobotDataset v3 with 2 episodes" in out


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("info", "nowhere.hdf5"), 2, "no demonstration file at 'nowhere.hdf5'"),
        (("inof",), 2, "unknown command of dataset 'inof': did you mean 'info'?"),
        (("validate", "DAMAGED"), 1, "is not a whole HDF5 file"),
        (("replay", "VERSION"), 1, "attribute format_version: expected 4, got 99."),
        (("split", "FILE", "--valid", 2), 2, "expected a share of episodes to test on between 0 and 1, got 2.0."),
        (("merge", "FILE", "--output", "out.hdf5"), 2, "expected at least two files to merge, got 1."),
        (("convert", "FILE", "FILE"), 2, "is there already"),
        (("replay", "FILE", "--video", "x.avi"), 2, "expected the name of a video to end in .mp4"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, status, sentence, tmp_path, demonstrations, handful):
    damaged, version = tmp_path / "damaged.hdf5", tmp_path / "version.hdf5"
    damaged.write_bytes(demonstrations.read_bytes()[:5000])
    shutil.copy(demonstrations, version)
    with h5py.File(version, "a") as file:
        file["data"].attrs["format_version"] = 99
    names = {"DAMAGED": damaged, "VERSION": version, "FILE": demonstrations}
    found, _, err = handful("dataset", *(names.get(word, word) for word in words))
    assert found == status and sentence in err and "Traceback" not in err


def test_options_for_a_person_are_refused_for_the_script(handful, tmp_path):
    status, _, err = handful("demonstrate", TASK, "--output", tmp_path / "a.hdf5", "--keep-automatically")
    assert status == 2 and "--keep-automatically is for demonstrating by hand: add --operator browser" in err
    status, _, err = handful("demonstrate", TASK, "--output", tmp_path / "a.hdf5", "--operator", "spacemose")
    assert status == 2 and "unknown operator 'spacemose': did you mean 'spacemouse'?" in err
