from __future__ import annotations

import math

import pytest
import torch

from handful.learning.config.models import PolicyConfig
from handful.learning.models.averaging import PolicyAverage
from handful.learning.models.policy import Policy, PolicySizes

SIZES = PolicySizes(image=(20, 20, 3), vector=4, action=2, object_positions=3)


def set_all(policy: Policy, value: float) -> None:
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.fill_(value)


def test_the_average_is_the_exponential_moving_average_of_the_parameters():
    policy = Policy(PolicyConfig(), SIZES, seed=0)
    set_all(policy, 1.0)
    average = PolicyAverage(policy, time=1000.0)
    expected = 1.0
    for iteration, value in enumerate([2.0, 5.0, -1.0], start=1):
        set_all(policy, value)
        average.update(iteration=iteration, num_steps=100)
        decay = min(math.exp(-0.1), iteration / (iteration + 9))
        expected = decay * expected + (1 - decay) * value
        for parameter in average.policy.parameters():
            assert parameter.flatten()[0].item() == pytest.approx(expected, rel=1e-5)
    assert next(policy.parameters()).flatten()[0].item() == -1.0  # the policy in training is left alone


def test_without_a_time_the_average_is_the_policy_itself():
    policy = Policy(PolicyConfig(), SIZES, seed=0)
    average = PolicyAverage(policy, time=None)
    set_all(policy, 3.0)
    policy.vector_normalizer.update(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    average.update(iteration=1, num_steps=10)
    for name, tensor in average.policy.state_dict().items():
        assert torch.equal(tensor, policy.state_dict()[name]), name
