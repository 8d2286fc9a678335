from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from recording import SEED, TASK, make_environment, record

from handful.demonstrations import writer as writer_module
from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.operators.operator import ToolCommand
from handful.demonstrations.recorder import record_demonstrations
from handful.demonstrations.writer import DemonstrationWriter
from handful.environment import GROUPS, PIXELS, TIME_LEFT
from handful.errors import ConfigurationError, DataError, StorageError


def _assert_same_episodes(left, right):
    """The same episodes, to the bit, in whatever order they were finished."""
    left, right = ({each.seed: each for each in some.trajectories} for some in (left, right))
    assert left.keys() == right.keys()
    for seed in left:
        np.testing.assert_array_equal(left[seed].states, right[seed].states)
        np.testing.assert_array_equal(left[seed].actions, right[seed].actions)


def test_replaying_the_actions_from_the_first_state_reproduces_every_state(demonstrations):
    environment = make_environment(num_envs=1)
    for trajectory in demonstrations.trajectories:
        environment.reset()
        environment.restore(np.arange(1), [trajectory.parameters], trajectory.states[:1])
        states = [environment.physics.get_state()[0]]
        for action in trajectory.actions:
            environment.step(action[None])
            states.append(environment.physics.get_state()[0])
        np.testing.assert_array_equal(np.stack(states), trajectory.states)


def test_an_episode_holds_all_groups_and_ends_two_seconds_after_a_success_that_lasts(demonstrations):
    for trajectory in demonstrations.trajectories:
        assert set(trajectory.observations) == set(GROUPS) - {TIME_LEFT}
        assert len(trajectory) - trajectory.success_step == 40
        assert (trajectory.stages[trajectory.success_step :] == demonstrations.top_stage).all()
        assert trajectory.stages[trajectory.success_step - 1] != demonstrations.top_stage
        assert trajectory.stages[0] == 0
        np.testing.assert_array_equal(trajectory.rewards, np.float32([0.0, 0.125, 1.0])[trajectory.stages[1:]])


def test_images_are_held_between_those_that_the_camera_takes(demonstrations):
    pixels = demonstrations.trajectories[0].observations[PIXELS]
    assert pixels.dtype == np.uint8
    for step in range(1, 40):
        assert (step % 4 == 0) or (pixels[step] == pixels[step - 1]).all()
    assert (pixels[40] != pixels[0]).any()


def test_which_episodes_are_kept_does_not_depend_on_the_number_of_simulations(tmp_path, recorded_path):
    path = tmp_path / "one.hdf5"
    record(path, 3, environment=make_environment(num_envs=1))
    _assert_same_episodes(
        load_demonstrations(path, TASK, pixels=False), load_demonstrations(recorded_path, TASK, pixels=False)
    )


def test_failures_are_counted_and_not_kept(tmp_path):
    class Sleeper:
        def reset(self, ids, seeds): ...

        def command(self, snapshot):
            return ToolCommand.rest(len(snapshot.tcp_position))

    path = tmp_path / "none.hdf5"
    environment = make_environment(num_envs=4, horizon=45)
    writer = DemonstrationWriter(path, environment)
    seen = []
    with pytest.raises(ConfigurationError, match=r"failed 2[1-4] times and succeeded 0 times"):
        record_demonstrations(
            environment,
            Sleeper(),
            writer,
            num_demonstrations=4,
            seed=0,
            on_progress=lambda p: seen.append(p.num_failed),
        )
    assert seen == list(range(1, len(seen) + 1))
    assert not path.exists()


def test_a_file_that_is_there_is_neither_replaced_nor_extended_unasked(copy_path):
    before = copy_path.read_bytes()
    with pytest.raises(ConfigurationError, match="is there already: choose"):
        record(copy_path, 1)
    assert copy_path.read_bytes() == before


def test_overwriting_replaces_the_file_only_when_the_first_episode_is_finished(copy_path):
    environment = make_environment()
    DemonstrationWriter(copy_path, environment, overwrite=True)
    assert len(load_demonstrations(copy_path, TASK)) == 3
    record(copy_path, 1, overwrite=True)
    assert len(load_demonstrations(copy_path, TASK)) == 1


def test_appending_with_another_camera_or_level_is_refused(copy_path):
    with pytest.raises(ConfigurationError, match="recorded with camera_hz 5, not None"):
        record(copy_path, 4, append=True)
    with pytest.raises(ConfigurationError, match="recorded with randomization full, not none"):
        record(copy_path, 4, append=True, environment=make_environment(pixels=True, randomization="none"))


def test_appending_to_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "text.hdf5"
    path.write_text("not HDF5")
    with pytest.raises(DataError, match=r"text.hdf5 is not a whole HDF5 file"):
        record(path, 1, append=True)


@pytest.mark.parametrize("moment", ["before it replaces the file", "in the middle of writing an episode"])
def test_a_recording_killed_at_any_moment_loses_only_episodes_in_progress(tmp_path, moment):
    path, whole = tmp_path / "killed.hdf5", tmp_path / "whole.hdf5"
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
        from recording import record
        from handful import storage
        from handful.demonstrations import writer
        module, name = {"(storage, 'sync')" if moment.startswith("before") else "(writer, 'write_episode')"}
        real, calls = getattr(module, name), 0
        def deadly(*arguments, **others):
            global calls
            calls += 1
            if calls == (5 if name == "sync" else 3):
                if name == "write_episode":
                    arguments[0].create_group("demo_2")["actions"] = [1.0] * 5000
                    arguments[0].file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **others)
        setattr(module, name, deadly)
        record({str(path)!r}, 4)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(load_demonstrations(path, TASK)) == 2

    record(path, 4, append=True)
    record(whole, 4)
    _assert_same_episodes(load_demonstrations(path, TASK), load_demonstrations(whole, TASK))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed.hdf5", "whole.hdf5"]


def test_a_full_disk_is_told_in_words_and_leaves_the_file_as_it_was(copy_path, monkeypatch):
    def full(*arguments, **others):
        raise OSError(28, "No space left on device")

    before = copy_path.read_bytes()
    monkeypatch.setattr(writer_module, "write_episode", full)
    with pytest.raises(StorageError, match=r"cannot write .* holds 3 episodes: the disk is full"):
        record(copy_path, 4, append=True, environment=make_environment(pixels=True))
    assert copy_path.read_bytes() == before
    assert list(copy_path.parent.iterdir()) == [copy_path]


def test_a_disk_that_is_full_at_any_byte_ends_in_a_sentence_and_every_episode_before_is_kept(copy_path, recorded_path):
    before = copy_path.read_bytes()
    whole = load_demonstrations(recorded_path, TASK, pixels=False)
    writer = DemonstrationWriter(copy_path, make_environment(pixels=True), append=True)
    free = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for part in range(30):  # the limit on a file's size refuses a write as a full disk does, after a part of it
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * part // 29, free[1][1]))
            with pytest.raises(StorageError, match=r"cannot write .* holds 3 episodes"):
                writer.append(whole.trajectories[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free[1])
        signal.signal(signal.SIGXFSZ, free[0])
    assert copy_path.read_bytes() == before
    writer.append(whole.trajectories[0])
    writer.close()
    assert len(load_demonstrations(copy_path, TASK, pixels=False)) == 4
    assert list(copy_path.parent.iterdir()) == [copy_path]


def test_a_second_recording_to_one_file_is_refused_and_names_the_first(copy_path):
    with contextlib.closing(DemonstrationWriter(copy_path, make_environment(pixels=True), append=True)):
        script = f"""
            import sys
            sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
            from recording import record
            record({str(copy_path)!r}, 4, append=True)
        """
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        second = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], env=paths, check=False, capture_output=True, text=True
        )
    assert f"{copy_path.name}' is in use by process {os.getpid()}" in second.stderr
    assert len(load_demonstrations(copy_path, TASK, pixels=False)) == 3


def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        record(tmp_path / "file" / "demos.hdf5", 1)


def test_the_layout_is_robomimics(recorded_path):
    with h5py.File(recorded_path) as file:
        data = file["data"]
        assert data.attrs["total"] == sum(data[name].attrs["num_samples"] for name in data)
        for episode in data.values():
            length = episode.attrs["num_samples"]
            for name in (
                "actions",
                "states",
                "rewards",
                "dones",
                *(f"obs/{group}" for group in GROUPS if group != TIME_LEFT),
            ):
                assert len(episode[name]) == length
            assert episode["dones"][-1] == 1
            assert episode.attrs["seed"][0] == SEED
