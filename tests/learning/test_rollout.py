from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import ToyEnvironment

from handful.errors import TrainingError
from handful.learning.config.models import PolicyConfig
from handful.learning.data.collector import RolloutCollector
from handful.learning.models.policy import Policy, PolicySizes

GROUPS = ("physical_state", "object_features")


class Recording:
    """An environment that remembers what it reported."""

    def __init__(self, environment: ToyEnvironment) -> None:
        self._environment = environment
        self.reports = []
        self.actions = []

    def __getattr__(self, name):
        return getattr(self._environment, name)

    def reset(self, **options):
        self.reports.append(self._environment.reset(**options))
        return self.reports[-1]

    def step(self, action):
        self.actions.append(action.copy())
        self.reports.append(self._environment.step(action))
        return self.reports[-1]


def recorded_rollouts(num_rollouts: int, **options):
    environment = Recording(ToyEnvironment(5, camera_period=4, divergence=0.1, staggered=True, **options))
    policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    collector = RolloutCollector(environment, environment.reset(seeds=range(5)), policy, num_steps=10, groups=GROUPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_rollouts):
        rollout = collector.collect(generator=generator)
    return environment, rollout, collector, policy


@pytest.mark.parametrize("num_rollouts", [1, 4])
def test_a_rollout_holds_what_the_environment_reported(num_rollouts):
    environment, rollout, _, _ = recorded_rollouts(num_rollouts)
    before, after = environment.reports[-11:-1], environment.reports[-10:]
    for t in range(10):
        observation = before[t].observation
        np.testing.assert_array_equal(rollout.sequences.frames[rollout.sequences.frame_index[t]], observation["pixels"])
        np.testing.assert_array_equal(rollout.sequences.vectors["proprioception"][t], observation["proprioception"])
        np.testing.assert_array_equal(rollout.sequences.vectors["physical_state"][t], observation["physical_state"])
        # The very first time step has no end before it, but begins episodes.
        start = before[t].done if len(environment.reports) > 11 or t > 0 else np.ones(5, dtype=bool)
        np.testing.assert_array_equal(rollout.sequences.episode_start[t], start)
        np.testing.assert_array_equal(rollout.task_reward[t], after[t].reward)
        np.testing.assert_array_equal(rollout.terminated[t], after[t].terminated)
        np.testing.assert_array_equal(rollout.truncated[t], after[t].truncated)
        np.testing.assert_array_equal(rollout.action[t], environment.actions[-10:][t])
    assert rollout.sequences.mask.all()
    assert rollout.episodes == [episode for step in after for episode in step.episodes]


def test_the_state_reached_is_the_final_one_where_an_episode_ended():
    environment, rollout, _, _ = recorded_rollouts(3)
    num_ends = 0
    for t, step in enumerate(environment.reports[-10:]):
        for env in range(5):
            reached = step.final_observation if step.done[env] else step.observation
            for group, outcome in rollout.sequences.outcomes.items():
                np.testing.assert_array_equal(outcome[t, env], reached[group][env])
            num_ends += step.done[env]
    assert num_ends > 2


def test_the_auxiliary_target_is_where_the_objects_were_when_the_image_was_taken():
    class Drifting(ToyEnvironment):
        """The target moves at every step, so that an old image has an old target."""

        def step(self, action):
            self._target += 0.01
            return super().step(action)

    environment = Recording(Drifting(3, camera_period=4))
    policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    collector = RolloutCollector(environment, environment.reset(seeds=range(3)), policy, num_steps=6, groups=GROUPS)
    generator = torch.Generator().manual_seed(0)
    collector.collect(generator=generator)
    rollout = collector.collect(generator=generator)
    # The second rollout begins at step 6 with the image of step 4, and sees those of steps 8 and (of 11 steps) no more.
    for t, taken in enumerate((4, 4, 8, 8, 8, 8)):
        expected = environment.reports[taken].observation["object_positions"]
        np.testing.assert_array_equal(rollout.sequences.frame_positions[rollout.sequences.frame_index[t]], expected)


def test_more_new_images_than_expected_find_room():
    environment = ToyEnvironment(2, camera_period=50, divergence=0.9)
    policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    collector = RolloutCollector(environment, environment.reset(seeds=range(2)), policy, num_steps=40, groups=GROUPS)
    rollout = collector.collect(generator=torch.Generator().manual_seed(0))
    assert len(rollout.sequences.frames) > 60


class OnDevice(Recording):
    """An environment whose images are tensors, as those of a GPU are."""

    def reset(self, **options):
        return self._with_tensors(super().reset(**options))

    def step(self, action):
        return self._with_tensors(super().step(action))

    def _with_tensors(self, time_step):
        time_step.observation["pixels"] = torch.from_numpy(time_step.observation["pixels"])
        return time_step


@pytest.mark.parametrize("divergence", [0.1, 0.9])  # with 0.9, more images come than were expected
def test_images_may_be_tensors(divergence):
    rollouts = []
    for kind in (Recording, OnDevice):
        environment = kind(ToyEnvironment(3, camera_period=10, divergence=divergence))
        policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
        collector = RolloutCollector(
            environment, environment.reset(seeds=range(3)), policy, num_steps=20, groups=GROUPS
        )
        generator = torch.Generator().manual_seed(0)
        collector.collect(generator=generator)
        rollouts.append(collector.collect(generator=generator))
        first = rollouts[-1].select(torch.tensor([0, 2]))
        policy.evaluate_sequence(first.sequences).mean.sum().backward()
    arrays, tensors = rollouts
    assert tensors.sequences.frames.equal(arrays.sequences.frames)
    assert tensors.action.equal(arrays.action)


def test_an_action_that_is_not_finite_never_reaches_the_environment():
    environment, _, collector, policy = recorded_rollouts(1)
    with torch.no_grad():
        policy.mean_layer.bias[1] = float("nan")
    num_reports = len(environment.reports)
    with pytest.raises(TrainingError, match="action 1 in simulation 0 is nan"):
        collector.collect(generator=torch.Generator())
    assert len(environment.reports) == num_reports


def test_images_after_an_action_are_kept_where_a_value_function_sees_them():
    environment = Recording(ToyEnvironment(5, camera_period=4, divergence=0.1, staggered=True))
    policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    collector = RolloutCollector(
        environment, environment.reset(seeds=range(5)), policy, num_steps=10, groups=GROUPS, outcome_frames=True
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        rollout = collector.collect(generator=generator)
    num_ends = 0
    for t, step in enumerate(environment.reports[-10:]):
        for env in range(5):
            reached = step.final_observation if step.done[env] else step.observation
            seen = rollout.sequences.frames[rollout.sequences.outcome_frame_index[t, env]]
            np.testing.assert_array_equal(seen, reached["pixels"][env])
            num_ends += step.done[env]
    assert num_ends > 2


def test_a_policy_without_pixels_asks_for_none():
    environment = ToyEnvironment(3)
    observation = environment._observation
    environment._observation = lambda: {name: each for name, each in observation().items() if name != "pixels"}
    config = PolicyConfig(groups=("physical_state",), recurrent=False, activation="elu", vector_sizes=(32, 16))
    policy = Policy(config, PolicySizes.of(environment.spec, config), seed=0)
    collector = RolloutCollector(environment, environment.reset(seeds=range(3)), policy, num_steps=10, groups=GROUPS)
    rollout = collector.collect(generator=torch.Generator().manual_seed(0))
    assert rollout.sequences.frames is None
    torch.testing.assert_close(policy.evaluate_sequence(rollout.sequences).mean, rollout.mean, rtol=0, atol=1e-6)
