from __future__ import annotations

import dataclasses

import pytest
import torch
from toy import ToyEnvironment

from handful.environment import ArraySpec
from handful.errors import DataError
from handful.learning.config.models import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.persistence.checkpoint import save_checkpoint
from handful.learning.persistence.policy_file import PolicyManifest, check_policy_fits, load_policy, save_policy

SPEC = ToyEnvironment(1).spec


def policy_and_manifest():
    policy = Policy(PolicyConfig(hidden_size=20, auxiliary_sizes=(10,)), PolicySizes.of(SPEC, PolicyConfig()), seed=3)
    policy.vector_normalizer.update(torch.randn(10, 2))
    return policy, PolicyManifest.of(policy, SPEC, training={"minutes": 20})


def test_a_policy_comes_back_to_the_bit_with_its_manifest(tmp_path):
    policy, manifest = policy_and_manifest()
    save_policy(tmp_path / "p.safetensors", policy, manifest)
    loaded, same_manifest = load_policy(tmp_path / "p.safetensors")
    assert same_manifest == manifest
    assert same_manifest.observations.keys() == {"pixels", "proprioception"}
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_what_is_no_policy_is_named(tmp_path):
    policy, manifest = policy_and_manifest()
    path = tmp_path / "p.safetensors"
    with pytest.raises(DataError, match="there is no policy"):
        load_policy(path)
    save_policy(path, policy, manifest)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="only a part"):
        load_policy(path)
    save_checkpoint(path, {})
    with pytest.raises(DataError, match="handful-checkpoint-3"):
        load_policy(path)


def test_a_policy_that_does_not_fit_is_told_what_differs():
    _, manifest = policy_and_manifest()
    check_policy_fits(manifest, SPEC)
    pixels = ArraySpec(shape=(64, 64, 3), dtype="uint8")
    body = ArraySpec(shape=(2,), dtype="float32", names=("vx", "vz"))
    other = dataclasses.replace(SPEC, observations={**SPEC.observations, "pixels": pixels, "proprioception": body})
    with pytest.raises(DataError) as error:
        check_policy_fits(manifest, other)
    assert "pixels has shape (24, 24, 3) in the policy and (64, 64, 3) in the task" in str(error.value)
    assert "proprioception has entry 1 'vy' in the policy and 'vz' in the task" in str(error.value)
