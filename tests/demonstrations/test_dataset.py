from __future__ import annotations

import contextlib
import json

import gymnasium
import h5py
import numpy as np
import pytest
from recording import TASK, make_environment

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.model_signature import model_signature
from handful.demonstrations.sequences import demonstration_sequences
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import OBJECT_FEATURES, OBJECT_POSITIONS, TIME_LEFT
from handful.errors import ConfigurationError, DataError, HandfulError
from handful.runs.config import CurriculumConfig
from handful.runs.starts import make_starts
from handful.simulation.randomization import Level, ParameterSpec


def _unsealed(path):
    """Make a file one of version 2, which had no checksums, so that what follows them is tried."""
    with h5py.File(path, "a") as file:
        _make_old(file, 2)
    return path


def _make_old(file, version):
    """Write a file as versions 1 and 2 were: no `next_obs`, no checksums, and the task's name in `env_args`."""
    data = file["data"]
    header = json.loads(data.attrs["env_args"])
    data.attrs["env_args"] = np.bytes_(json.dumps({**header, "env_name": TASK}))
    data.attrs["format_version"] = version
    for episode in data.values():
        for group, values in episode["next_obs"].items():
            episode[f"final_obs/{group}"] = values[-1]
        del episode["next_obs"]
    data.attrs.pop("sha256")
    data.visititems(lambda name, node: node.attrs.pop("sha256", None) and None)


def _replace(episode, name, change):
    values = change(episode[name][()])
    del episode[name]
    episode[name] = values


def _with_nan(values):
    values = np.array(values)
    values.flat[-1] = np.nan
    return values


def _delete(name):
    def change(episode):
        del episode[name]

    return change


def _edit(name, change):
    return lambda episode: _replace(episode, name, change)


def _attribute(name, value):
    def change(episode):
        episode.attrs[name] = value

    return change


BROKEN_EPISODES = {
    "a missing field": (_delete("actions"), "actions: the field is missing"),
    "a missing observation group": (_delete("obs/proprioception"), "obs/proprioception: the field is missing"),
    "an actor that is none": (_edit("acted_by", lambda a: a + 7), "acted_by: expected numbers from 0 to 2"),
    "a missing final state": (_delete("final_state"), "final_state: the field is missing"),
    "no world": (_delete("world"), "world: the group is missing"),
    "a missing parameter": (_delete("world/block.mass"), "world/block.mass: the field is missing"),
    "NaN in the actions": (_edit("actions", _with_nan), "actions: holds a number that is not finite"),
    "NaN in the states": (_edit("states", _with_nan), "states: holds a number that is not finite"),
    "NaN in an observation": (
        _edit("obs/object_features", _with_nan),
        "obs/object_features: holds a number that is not finite",
    ),
    "NaN in the world": (_edit("world/block.yaw", _with_nan), "world/block.yaw: holds a number that is not finite"),
    "too few actions": (_edit("actions", lambda a: a[:-3]), r"actions: expected shape \(\d+, 9\), got \(\d+, 9\)"),
    "too few stages": (_edit("stages", lambda s: s[:-1]), "stages: expected shape"),
    "too few images": (_edit("obs/pixels", lambda p: p[:-1]), "obs/pixels: expected shape"),
    "states of another size": (_edit("states", lambda s: s[:, :-1]), "states: expected shape"),
    "actions of another type": (_edit("actions", lambda a: a.astype(np.float64)), "actions: expected numbers of type"),
    "actions out of range": (_edit("actions", lambda a: a * 3.0), r"actions: expected values in \[-1, 1\]"),
    "a stage that is none": (_edit("stages", lambda s: s + 7), "stages: expected numbers from 0 to 2"),
    "no number of samples": (lambda episode: episode.attrs.pop("num_samples"), "attribute num_samples: expected"),
    "a wrong number of samples": (_attribute("num_samples", 7), r"obs/proprioception: expected shape \(7, 24\)"),
    "a success that is none": (_attribute("success_step", 0), "success_step: the stages do not stay at the top"),
    "a success after the end": (_attribute("success_step", 9999), "success_step: expected a step from 0 to"),
}


@pytest.mark.parametrize("damage", BROKEN_EPISODES)
def test_the_first_thing_wrong_is_named_by_file_episode_and_field(copy_path, damage):
    change, message = BROKEN_EPISODES[damage]
    with h5py.File(_unsealed(copy_path), "a") as file:
        change(file["data/demo_1"])
    with pytest.raises(DataError, match=rf"broken\.hdf5, episode demo_1, {message}"):
        load_demonstrations(copy_path, TASK)


def test_a_file_of_another_task_says_which(copy_path):
    with h5py.File(_unsealed(copy_path), "a") as file:
        header = json.loads(file["data"].attrs["env_args"])
        file["data"].attrs["env_args"] = json.dumps({**header, "env_name": "handful/Pouring-v0"})
        file["data"].attrs["task"] = "pouring"
        file["data"].attrs["env_args"] = np.bytes_(json.dumps({**header, "env_name": "pouring"}))
    with pytest.raises(DataError, match="of the task 'pouring', not of 'block-lifting'"):
        load_demonstrations(copy_path, TASK)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("model_signature", "0123456789abcdef", "attribute model_signature: recorded with another version"),
        ("format_version", 99, "attribute format_version: expected 4, got 99"),
        ("env_args", "{", "attribute env_args: expected JSON"),
        ("env_args", "[]", "attribute env_args: expected JSON"),
        ("env_args", 3, "attribute env_args: expected JSON"),
        ("env_args", "[" * 60_000, "attribute env_args: expected JSON"),
        ("env_args", {"camera_hz": "5"}, "attribute env_args: expected JSON"),
        ("env_args", {"camera_hz": [5]}, "attribute env_args: expected JSON"),
        ("env_args", {"camera_hz": -1}, "attribute env_args: expected JSON"),
        ("env_args", {"randomization": 7}, "attribute env_args: expected JSON"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(copy_path, attribute, value, message):
    if isinstance(value, dict):
        value = json.dumps({"env_name": TASK, "type": 2, "env_kwargs": value})
    with h5py.File(_unsealed(copy_path), "a") as file:
        file["data"].attrs[attribute] = np.bytes_(value) if isinstance(value, str) else value
    with pytest.raises(DataError, match=message):
        load_demonstrations(copy_path, TASK)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(copy_path, share):
    whole = copy_path.read_bytes()
    copy_path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"broken\.hdf5 is not a whole HDF5 file"):
        load_demonstrations(copy_path, TASK)


def test_a_file_that_is_not_hdf5_or_holds_no_episodes_is_refused(tmp_path, copy_path):
    text = tmp_path / "text.hdf5"
    text.write_text("hello")
    with pytest.raises(DataError, match="not a whole HDF5 file"):
        load_demonstrations(text, TASK)
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="no group 'data'"):
        load_demonstrations(tmp_path / "other.hdf5", TASK)
    with h5py.File(copy_path, "a") as file:
        for name in list(file["data"]):
            del file["data"][name]
    with pytest.raises(DataError, match="holds no episode"):
        load_demonstrations(copy_path, TASK)
    with pytest.raises(ConfigurationError, match="no demonstration file"):
        load_demonstrations(tmp_path / "nowhere.hdf5", TASK)


def test_flipped_bytes_never_end_in_anything_but_a_clear_error(copy_path):
    whole = bytearray(copy_path.read_bytes())
    generator = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(whole)
        for where in generator.integers(0, len(whole), 200):
            broken[where] ^= 0xFF
        copy_path.write_bytes(broken)
        try:
            load_demonstrations(copy_path, TASK)
        except HandfulError as error:
            assert "broken.hdf5" in str(error)


def test_the_images_can_be_left_out(recorded_path):
    for trajectory in load_demonstrations(recorded_path, TASK, pixels=False).trajectories:
        assert "pixels" not in trajectory.observations


def test_the_signature_changes_with_dynamics_and_parameters_but_not_with_looks():
    environment = make_environment(num_envs=1)
    model, parameter_specs = environment.physics.model, environment.parameter_specs
    before = model_signature(model, parameter_specs)
    model.geom_rgba[:] = 0.5
    assert model_signature(model, parameter_specs) == before
    more = (*parameter_specs, ParameterSpec.between("new", 0.0, 1.0, level=Level.TASK))
    assert model_signature(model, more) != before
    model.dof_armature[0] *= 1.1
    assert model_signature(model, parameter_specs) != before


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_older_versions_are_read(copy_path, demonstrations, version):
    """The physical state of version 1 ended with the time left, which is a group of its own now."""
    with h5py.File(copy_path, "a") as file:
        _make_old(file, version)
        for episode in file["data"].values() if version == 1 else ():
            for name in ("obs/physical_state", "final_obs/physical_state"):
                values = episode[name][()]
                del episode[name]
                episode[name] = np.concatenate([values, np.full((*values.shape[:-1], 1), 0.5, np.float32)], axis=-1)
    for old, new in zip(load_demonstrations(copy_path, TASK).trajectories, demonstrations.trajectories, strict=True):
        for group, values in new.observations.items():
            np.testing.assert_array_equal(old.observations[group], values)


def test_files_are_checked_against_a_specification_without_an_environment_for_each(copy_path, monkeypatch):
    spec = DemonstrationSpec.of_task(TASK)
    monkeypatch.setattr("handful.demonstrations.specification.TaskEnvironment", None)
    assert len(load_demonstrations(copy_path, spec)) == 3


def test_env_args_name_an_environment_that_gymnasium_makes(recorded_path):
    with h5py.File(recorded_path) as file:
        header = json.loads(file["data"].attrs["env_args"])
        episode = file["data/demo_0"]
        environment = gymnasium.make(header["env_name"], **header["env_kwargs"])
        observation, _ = environment.reset(seed=0)
        assert set(episode["obs"]) == set(observation) - {TIME_LEFT}
        assert episode["actions"].shape[1:] == environment.action_space.shape
        environment.close()


def test_next_observations_are_those_one_row_later_and_all_episodes_are_to_be_trained_on(recorded_path):
    with h5py.File(recorded_path) as file:
        for name, episode in file["data"].items():
            assert set(episode["next_obs"]) == set(episode["obs"])
            for group, rows in episode["obs"].items():
                np.testing.assert_array_equal(episode["next_obs"][group][:-1], rows[1:])
            assert name.encode() in file["mask/train"][()]


def test_demonstrations_without_actions_are_read_if_no_episode_has_any(copy_path, demonstrations):
    with h5py.File(copy_path, "a") as file:
        for episode in file["data"].values():
            del episode["actions"]
    without = load_demonstrations(copy_path, TASK)
    assert demonstrations.hold_actions and not without.hold_actions
    for left, right in zip(without.trajectories, demonstrations.trajectories, strict=True):
        assert left.actions is None and len(left) == len(right)
        np.testing.assert_array_equal(left.states, right.states)
    assert demonstration_sequences(without, None, frames=False).actions is None


def test_of_another_body_only_what_is_seen_of_objects_is_asked(copy_path):
    with h5py.File(copy_path, "a") as file:
        file["data"].attrs["body"] = np.bytes_("hand")
        with pytest.raises(DataError, match="holds actions of the body 'hand': expected none"):
            load_demonstrations(copy_path, TASK)
        for episode in file["data"].values():
            del episode["actions"], episode["obs/proprioception"], episode["obs/physical_state"]
    demonstrations = load_demonstrations(copy_path, TASK, pixels=False)
    assert demonstrations.body == "hand"
    assert set(demonstrations.trajectories[0].observations) == {OBJECT_FEATURES, OBJECT_POSITIONS}
    with contextlib.closing(make_environment(num_envs=1)) as environment:
        assert make_starts(CurriculumConfig(), demonstrations, environment) is None


@pytest.mark.parametrize(
    "name", ["actions", "rewards", "stages", "states", "final_state", "dones", "obs/pixels", "world/block.mass"]
)
def test_one_changed_number_is_noticed_by_the_checksums(copy_path, name):
    with h5py.File(copy_path, "a") as file:
        values = file[f"data/demo_1/{name}"][()]
        raw = np.atleast_1d(values).view(np.uint8)
        raw.flat[0] ^= 1
        file[f"data/demo_1/{name}"][...] = raw.view(np.atleast_1d(values).dtype).reshape(np.shape(values))
    with pytest.raises(DataError, match=rf"episode demo_1, {name}: its bytes are damaged"):
        load_demonstrations(copy_path, TASK)


@pytest.mark.parametrize("node", ["data", "data/demo_1"])
def test_a_changed_attribute_or_a_missing_checksum_is_noticed(copy_path, node):
    with h5py.File(copy_path, "a") as file:
        before = file[node].attrs["sha256"]
        del file[node].attrs["sha256"]
    with pytest.raises(DataError, match="checksum"):
        load_demonstrations(copy_path, TASK)
    with h5py.File(copy_path, "a") as file:
        file[node].attrs["sha256"] = before
        file["data/demo_1"].attrs["seed"] = np.array([9, 9])
        file["data"].attrs["stages"] = np.bytes_("[]")
    with pytest.raises(DataError, match="checksum"):
        load_demonstrations(copy_path, TASK)
    with h5py.File(copy_path, "a") as file:  # nor can a file be passed off as an older one
        file["data"].attrs["format_version"] = 2
    with pytest.raises(DataError, match="checksum"):
        load_demonstrations(copy_path, TASK)


def _elsewhere(kind, file, tmp_path):
    """Put the actions of an episode where they do not belong."""
    episode = file["data/demo_1"]
    values = episode["actions"][()]
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["actions"] = values
    del episode["actions"]
    if kind == "external link":
        episode["actions"] = h5py.ExternalLink("other.hdf5", "actions")
    elif kind == "soft link":
        episode["actions"] = h5py.SoftLink("/data/demo_0/actions")
    elif kind == "virtual":
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "actions", values.shape)
        episode.create_virtual_dataset("actions", layout)
    elif kind == "external storage":
        external = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
        episode.create_dataset("actions", values.shape, values.dtype, external=external)
    elif kind == "another group":
        del file["data/demo_1"]
        file["data/demo_1"] = h5py.ExternalLink("other.hdf5", "/")


@pytest.mark.parametrize("kind", ["external link", "soft link", "virtual", "external storage", "another group"])
def test_nothing_outside_of_the_file_is_read(copy_path, tmp_path, kind):
    with h5py.File(_unsealed(copy_path), "a") as file:
        _elsewhere(kind, file, tmp_path)
    with pytest.raises(DataError, match=r"episode demo_1, .*(in the file itself|in another one)"):
        load_demonstrations(copy_path, TASK)


def test_numbers_that_would_fill_the_memory_are_refused_before_they_are_read(copy_path):
    with h5py.File(_unsealed(copy_path), "a") as file:
        episode = file["data/demo_1"]
        episode.attrs["num_samples"] = 20_000_000
        for name in ("actions", "states", *(f"obs/{group}" for group in list(episode["obs"]))):
            shape, dtype = episode[name].shape, episode[name].dtype
            del episode[name]
            episode.create_dataset(name, (20_000_000, *shape[1:]), dtype, chunks=(1000, *shape[1:]), compression="gzip")
    with pytest.raises(DataError, match="num_samples: expected an episode of 1 to"):
        load_demonstrations(copy_path, TASK)
    with h5py.File(copy_path, "a") as file:
        for number in range(3, 9_000):
            file[f"data/demo_{number}"] = file["data/demo_0"]
        del file["data/demo_1"]
    with pytest.raises(DataError, match="more than 512 MiB"):
        load_demonstrations(copy_path, TASK)


def test_twenty_thousand_links_are_refused_at_once(copy_path):
    with h5py.File(_unsealed(copy_path), "a") as file:
        for number in range(3, 20_003):
            file[f"data/demo_{number}"] = h5py.SoftLink("/data/demo_0")
    with pytest.raises(DataError, match="expected at most|a link to something else"):
        load_demonstrations(copy_path, TASK)


@pytest.mark.parametrize(("name", "value"), [("block.mass", -1.0), ("block.half_size", 1e30)])
def test_a_world_that_no_episode_can_draw_is_refused(copy_path, name, value):
    with h5py.File(_unsealed(copy_path), "a") as file:
        _replace(file["data/demo_1"], f"world/{name}", lambda values: np.full_like(values, value))
    with pytest.raises(DataError, match=rf"world: the parameter '{name}' is .*, expected"):
        load_demonstrations(copy_path, TASK)
