"""An exported policy: the same actions as torch's, without torch, and files that are not of one another are refused."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import handful
from handful.cli.main import run_command_line
from handful.environment import ArraySpec
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.config.models import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.simulation.jaco import JACO
from handful.transfer.export import TOLERANCE, export_policy
from handful.transfer.exported import OnnxPolicy

TASK = "block-lifting"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_whole_episodes_agree_with_torch_when_the_exported_policy_acts(exported):
    """Two episodes at ``full``, in which the next observation follows from the exported policy's action."""
    theirs, mine = handful.load_policy(TASK), OnnxPolicy.read(exported)
    environment = handful.make(TASK, num_envs=1, randomization="full", num_threads=1)
    for seed in range(2):
        step = environment.reset(seeds=[seed])
        theirs.reset()
        mine.reset()
        for _ in range(environment.horizon):
            observation = {group: values[0] for group, values in step.observation.items()}
            action = mine.act(observation)
            np.testing.assert_allclose(action, theirs.act(observation), atol=TOLERANCE, rtol=0.0)
            step = environment.step(action[None])
    environment.close()


@pytest.mark.parametrize(
    "config",
    [
        PolicyConfig(recurrent=False),
        PolicyConfig(vector_sizes=(32, 16), activation="elu", image_features=24, hidden_size=12),
        PolicyConfig(groups=("proprioception",)),
        PolicyConfig(groups=("pixels",), vector_sizes=()),
    ],
)
def test_other_networks_are_exported_too(config, found, tmp_path):
    observations = {group: found.manifest.observations[group] for group in config.groups}
    pixels = "pixels" in config.groups
    sizes = PolicySizes((64, 64, 3) if pixels else None, 24 if "proprioception" in config.groups else 0, 9, 3 * pixels)
    network = Policy(config, sizes, seed=1)
    manifest = dataclasses.replace(
        found.manifest, observations=observations, policy=config, object_positions=3 * pixels
    )
    exported = export_policy(network, manifest, JACO, tmp_path / "other.onnx")  # which compares them
    assert exported.state_size == (config.hidden_size if config.recurrent else 0)
    assert OnnxPolicy.read(tmp_path / "other.onnx").looks == pixels


def test_the_manifest_says_what_a_robot_must_know(exported, found):
    manifest = json.loads(exported.with_suffix(".json").read_text())
    assert (manifest["task"], manifest["arm"]) == (TASK, "jaco")
    assert (manifest["control_timestep"], manifest["camera_period"]) == (0.05, 4)
    assert manifest["observations"]["pixels"]["shape"] == [64, 64, 3]
    assert manifest["observations"]["proprioception"]["names"][0] == "sin_joint_1"
    np.testing.assert_allclose(manifest["action_scale"], [*np.deg2rad([36, 36, 36, 48, 48, 48]), 1, 1, 1])
    assert manifest["action"]["names"][-1] == "finger_3" and {"torch", "onnx", "handful"} <= manifest["versions"].keys()


@pytest.mark.slow
def test_it_runs_where_neither_torch_nor_mujoco_can_be_imported(exported):
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "mujoco", "mujoco_warp", "warp", "dm_control", "numba", "onnx"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
from handful.transfer.exported import OnnxPolicy

policy = OnnxPolicy.read(sys.argv[1])
observation = {"pixels": np.full((64, 64, 3), 100, np.uint8), "proprioception": np.full(24, 0.1, np.float32)}
print(*[policy.velocities(policy.act(observation))[0] for _ in range(6)])
"""
    words = [sys.executable, "-c", program, str(exported)]
    root = pathlib.Path(__file__).parents[2]
    printed = subprocess.run(words, capture_output=True, text=True, check=True, cwd=root).stdout
    policy = handful.load_policy(TASK)
    observation = {"pixels": np.full((64, 64, 3), 100, np.uint8), "proprioception": np.full(24, 0.1, np.float32)}
    expected = [np.clip(policy.act(observation)[0], -1, 1) * np.deg2rad(36) for _ in range(6)]
    np.testing.assert_allclose([float(word) for word in printed.split()], expected, atol=TOLERANCE)


def test_images_in_between_may_be_missing_and_an_episode_begins_anew(exported):
    policy, generator = OnnxPolicy.read(exported), np.random.default_rng(3)
    image = generator.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    vector = np.zeros(24, np.float32)
    first = [policy.act({"pixels": image, "proprioception": vector}) for _ in range(6)]
    policy.reset()
    again = [policy.act({"proprioception": vector, **({"pixels": image} if policy.looks else {})}) for _ in range(6)]
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 1e-4  # it remembers


def test_what_no_robot_measures_is_refused(found, tmp_path):
    config = PolicyConfig(groups=("physical_state",), vector_sizes=(8,))
    manifest = dataclasses.replace(
        found.manifest, observations={"physical_state": ArraySpec((5,), "float32")}, policy=config, object_positions=0
    )
    with pytest.raises(ConfigurationError, match="reads physical_state, which no robot measures"):
        export_policy(Policy(config, PolicySizes(None, 5, 9, 0), seed=0), manifest, JACO, tmp_path / "no.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_finite_is_refused_and_nothing_written(found, tmp_path):
    network = Policy(found.manifest.policy, found.manifest.sizes, seed=0)
    network.mean_layer.bias.data[0] = np.nan
    with pytest.raises(TrainingError, match="differs from the trained one"):
        export_policy(network, found.manifest, JACO, tmp_path / "bad.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda graph, manifest: graph.write_bytes(b"something else"), "is not the graph of"),
        (lambda graph, manifest: manifest.write_text("{}"), "expected the manifest of an exported policy"),
        (lambda graph, manifest: manifest.write_text("nonsense"), "is no JSON"),
        (lambda graph, manifest: manifest.write_text(manifest.read_text().replace("0.05", "-1.0")), "control_timestep"),
        (
            lambda graph, manifest: manifest.write_text(manifest.read_text().replace('"pixels"', '"p"')),
            "has the inputs",
        ),
        (lambda graph, manifest: manifest.unlink(), "there is no file"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(change, sentence, exported, tmp_path):
    graph, manifest = tmp_path / "lifting.onnx", tmp_path / "lifting.json"
    graph.write_bytes(exported.read_bytes())
    manifest.write_text(exported.with_suffix(".json").read_text())
    change(graph, manifest)
    with pytest.raises((ConfigurationError, DataError), match=sentence):
        OnnxPolicy.read(graph)


@pytest.mark.parametrize(
    ("observation", "sentence"),
    [
        ({"proprioception": np.zeros(24, np.float32)}, "'pixels', which is missing"),
        ({"pixels": np.zeros((64, 64, 3)), "proprioception": np.zeros(24, np.float32)}, "expected pixels as uint8"),
        ({"pixels": np.zeros((64, 64, 3), np.uint8), "proprioception": np.zeros(23)}, r"of shape \(24,\)"),
        ({"pixels": np.zeros((64, 64, 3), np.uint8), "proprioception": np.full(24, np.nan)}, "expected finite numbers"),
    ],
)
def test_observations_that_do_not_fit_are_refused_in_a_sentence(observation, sentence, exported):
    with pytest.raises(ConfigurationError, match=sentence):
        OnnxPolicy.read(exported).act(observation)


def test_the_command_writes_both_files_and_says_where(tmp_path, capsys):
    assert run_command_line(["export", TASK, "--output", str(tmp_path / "new" / "policy.onnx")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'policy.onnx'}\n"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["policy.json", "policy.onnx"]


def test_mistakes_of_the_command_are_one_sentence(tmp_path, capsys):
    for words, sentence in (
        (["export", "scripted"], "'scripted' is no trained policy"),
        (["export", TASK, "--output", str(tmp_path / "policy.pt")], "to end in .onnx"),
        (["export", "nowhere"], "unknown policy 'nowhere'"),
    ):
        assert run_command_line(words) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
