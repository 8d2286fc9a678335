from __future__ import annotations

import pytest
import torch
from toy import ToyEnvironment

from handful.errors import ConfigurationError
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.models.value_function import ValueFunction
from handful.sequences import Sequences

SIZES = PolicySizes(image=(24, 24, 3), vector=5, action=3, object_positions=4)


def evaluate(policy, frames, index, proprioception, state, start):
    sequences = Sequences(
        vectors={"proprioception": proprioception},
        outcomes={},
        actions=None,
        mask=torch.ones_like(start),
        episode_start=start,
        initial_state=state,
        frames=frames,
        frame_index=index,
    )
    return policy.evaluate_sequence(sequences)


def inputs(num_steps: int, num_envs: int):
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (num_steps * num_envs, 24, 24, 3), generator=generator, dtype=torch.uint8)
    index = torch.arange(num_steps * num_envs).view(num_steps, num_envs)
    proprioception = torch.randn(num_steps, num_envs, 5, generator=generator)
    start = torch.rand(num_steps, num_envs, generator=generator) < 0.2
    state = tuple(torch.randn(2, num_envs, 100, generator=generator))
    return frames, index, proprioception, state, start


@pytest.mark.parametrize("recurrent", [True, False])
def test_masked_reset_equals_a_fresh_rollout(recurrent):
    policy = Policy(PolicyConfig(recurrent=recurrent), SIZES, seed=0)
    frames, index, proprioception, state, _ = inputs(8, 2)
    start = torch.zeros(8, 2, dtype=torch.bool)
    start[3, 0] = start[5, 1] = True
    whole = evaluate(policy, frames, index, proprioception, state, start).mean
    for env, begin in ((0, 3), (1, 5)):
        one = slice(env, env + 1)
        nowhere = torch.zeros_like(start[begin:, one])
        rest = (index[begin:, one], proprioception[begin:, one], policy.initial_state(1), nowhere)
        fresh = evaluate(policy, frames, *rest).mean
        # The state is exactly zero after a reset; only the order of sums differs with the batch's size.
        torch.testing.assert_close(whole[begin:, one], fresh, rtol=0, atol=1e-6)


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_sequence_with_resets_everywhere_equals_single_steps(recurrent):
    policy = Policy(PolicyConfig(recurrent=recurrent), SIZES, seed=0)
    frames, index, proprioception, state, start = inputs(12, 7)
    assert start[0].any() and start[1:].sum(dim=0).unique().numel() > 1
    sequence = evaluate(policy, frames, index, proprioception, state, start).mean
    features = policy.encode(frames)
    for t in range(12):
        mean, state = policy.act(features[index[t]], proprioception[t], state, start[t])
        torch.testing.assert_close(sequence[t], mean, rtol=0, atol=1e-6)


def test_no_gradient_crosses_a_reset_and_the_reset_gate_never_learns():
    policy = Policy(PolicyConfig(), SIZES, seed=0)
    frames, index, proprioception, state, _ = inputs(6, 1)
    proprioception.requires_grad_()
    state = tuple(s.requires_grad_() for s in state)
    start = torch.zeros(6, 1, dtype=torch.bool)
    start[4] = True
    evaluate(policy, frames, index, proprioception, state, start).mean[4:].sum().backward()
    assert torch.all(proprioception.grad[:4] == 0) and torch.all(state[0].grad == 0) and torch.all(state[1].grad == 0)
    assert torch.all(proprioception.grad[4:].abs().sum(dim=-1) > 0)
    assert torch.all(policy.core.weight_ih_l0.grad[:, -1] == 0)


def test_weights_depend_on_the_seed_alone_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = Policy(PolicyConfig(), SIZES, seed=1)
    ValueFunction(ValueFunctionConfig(), ToyEnvironment(1).spec, seed=1)
    assert torch.equal(torch.rand(1), expected)
    second, other = Policy(PolicyConfig(), SIZES, seed=1), Policy(PolicyConfig(), SIZES, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.encoder[0].weight, other.encoder[0].weight)


def test_initial_actions_are_near_zero_with_the_papers_spread():
    policy = Policy(PolicyConfig(), SIZES, seed=0)
    frames, index, proprioception, state, start = inputs(2, 8)
    output = evaluate(policy, frames, index, proprioception, state, start)
    assert output.mean.abs().max() < 0.1
    torch.testing.assert_close(output.log_std.exp(), torch.full((3,), 0.36788))


def test_images_too_small_for_the_convolutions_are_refused():
    with pytest.raises(ConfigurationError, match="at least 20 x 20"):
        Policy(PolicyConfig(), PolicySizes(image=(16, 16, 3), vector=5, action=3, object_positions=4), seed=0)


def test_encoding_scales_pixels_to_plus_minus_a_half():
    policy = Policy(PolicyConfig(), PolicySizes((36, 36, 3), 24, 9, 3), seed=0).double()
    images = torch.randint(0, 256, (5, 36, 36, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = policy.encoder(images.permute(0, 3, 1, 2).double() / 255 - 0.5)
    torch.testing.assert_close(policy.encode(images), expected, rtol=1e-9, atol=1e-12)
