from __future__ import annotations

import pytest
import torch

from handful.errors import ConfigurationError
from handful.learning.algorithms.gail import Discriminator
from handful.learning.config import DiscriminatorConfig, TrainerConfig
from handful.learning.data.reward import hybrid_reward


def discriminator(**options) -> Discriminator:
    return Discriminator(DiscriminatorConfig(**options), feature_size=2, action_size=3, seed=0)


def gaussians(num_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2, num_samples, 2, generator=generator)
    return samples[0] + 1.5, samples[1] - 1.5


def test_two_gaussians_are_told_apart_and_the_expert_side_pays_more():
    expert, policy = gaussians(1000)
    subject = discriminator(learning_rate=1e-3)
    for _ in range(20):
        metrics = subject.update(policy=policy, expert=expert)
    # The best possible accuracy is Phi(1.5 sqrt 2) = 0.983.
    assert metrics["discriminator_accuracy_expert"] > 0.95
    assert metrics["discriminator_accuracy_policy"] > 0.95
    no_actions = torch.zeros(1000, 3)
    assert subject.reward(expert, no_actions).mean() > 5 * subject.reward(policy, no_actions).mean()


def test_the_reward_is_minus_log_one_minus_the_probability_of_the_expert():
    subject = discriminator()
    features = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
    probability = torch.sigmoid(subject.logit(features).double())
    reward = subject.reward(features, torch.zeros(100, 3))
    torch.testing.assert_close(reward, -torch.log(1 - probability).float())


def test_the_reward_is_clipped_at_ten():
    subject = discriminator()
    with torch.no_grad():
        subject.network[-1].bias.fill_(1000.0)
    assert subject.reward(torch.zeros(4, 2), torch.zeros(4, 3)).tolist() == [10.0] * 4


def test_actions_are_seen_only_where_asked_for():
    features = torch.zeros(1, 2)
    for use_actions in (False, True):
        subject = discriminator(use_actions=use_actions)
        differs = subject.reward(features, torch.ones(1, 3)) != subject.reward(features, torch.zeros(1, 3))
        assert bool(differs) == use_actions
    with pytest.raises(ConfigurationError, match="the demonstrations hold none"):
        discriminator(use_actions=True).inputs(features, None)


def test_replay_keeps_old_samples_and_goes_on_from_a_saved_state_to_the_bit():
    expert, policy = gaussians(300)
    first = discriminator(replay_size=500, batch_size=64)
    for _ in range(5):
        first.update(policy=policy, expert=expert)
    assert first.num_replayed == 500
    second = discriminator(replay_size=500, batch_size=64)
    second.load_training_state(first.training_state())
    assert first.update(policy=-policy, expert=expert) == second.update(policy=-policy, expert=expert)
    for mine, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(first.replay, second.replay)


def test_the_hybrid_reward_mixes_and_its_ends_are_pure():
    task, imitation = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    for weight, expected in ((0.0, 1.0), (0.25, 1.5), (1.0, 3.0)):
        reward = hybrid_reward(task_reward=task, imitation_reward=imitation, imitation_weight=weight)
        assert reward.item() == expected
    with pytest.raises(ConfigurationError, match="must lie in"):
        TrainerConfig(imitation_weight=1.5)
