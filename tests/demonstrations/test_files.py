from __future__ import annotations

import contextlib
import shutil

import h5py
import numpy as np
import pytest
from recording import TASK

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.files.lerobot import write_lerobot
from handful.demonstrations.files.merging import mark_valid, merge, split
from handful.demonstrations.files.reading import opened
from handful.demonstrations.files.replaying import replay_file
from handful.demonstrations.files.robomimic import RobomimicReader
from handful.demonstrations.files.summary import summarize
from handful.demonstrations.files.validation import problems_in
from handful.demonstrations.sealed import seal
from handful.errors import ConfigurationError, DataError


def _without_actions(path):
    with h5py.File(path, "a") as file:
        for episode in file["data"].values():
            del episode["actions"]
    return path


def _edit(path, name, change):
    with h5py.File(path, "a") as file:
        values = change(file[name][()])
        del file[name]
        file[name] = values
        if not name.startswith("mask"):
            seal(file[name], values)


def test_a_recorded_file_is_sound_and_so_is_one_without_actions(copy_path):
    assert problems_in(copy_path) == []
    assert problems_in(_without_actions(copy_path)) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (
            "data/demo_1/next_obs/object_features",
            lambda rows: rows[::-1],
            "next_obs/object_features: expected the rows",
        ),
        ("data/demo_1/dones", lambda rows: rows * 0, "dones: expected 1 at the last step"),
        ("data/demo_1/states", lambda rows: rows[::-1], "stages: the state of step 0 is in stage 2"),
        ("mask/train", lambda rows: np.array([b"demo_9"]), "mask/train: names the episode 'demo_9'"),
    ],
)
def test_what_does_not_follow_from_the_rest_of_a_file_is_found(copy_path, name, change, problem):
    _edit(copy_path, name, change)
    assert any(problem in found for found in problems_in(copy_path))


def test_every_damaged_episode_is_named_and_not_only_the_first(copy_path):
    for number in (0, 2):
        _edit(copy_path, f"data/demo_{number}/rewards", lambda rows: rows * np.nan)
    found = problems_in(copy_path)
    assert [problem.split(",")[1].strip() for problem in found] == ["episode demo_0", "episode demo_2"]


def test_episodes_replay_to_the_bit_and_a_changed_action_is_found(copy_path):
    assert all(replay.first_different is None and replay.by_actions for replay in replay_file(copy_path))

    def nudged(actions):
        actions[5] = 0.9 * actions[5] + 0.05
        return actions

    _edit(copy_path, "data/demo_1/actions", nudged)
    assert [replay.first_different for replay in replay_file(copy_path)] == [None, 6, None]


def test_episodes_without_actions_replay_state_by_state(copy_path):
    replays = list(replay_file(_without_actions(copy_path)))
    assert all(replay.first_different is None and not replay.by_actions for replay in replays)


def test_merging_keeps_every_episode_once(copy_path, tmp_path):
    train, valid, merged = (tmp_path / f"{name}.hdf5" for name in ("train", "valid", "merged"))
    _, chosen = split(copy_path, train, valid, share=0.3, seed=1)
    assert len(chosen) == 1
    assert merge(merged, [train, valid, copy_path]) == (3, 3)
    assert problems_in(merged) == []
    parts = [each.states.tobytes() for each in load_demonstrations(merged, TASK).trajectories]
    assert set(parts) == {each.states.tobytes() for each in load_demonstrations(copy_path, TASK).trajectories}


def test_files_that_differ_are_not_merged(copy_path, recorded_path, tmp_path):
    output = tmp_path / "merged.hdf5"
    with pytest.raises(ConfigurationError, match="which differ in actions: some and none"):
        merge(output, [recorded_path, _without_actions(copy_path)])
    with pytest.raises(ConfigurationError, match="is there already"):
        merge(copy_path, [recorded_path, recorded_path])
    assert not output.exists()


def test_masks_divide_a_file_in_place(copy_path):
    train, valid = mark_valid(copy_path, share=0.3, seed=0)
    with h5py.File(copy_path) as file:
        for mask, names in (("train", train), ("valid", valid)):
            assert [member.decode() for member in file[f"mask/{mask}"]] == names
    assert len(valid) == 1 and len(train) == 2 and problems_in(copy_path) == []


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_leaves_nothing_is_refused(copy_path, share):
    with pytest.raises(ConfigurationError, match="expected a share"):
        mark_valid(copy_path, share=share, seed=0)


def test_a_summary_says_who_acted_and_how_long(recorded_path):
    summary = summarize(recorded_path)
    assert summary["task"] == TASK and summary["num_episodes"] == 3
    assert summary["steps_by"] == {"script": summary["num_steps"]}
    assert sum(summary["mean_seconds_in_stage"].values()) * 3 == pytest.approx(summary["seconds"], abs=0.1)


def _bare(path, source, *, short):
    """A file of states and actions alone, as robomimic keeps raw demonstrations."""
    with h5py.File(path, "w") as file, h5py.File(source) as whole:
        data = file.create_group("data")
        data.attrs["env_args"] = whole["data"].attrs["env_args"].decode()
        for name, episode in whole["data"].items():
            bare = data.create_group(name)
            bare.attrs["num_samples"] = episode.attrs["num_samples"]
            states = episode["states"][()]
            bare["states"] = states[:, : 1 + 16 + 15] if short else states
            bare["actions"] = episode["actions"][()].astype(np.float64)
            episode.copy("world", bare)


@pytest.mark.parametrize("short", [False, True])
def test_bare_robomimic_files_are_read_with_images_drawn_anew(recorded_path, demonstrations, tmp_path, short):
    bare = tmp_path / "bare.hdf5"
    _bare(bare, recorded_path, short=short)
    with contextlib.closing(RobomimicReader(bare)) as reader:
        read = list(reader.episodes())
    for left, right in zip(read, demonstrations.trajectories, strict=True):
        np.testing.assert_array_equal(left.stages, right.stages)
        np.testing.assert_array_equal(left.actions, right.actions)
        np.testing.assert_array_equal(left.observations["pixels"], right.observations["pixels"])
        np.testing.assert_allclose(
            left.observations["object_features"], right.observations["object_features"], atol=1e-4
        )
        if not short:
            np.testing.assert_array_equal(left.states, right.states)


def test_a_file_of_an_unknown_environment_says_how_to_name_the_task(recorded_path, tmp_path):
    bare = tmp_path / "bare.hdf5"
    _bare(bare, recorded_path, short=False)
    with h5py.File(bare, "a") as file:
        file["data"].attrs["env_args"] = '{"env_name": "Lift", "type": 1, "env_kwargs": {}}'
    with pytest.raises(ConfigurationError, match="'Lift', which is no task of handful.*--task"):
        RobomimicReader(bare)
    with contextlib.closing(RobomimicReader(bare, task=TASK)) as reader:
        assert next(reader.episodes()).stages[-1] == 2
    with contextlib.closing(RobomimicReader(bare, task="pouring")) as reader, pytest.raises(DataError, match="states:"):
        next(reader.episodes())


def test_a_lerobot_data_set_holds_every_frame(recorded_path, demonstrations, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "lerobot"
    with opened(recorded_path) as file:
        episodes = (trajectory for _, trajectory in file.episodes())
        assert write_lerobot(folder, file.spec, episodes, instruction="Lift it.", pixels=True) == 3
    frames = parquet.read_table(folder / "data/chunk-000/file-000.parquet").to_pydict()
    actions = np.concatenate([each.actions for each in demonstrations.trajectories])
    np.testing.assert_array_equal(np.asarray(frames["action"], np.float32), actions)
    assert frames["index"] == list(range(len(actions)))


def test_lerobot_itself_reads_what_is_written(recorded_path, demonstrations, tmp_path):
    datasets = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    folder = tmp_path / "lerobot"
    with opened(recorded_path) as file:
        write_lerobot(folder, file.spec, (t for _, t in file.episodes()), instruction="Lift it.", pixels=True)
    read = datasets.LeRobotDataset("local/lifting", root=folder)
    trajectory = demonstrations.trajectories[1]
    first = int(read.meta.episodes[1]["dataset_from_index"])
    frame = read[first + 7]
    np.testing.assert_array_equal(frame["action"].numpy(), trajectory.actions[7])
    np.testing.assert_array_equal(frame["observation.state"].numpy(), trajectory.observations["proprioception"][7])
    pixels = frame["observation.images.front"].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(pixels, trajectory.observations["pixels"][7] / 255.0, atol=1e-6)
    assert frame["task"] == "Lift it." and len(read) == sum(map(len, demonstrations.trajectories))


def test_robomimics_own_loader_reads_it_with_its_defaults(recorded_path, demonstrations, tmp_path):
    dataset = pytest.importorskip("robomimic.utils.dataset")
    observations = pytest.importorskip("robomimic.utils.obs_utils")
    groups = ["proprioception", "object_features"]
    observations.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": groups, "rgb": []}})
    path = shutil.copy(recorded_path, tmp_path)
    read = dataset.SequenceDataset(path, groups, ["actions", "rewards", "dones"], filter_by_attribute="train")
    assert len(read) == sum(map(len, demonstrations.trajectories))
    first = demonstrations.trajectories[0]
    np.testing.assert_array_equal(read[3]["next_obs"]["proprioception"][0], first.observations["proprioception"][4])
