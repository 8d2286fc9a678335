from __future__ import annotations

import numpy as np
import pytest
import torch

from handful.learning.data.advantage import generalized_advantage, standardized


def column(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)[:, None]


def advantage(reward, value, *, terminated, truncated, final_value, gae_lambda):
    return generalized_advantage(
        reward=column(*reward),
        value=column(*value),
        final_value=column(*final_value),
        terminated=column(*terminated, dtype=torch.bool),
        truncated=column(*truncated, dtype=torch.bool),
        discount=0.5,
        gae_lambda=gae_lambda,
    )[:, 0].tolist()


def test_three_steps_by_hand():
    # d = (1 + .5 * 4 - 2, 0 + .5 * 8 - 4, 2 + .5 * 16 - 8) = (1, 0, 2); decay .5 * .5 = .25
    result = advantage(
        (1, 0, 2), (2, 4, 8, 16), terminated=(0, 0, 0), truncated=(0, 0, 0), final_value=(0, 0, 0), gae_lambda=0.5
    )
    assert result == pytest.approx([1 + 0.25 * 0.5, 0.25 * 2, 2])


def test_termination_has_no_future_by_hand():
    # Step 1 ends: d_1 = 0 - 4; whatever the next episode's values are.
    result = advantage(
        (1, 0, 2), (2, 4, 8, 16), terminated=(0, 1, 0), truncated=(0, 0, 0), final_value=(0, 99, 0), gae_lambda=0.5
    )
    assert result == pytest.approx([1 - 0.25 * 4, -4, 2])


def test_truncation_bootstraps_with_the_final_observation_by_hand():
    # Step 1 ends at the time limit: d_1 = 0 + .5 * 6 - 4 = -1
    result = advantage(
        (1, 0, 2), (2, 4, 8, 16), terminated=(0, 0, 0), truncated=(0, 1, 0), final_value=(0, 6, 0), gae_lambda=0.5
    )
    assert result == pytest.approx([1 - 0.25 * 1, -1, 2])


def test_lambda_one_is_the_papers_k_step_estimator():
    # A_0 = 1 + .5 * 0 + .25 * 2 + .125 * 16 - 2
    result = advantage(
        (1, 0, 2), (2, 4, 8, 16), terminated=(0, 0, 0), truncated=(0, 0, 0), final_value=(0, 0, 0), gae_lambda=1.0
    )
    assert result == pytest.approx([1 + 0.5 + 2 - 2, 0 + 1 + 4 - 4, 2 + 8 - 8])


@pytest.mark.parametrize("gae_lambda", [0.0, 0.9, 1.0])
def test_random_rollouts_equal_the_definition_for_each_simulation_alone(gae_lambda):
    generator = np.random.default_rng(1)
    num_steps, num_envs, discount = 30, 12, 0.9
    reward, final_value = generator.normal(size=(2, num_steps, num_envs))
    value = generator.normal(size=(num_steps + 1, num_envs))
    terminated = generator.random((num_steps, num_envs)) < 0.1
    truncated = (generator.random((num_steps, num_envs)) < 0.1) & ~terminated
    result = generalized_advantage(
        reward=torch.from_numpy(reward),
        value=torch.from_numpy(value),
        final_value=torch.from_numpy(final_value),
        terminated=torch.from_numpy(terminated),
        truncated=torch.from_numpy(truncated),
        discount=discount,
        gae_lambda=gae_lambda,
    ).numpy()
    for env in range(num_envs):
        for t in range(num_steps):
            # sum_k (gamma lambda)^k d_{t+k} up to the episode's or the rollout's end
            expected = 0.0
            for k, i in enumerate(range(t, num_steps)):
                beyond = value[i + 1, env]
                if terminated[i, env]:
                    beyond = 0.0
                elif truncated[i, env]:
                    beyond = final_value[i, env]
                delta = reward[i, env] + discount * beyond - value[i, env]
                expected += (discount * gae_lambda) ** k * delta
                if terminated[i, env] or truncated[i, env]:
                    break
            assert result[t, env] == pytest.approx(expected, abs=1e-12)


def test_each_large_group_of_advantages_is_scaled_by_itself():
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(0, 3, (200, 8), generator=generator)
    scales, means = torch.tensor([0.01, 1.0, 300.0]), torch.tensor([0.5, 0.0, -40.0])
    advantage = torch.randn(group.shape, generator=generator) * scales[group] + means[group]
    result = standardized(advantage, group)
    for each in range(3):
        of_group = result[group == each]
        assert abs(float(of_group.mean())) < 1e-4
        assert float(of_group.std(correction=0)) == pytest.approx(1.0, abs=1e-4)
    one = standardized(advantage, torch.zeros_like(group))
    torch.testing.assert_close(one, (advantage - advantage.mean()) / advantage.std(correction=0))


def test_a_small_group_of_advantages_leans_on_the_batch():
    group = torch.zeros(1000, 1, dtype=torch.int64)
    group[:16] = 1
    advantage = torch.linspace(-1.0, 1.0, 1000)[:, None]
    result = standardized(advantage, group)
    # By hand: 16 steps of the group count for a quarter of FULL_GROUP, the batch for the rest.
    mean = 0.25 * float(advantage[:16].mean()) + 0.75 * float(advantage.mean())
    centred = torch.cat([advantage[:16] - mean, advantage[16:] - advantage[16:].mean()])
    variance = 0.25 * float(centred[:16].square().mean()) + 0.75 * float(centred.square().mean())
    torch.testing.assert_close(result[:16], (advantage[:16] - mean) / variance**0.5)
    single = torch.tensor([[3.0], [1.0], [1.0]])
    assert torch.isfinite(standardized(single, torch.tensor([[1], [0], [0]]))).all()


def test_the_deviation_of_a_quiet_group_has_a_floor():
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(2).repeat(200, 1)
    advantage = torch.randn(200, 2, generator=generator) * torch.tensor([1e-3, 1.0])
    floor = 0.25 * float(advantage.std(correction=0))
    result = standardized(advantage, group, floor=0.25)
    torch.testing.assert_close(result[:, 0], (advantage[:, 0] - advantage[:, 0].mean()) / floor)
    assert torch.equal(result[:, 1], standardized(advantage, group)[:, 1])  # the loud one lies above it


def test_streams_of_reward_have_advantages_of_their_own():
    generator = torch.Generator().manual_seed(0)
    reward, final = torch.randn(2, 9, 4, 2, generator=generator)
    value = torch.randn(10, 4, 2, generator=generator)
    terminated, truncated = torch.rand(2, 9, 4, generator=generator) < 0.2

    def gae(index, end) -> torch.Tensor:
        return generalized_advantage(
            reward=reward[index],
            value=value[index],
            final_value=final[index],
            terminated=terminated[end],
            truncated=truncated[end],
            discount=0.9,
            gae_lambda=0.8,
        )

    both = gae(..., (..., None))
    for stream in range(2):
        assert torch.equal(both[..., stream], gae((..., stream), ...))
