"""A policy in a script of one's own: what it needs, and that it acts as it was trained to."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import handful
from handful.errors import ConfigurationError
from handful.learning.actors import PolicyActor
from handful.runs.policies import read_policy

TASK = "block-lifting"
NUM_STEPS = 11


@pytest.fixture
def policy():
    return handful.load_policy(TASK)


@pytest.fixture(scope="module")
def recorded():
    """Observations of three simulations in which the policy acted through the environment's contract, and its actions."""
    environment = handful.make(TASK, num_envs=3)
    found = read_policy(TASK, None)
    actor = PolicyActor(found.network, found.manifest)
    step, observations, actions = environment.reset(seeds=range(3)), [], []
    actor.reset()
    for _ in range(NUM_STEPS):
        observations.append({group: np.array(values) for group, values in step.observation.items()})
        actions.append(actor.act(step))
        step = environment.step(actions[-1])
    environment.close()
    return observations, actions


def test_a_batch_acts_as_in_the_environment_to_the_bit(policy, recorded):
    for observation, action in zip(*recorded, strict=True):
        np.testing.assert_array_equal(policy.act(observation), action)


def test_a_single_episode_acts_as_one_of_a_batch(policy, recorded):
    for observation, action in zip(*recorded, strict=True):
        mine = policy.act({group: values[1] for group, values in observation.items()})
        assert mine.shape == (9,) and mine.dtype == np.float32
        np.testing.assert_array_equal(mine, action[1])


def test_images_between_those_of_the_cameras_rate_are_not_looked_at(policy, recorded):
    looked = []
    for observation, action in zip(*recorded, strict=True):
        looked.append(policy.looks)
        shown = dict(observation, pixels=np.full_like(observation["pixels"], 200)) if not policy.looks else observation
        np.testing.assert_array_equal(policy.act(shown), action)
    assert looked == [step % policy.manifest.camera_period == 0 for step in range(NUM_STEPS)]
    policy.reset()
    for observation, action in zip(*recorded, strict=True):  # they may be missing
        kept = observation if policy.looks else {"proprioception": observation["proprioception"]}
        np.testing.assert_array_equal(policy.act(kept), action)


def test_an_episode_that_begins_anew_is_forgotten_and_the_others_are_not(policy, recorded):
    observations, actions = recorded
    for observation in observations[:6]:
        policy.act(observation)
    policy.reset([False, True, False])
    mixed = {name: values.copy() for name, values in observations[6].items()}
    for name, values in mixed.items():
        values[1] = observations[0][name][1]
    action = policy.act(mixed)
    np.testing.assert_array_equal(action[1], actions[0][1])
    np.testing.assert_array_equal(action[[0, 2]], actions[6][[0, 2]])


def test_gymnasiums_environments_and_the_policy_fit_each_other(policy):
    environment = gymnasium.make("handful/BlockLifting-v0", observation="pixels")
    observation, _ = environment.reset(seed=3)
    policy.reset()
    for _ in range(5):
        action = policy.act(observation)
        assert environment.action_space.contains(action.clip(-1, 1))
        observation, *_ = environment.step(action)
    environment.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pixels": None}, "expected the observation group 'pixels', which is missing"),
        ({"proprioception": np.zeros((3, 4), np.float32)}, r"expected proprioception of shape \(3, "),
        ({"pixels": np.zeros((3, 64, 64, 3), np.float32)}, "expected pixels as uint8 from 0 to 255, got float32"),
        (
            {"pixels": np.zeros((3, 3, 64, 64), np.uint8)},
            r"expected pixels of shape \(3, 64, 64, 3\), got \(3, 3, 64, 64\)",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(change, sentence, policy, recorded):
    observation = {name: values for name, values in {**recorded[0][0], **change}.items() if values is not None}
    with pytest.raises(ConfigurationError, match=sentence):
        policy.act(observation)
    np.testing.assert_array_equal(policy.act(recorded[0][0]), recorded[1][0])  # nothing has changed


def test_numbers_that_are_not_finite_and_another_number_of_episodes_are_refused(policy, recorded):
    observation = {name: values.copy() for name, values in recorded[0][0].items()}
    policy.act(observation)
    with pytest.raises(ConfigurationError, match="expected observations of 3 episodes, as since the last reset, got 2"):
        policy.act({name: values[:2] for name, values in observation.items()})
    with pytest.raises(ConfigurationError, match="got a single episode: call reset"):
        policy.act({name: values[0] for name, values in observation.items()})
    with pytest.raises(ConfigurationError, match="expected one bool for each of 3 episodes"):
        policy.reset([True])
    observation["proprioception"][0, 0] = np.nan
    with pytest.raises(ConfigurationError, match="expected finite numbers in proprioception"):
        policy.act(observation)
    for wrong, sentence in (({}, "got none"), ([1.0], "got a list")):
        with pytest.raises(ConfigurationError, match=sentence):
            policy.act(wrong)


def test_the_package_says_what_it_offers():
    assert all(hasattr(handful, name) for name in handful.__all__)
    assert {"load_policy", "__version__"} <= set(handful.__all__) and handful.__version__[0].isdigit()
