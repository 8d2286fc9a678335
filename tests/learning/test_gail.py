from __future__ import annotations

import pytest
import torch
from toy import ToyEnvironment

from handful.errors import ConfigurationError
from handful.learning.algorithms.gail import Discriminator
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.trainer import TrainerConfig
from handful.learning.data.reward import hybrid_reward
from handful.sequences import Sequences


def discriminator(**options) -> Discriminator:
    return Discriminator(DiscriminatorConfig(**options), ToyEnvironment(1).spec, seed=0)


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
    assert subject.reward(expert).mean() > 5 * subject.reward(policy).mean()


def test_the_reward_is_minus_log_one_minus_the_probability_of_the_expert():
    subject = discriminator()
    features = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
    probability = torch.sigmoid(subject.logit(features).double())
    reward = subject.reward(features)
    torch.testing.assert_close(reward, -torch.log(1 - probability).float())


def test_the_reward_is_clipped_at_ten():
    subject = discriminator()
    with torch.no_grad():
        subject.network[-1].bias.fill_(1000.0)
    assert subject.reward(torch.zeros(4, 2)).tolist() == [10.0] * 4


def steps(actions, **groups) -> Sequences:
    """One step of one sequence, with outcomes of these values."""
    outcomes = {"object_features": torch.zeros(1, 1, 2), "proprioception": torch.zeros(1, 1, 2)}
    outcomes |= {name: torch.full((1, 1, 2), value) for name, value in groups.items()}
    mask = torch.ones(1, 1, dtype=torch.bool)
    return Sequences(vectors={}, outcomes=outcomes, actions=actions, mask=mask, episode_start=mask)


def test_actions_are_seen_only_where_asked_for():
    for use_actions in (False, True):
        subject = discriminator(use_actions=use_actions)
        rewards = [subject.reward(subject.inputs(steps(torch.full((1, 1, 3), value)))) for value in (0.0, 1.0)]
        assert bool(rewards[0] != rewards[1]) == use_actions
    with pytest.raises(ConfigurationError, match="the demonstrations hold none"):
        discriminator(use_actions=True).inputs(steps(None))


def test_the_arm_is_seen_only_where_asked_for():
    """The ablation "no discriminator mask" of the paper's Fig. 5."""
    for groups, sees in ((("object_features",), False), (("object_features", "proprioception"), True)):
        subject = discriminator(groups=groups)
        rewards = [subject.reward(subject.inputs(steps(None, proprioception=value))) for value in (0.0, 1.0)]
        assert bool(rewards[0] != rewards[1]) == sees
    with pytest.raises(ConfigurationError, match="groups other than pixels"):
        discriminator(groups=("pixels",))
    with pytest.raises(ConfigurationError, match="unknown observation group 'arm'"):
        discriminator(groups=("arm",))


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


def test_the_gradient_is_penalised_between_expert_and_policy_where_that_is_asked_for():
    """With expert and policy far apart, the logit is flat at either and steep between them."""
    policy, expert = gaussians(512)
    penalties = {}
    for where in ("expert", "between"):
        subject = discriminator(penalty_at=where, gradient_penalty=0.0, learning_rate=1e-2)
        for _ in range(20):
            metrics = subject.update(policy=policy - 4.0, expert=expert + 4.0)
        penalties[where] = metrics["discriminator_gradient_penalty"]
    assert penalties["between"] > 1.2 * penalties["expert"]


def test_only_solved_states_have_a_least_reward():
    subject = discriminator(solved_reward=1.0)
    with torch.no_grad():
        subject.network[-1].bias.fill_(-5.0)
    features, solved = torch.zeros(2, 2), torch.tensor([True, False])
    assert subject.reward(features, solved=solved).tolist() == [1.0, float(subject.reward(features)[1])]
    with torch.no_grad():
        subject.network[-1].bias.fill_(5.0)
    assert torch.equal(subject.reward(features, solved=solved), subject.reward(features))
