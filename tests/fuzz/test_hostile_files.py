"""Files that a stranger, a bad disk or a full one has made: each is told in a sentence, or read as it was written."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pathlib
import signal

import h5py
import numpy as np
import pytest
import torch
from harness import HOSTILE, NUM_CASES, changed, check, findings, flipped
from recording import TASK, make_environment, record
from toy import ToyEnvironment, expert

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.specification import DemonstrationSpec
from handful.errors import DataError
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.trainer import TrainerConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.persistence.array_file import read_arrays, write_arrays
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.persistence.policy_file import POLICY_FORMAT, PolicyManifest, load_policy, save_policy
from handful.learning.trainer import Trainer
from handful.runs.config import check_settings
from handful.runs.evaluations import read_evaluations
from handful.runs.folder import read_description
from handful.runs.logs import MetricsWriter
from handful.runs.phases import PhasedDescription, has_phases, read_phases, write_phases
from handful.runs.recipes import find_recipe
from handful.viewing.curves import read_curve

SMALL = TrainerConfig(rollout_steps=8, cloning=CloningConfig(epochs=0), discriminator=DiscriminatorConfig(batch_size=8))
EXPERT = expert()


pytestmark = pytest.mark.usefixtures("one_thread")
"""A child that is forked has none of its parent's threads, and must not wait for them."""


def test_the_harness_finds_what_ends_hangs_swells_or_raises():
    def case(rng):
        match rng.randrange(4):
            case 0:
                os.kill(os.getpid(), signal.SIGKILL)
            case 1:
                raise KeyError("x")
            case 2:
                raise DataError("fine")

    found = findings(case, num_cases=30)
    assert any("the process ended" in each for each in found) and any("KeyError" in each for each in found)
    numbers = [int(each.split()[1].rstrip(":")) for each in found]
    assert numbers == sorted(set(numbers)) and 5 < len(numbers) < 25


def _digest(arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name}{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def policy_path(tmp_path_factory) -> pathlib.Path:
    torch.set_num_threads(1)
    spec = ToyEnvironment(2).spec
    policy = Policy(SMALL.policy, PolicySizes.of(spec, SMALL.policy), seed=0)
    path = tmp_path_factory.mktemp("policy") / "policy.safetensors"
    noted = {"num_episodes": 3, "mean_return": 1.0, "return_interval": [0.0, 2.0]}
    save_policy(path, policy, PolicyManifest.of(policy, spec, training={"demonstrations": noted}))
    return path


def _policy_digest(path) -> str:
    policy, manifest = load_policy(path)
    return _digest({name: value.numpy() for name, value in policy.state_dict().items()}) + repr(manifest)


def test_changed_policies(policy_path, tmp_path):
    whole, expected, path = policy_path.read_bytes(), _policy_digest(policy_path), tmp_path / "policy.safetensors"

    def case(rng):
        path.write_bytes(flipped(whole, rng))
        assert _policy_digest(path) == expected, "loads changed without being told"

    check(case)


def test_policies_with_a_manifest_that_cannot_be(policy_path, tmp_path):
    metadata, arrays = read_arrays(policy_path, kind="policy", file_format=POLICY_FORMAT)
    manifest, path = json.loads(metadata["manifest"]), tmp_path / "policy.safetensors"

    def case(rng):
        text = json.dumps(changed(manifest, rng)) if rng.random() < 0.95 else "[" * 100_000
        some = dict(arrays)
        if rng.random() < 0.2:
            name = rng.choice(list(some))
            values = [
                some[name].astype(np.int32),
                some[name] * np.nan,
                np.atleast_1d(some[name])[:1],
                some[name].astype(np.float16),
            ]
            some[name] = rng.choice(values)
        write_arrays(path, some, {"format": POLICY_FORMAT, "manifest": text})
        load_policy(path)

    check(case)


@pytest.fixture(scope="module")
def demonstrations_path(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("demonstrations") / "lifting.hdf5"
    record(path, 2, environment=make_environment(num_envs=2))
    return path


def _episodes_digest(path, spec) -> str:
    demonstrations = load_demonstrations(path, spec)
    arrays = {}
    for number, each in enumerate(demonstrations.trajectories):
        fields = {"actions": each.actions, "states": each.states, "rewards": each.rewards, "stages": each.stages}
        fields |= {f"obs/{name}": values for name, values in each.observations.items()}
        fields |= {f"world/{name}": values for name, values in each.parameters.items()}
        fields |= {"success": np.array(each.success_step), "seed": np.array(each.seed)}
        arrays |= {f"{number}/{name}": values for name, values in fields.items()}
    return _digest(arrays) + f"{demonstrations.randomization} {demonstrations.camera_hz}"


def test_changed_demonstrations(demonstrations_path, tmp_path):
    spec, whole, path = DemonstrationSpec.of_task(TASK), demonstrations_path.read_bytes(), tmp_path / "broken.hdf5"
    expected = _episodes_digest(demonstrations_path, spec)

    def case(rng):
        path.write_bytes(flipped(whole, rng))
        assert _episodes_digest(path, spec) == expected, "loads changed without being told"

    check(case, num_cases=2 * NUM_CASES)


def test_demonstrations_with_members_that_cannot_be(demonstrations_path, tmp_path):
    spec, whole, path = DemonstrationSpec.of_task(TASK), demonstrations_path.read_bytes(), tmp_path / "broken.hdf5"

    def case(rng):
        path.write_bytes(whole)
        with h5py.File(path, "a") as file:
            file["data"].attrs["format_version"] = 2  # whose files have no checksums
            nodes = ["data"]
            file["data"].visit(lambda name: nodes.append(f"data/{name}"))
            for name in nodes:
                file[name].attrs.pop("sha256", None)
            for _ in range(rng.randint(1, 3)):
                name = rng.choice(nodes)
                _spoil(file, name, rng)
        load_demonstrations(path, spec)

    check(case)


def _spoil(file, name, rng) -> None:
    try:
        node = file[name]
    except KeyError:  # a link that an earlier change put there leads nowhere
        return
    if rng.random() < 0.3 and len(node.attrs):
        value = rng.choice(HOSTILE)
        try:
            node.attrs[rng.choice(list(node.attrs))] = np.bytes_(value) if isinstance(value, str) else value
        except (TypeError, ValueError, OverflowError):
            return  # HDF5 has no such value
    elif isinstance(node, h5py.Dataset):
        values = node[()]
        kinds = [values.astype(np.float16), np.full_like(values, 1), values[..., None], values.astype(np.complex64)]
        if values.dtype.kind == "f":
            kinds += [values * np.nan, values * 1e30, -values]
        del file[name]
        file[name] = rng.choice(kinds)
    elif name != "data":
        del file[name]
        if rng.random() < 0.5:
            file[name] = rng.choice(
                [h5py.SoftLink("/data"), h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink(name)]
            )


@pytest.mark.parametrize("recipe", ["quick", "teacher-student"])
def test_configurations_that_cannot_be(recipe, tmp_path):
    phases = find_recipe(recipe).phases(TASK)
    write_phases(tmp_path, PhasedDescription(TASK, tmp_path / "d.hdf5", recipe, tuple(phases)))
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    if recipe == "quick":
        values |= {"config": values.pop("phases")[0]["config"]}

    def case(rng):
        text = json.dumps(changed(values, rng)).encode()
        path.write_bytes(flipped(text, rng) if rng.random() < 0.3 else text)
        if has_phases(tmp_path):
            for phase in read_phases(tmp_path).phases:
                check_settings(phase.config)
        else:
            check_settings(read_description(tmp_path).config)

    check(case)


def test_logs_that_cannot_be(tmp_path):
    names, path = ("iteration", "steps", "seconds", "return_random_start"), tmp_path / "metrics.csv"
    rows = [names, *((number, 480 * number, 1.5 * number, 0.25) for number in range(1, 30))]

    def case(rng):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(rows)
        content = path.read_bytes()
        if rng.random() < 0.5:
            content = content.replace(b"0.25", rng.choice((b"1e308", b"nan", b"-inf", b"\x1b[31m", b"9" * 5000)), 3)
            content = content.replace(b"480", rng.choice((b"480", b"", b"-1", b"inf", b"a,b")), 1)
        path.write_bytes(flipped(content, rng) if rng.random() < 0.8 else content)
        (tmp_path / "evaluations.csv").write_bytes(
            flipped(b"steps,num_episodes,success_rate,mean_return\n1,2,3,4\n", rng)
        )
        rng.choice(
            (lambda: read_curve(tmp_path), lambda: read_evaluations(tmp_path), lambda: _resume(tmp_path, names))
        )()

    check(case)


def _resume(folder, names) -> None:
    MetricsWriter(folder, names, resume_after=20, tensorboard=False).close()


def test_checkpoints_that_cannot_be(tmp_path):
    trainer = Trainer(SMALL, ToyEnvironment(4), EXPERT)
    trainer.iterate()
    tree, path = trainer.state_dict(), tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, tree)
    whole = path.read_bytes()

    def spoiled(node, rng):
        if isinstance(node, dict) and node:
            name = rng.choice(list(node))
            if rng.random() < 0.1:
                return {key: value for key, value in node.items() if key != name}
            return {**node, name: spoiled(node[name], rng)}
        if isinstance(node, np.ndarray):
            kinds = [node.astype(np.int8), np.atleast_1d(node)[:0], node[None], np.zeros(3, np.float32), 0, None, {}]
            return rng.choice(kinds)
        return rng.choice([None, 0, -1, "abc", 1e300, 10**30, True, {}, {"a": 1}])

    def case(rng):
        if rng.random() < 0.3:
            path.write_bytes(flipped(whole, rng))
        else:
            save_checkpoint(path, spoiled(tree, rng))
        Trainer(SMALL, ToyEnvironment(4), EXPERT).load_state_dict(load_checkpoint(path))

    check(case)
