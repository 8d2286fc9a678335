from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy import ToyEnvironment

from handful.errors import ConfigurationError, TrainingError
from handful.learning.algorithms.policy_loss import policy_loss
from handful.learning.algorithms.ppo import PPO, adapted_kl_weight, decay_after, steered_learning_rate
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.config.ppo import PPOConfig
from handful.learning.data.collector import RolloutCollector
from handful.learning.data.rollout import Rollout
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.models.value_function import ValueFunction

GROUPS = ("physical_state", "time_left", "object_features")


def collect(*, num_rollouts: int = 1, recurrent: bool = True) -> tuple[Policy, Rollout, ToyEnvironment]:
    """The last of some rollouts in which episodes end at all times and in both ways, and images are held."""
    environment = ToyEnvironment(6, camera_period=3, divergence=0.05, staggered=True)
    policy = Policy(PolicyConfig(recurrent=recurrent), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    torch.nn.init.normal_(policy.mean_layer.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    collector = RolloutCollector(environment, environment.reset(seeds=range(6)), policy, num_steps=25, groups=GROUPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_rollouts):
        rollout = collector.collect(generator=generator)
    return policy, rollout, environment


def advantage_of(rollout: Rollout) -> torch.Tensor:
    return torch.randn(rollout.terminated.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("num_rollouts", [1, 3])
def test_before_the_first_update_the_ratio_is_one_and_the_kl_zero(num_rollouts, recurrent):
    policy, rollout, _ = collect(num_rollouts=num_rollouts, recurrent=recurrent)
    assert rollout.terminated.any() and rollout.truncated.any() and rollout.sequences.episode_start[1:].any()
    assert len(rollout.sequences.frames) < 0.75 * rollout.sequences.frame_index.numel()
    for envs in (torch.arange(6), torch.tensor([4, 1])):
        batch = rollout.select(envs)
        loss = policy_loss(policy, batch, advantage_of(batch), config=PPOConfig(), kl_weight=1.0)
        # The same sums in batches of other sizes: float32 rounding alone.
        torch.testing.assert_close(loss.ratio, torch.ones_like(loss.ratio), rtol=0, atol=2e-5)
        assert abs(loss.kl.item()) < 1e-7


@pytest.mark.parametrize("objective", ["kl", "clip"])
def test_the_gradient_of_the_loss_equals_finite_differences(objective):
    policy, rollout, _ = collect()
    batch = rollout.select(torch.tensor([0, 3]))
    # Away from the old policy, so that the penalty and the clipping take part.
    generator = torch.Generator().manual_seed(2)
    batch.mean = batch.mean + 0.2 * torch.randn(batch.mean.shape, generator=generator)
    config = PPOConfig(objective=objective, entropy_weight=0.1, auxiliary_weight=0.3)
    policy.double()
    batch = _double(batch)

    def loss() -> torch.Tensor:
        return policy_loss(policy, batch, advantage_of(batch).double(), config=config, kl_weight=0.7).total

    parameters = [policy.log_std, policy.mean_layer.bias, policy.core.weight_hh_l0, policy.encoder[5].weight]
    gradients = torch.autograd.grad(loss(), parameters)
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        with torch.no_grad():
            parameter += step * direction
            above = loss()
            parameter -= 2 * step * direction
            below = loss()
            parameter += step * direction
        # float64: the rounding of the loss over the step, and kinks of ReLU within it.
        expected = (gradient * direction).sum().item()
        assert (above - below).item() / (2 * step) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def _double(batch):
    def convert(value):
        if isinstance(value, tuple):
            return tuple(convert(v) for v in value)
        if isinstance(value, dict):
            return {name: convert(v) for name, v in value.items()}
        if dataclasses.is_dataclass(value):
            return _double(value)
        return value.double() if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value

    return dataclasses.replace(
        batch, **{field.name: convert(getattr(batch, field.name)) for field in dataclasses.fields(batch)}
    )


def test_the_policys_output_cannot_depend_on_other_groups():
    policy, rollout, _ = collect()
    assert policy.config.groups == ("pixels", "proprioception")
    assert policy.sizes.vector == 2  # proprioception alone
    before = policy.evaluate_sequence(rollout.sequences).mean
    for groups in (rollout.sequences.vectors, rollout.sequences.outcomes):
        for name in ("physical_state", "time_left", "object_features", "object_positions"):
            groups[name].add_(1.0)
    rollout.sequences.outcomes["proprioception"].add_(1.0)
    rollout.sequences.frame_positions.add_(1.0)
    assert torch.equal(policy.evaluate_sequence(rollout.sequences).mean, before)


def test_actions_do_not_change_when_the_environments_other_groups_do():
    means = []
    for noise in (0.0, 5.0):
        environment = ToyEnvironment(4)
        observation = environment._observation

        def disturbed(noise=noise, observation=observation):
            groups = observation()
            for name in ("physical_state", "time_left", "object_features", "object_positions"):
                groups[name] = groups[name] + np.float32(noise)
            return groups

        environment._observation = disturbed
        policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
        collector = RolloutCollector(
            environment, environment.reset(seeds=range(4)), policy, num_steps=10, groups=GROUPS
        )
        means.append(collector.collect(generator=torch.Generator().manual_seed(0)).mean)
    assert torch.equal(*means)


def test_the_kl_weight_doubles_above_and_halves_below_the_target():
    assert adapted_kl_weight(1.0, kl=0.031, kl_target=0.02) == 2.0
    assert adapted_kl_weight(1.0, kl=0.013, kl_target=0.02) == 0.5
    assert adapted_kl_weight(1.0, kl=0.02, kl_target=0.02) == 1.0
    assert adapted_kl_weight(1e4, kl=1.0, kl_target=0.02) == 1e4


def test_an_update_ends_early_when_the_kl_runs_away():
    policy, rollout, environment = collect()
    value_function = ValueFunction(ValueFunctionConfig(), environment.spec, seed=0)
    config = PPOConfig(learning_rate=0.05, kl_stop_factor=2.0, epochs=10)
    ppo = PPO(config, policy, value_function, generator=torch.Generator().manual_seed(0))
    metrics = ppo.update(rollout, advantage=advantage_of(rollout), value_target=advantage_of(rollout)[..., None])
    assert metrics["epochs"] < 10 and ppo.kl_weight == 2.0


def test_a_loss_that_is_not_finite_stops_the_update():
    policy, rollout, environment = collect()
    value_function = ValueFunction(ValueFunctionConfig(), environment.spec, seed=0)
    ppo = PPO(PPOConfig(), policy, value_function, generator=torch.Generator().manual_seed(0))
    advantage = advantage_of(rollout)
    advantage[3, 2] = float("nan")
    with pytest.raises(TrainingError, match="finite"):
        ppo.update(rollout, advantage=advantage, value_target=advantage[..., None])


@pytest.mark.parametrize("options", [{"discount": 1.5}, {"objective": "trpo"}, {"epochs": 1, "num_minibatches": 1}])
def test_impossible_configurations_are_refused(options):
    with pytest.raises(ConfigurationError):
        PPOConfig(**options)


def test_step_size_and_kl_target_halve_with_every_half_life():
    config = PPOConfig(half_life=1000)
    assert [decay_after(steps, config=config) for steps in (0, 1000, 3000)] == pytest.approx([1.0, 0.5, 0.125])
    assert decay_after(10**9, config=PPOConfig(half_life=None)) == 1.0


class PullToZero:
    """A term that pulls the mean of the actions to zero."""

    name = "pull"

    def __init__(self, rollout: Rollout, weight: float) -> None:
        self.weight = weight
        self._rollout = rollout

    def draw(self, generator):
        return self._rollout.sequences.select(torch.randperm(6, generator=generator)[:3])

    def loss(self, policy, data):
        return policy.evaluate_sequence(data).mean.square().mean()


def test_an_extra_term_moves_the_policy_by_its_weight_and_is_reported_unweighted():
    def mean_after(weight: float) -> tuple[float, dict[str, float]]:
        policy, rollout, environment = collect()
        value_function = ValueFunction(ValueFunctionConfig(), environment.spec, seed=0)
        ppo = PPO(PPOConfig(kl_stop_factor=None), policy, value_function, generator=torch.Generator().manual_seed(0))
        zeros = torch.zeros(rollout.terminated.shape)
        for _ in range(5):
            metrics = ppo.update(
                rollout, advantage=zeros, value_target=zeros[..., None], terms=[PullToZero(rollout, weight)]
            )
        return float(policy.evaluate_sequence(rollout.sequences).mean.detach().square().mean()), metrics

    without, reported = mean_after(0.0)
    pulled, metrics = mean_after(100.0)
    assert pulled < 0.5 * without
    assert reported["pull"] == pytest.approx(without, rel=0.3) and metrics["pull"] < reported["pull"]


def test_a_steered_learning_rate_rises_below_half_the_target_and_falls_above_twice():
    config = PPOConfig(learning_rate_control="kl", kl_target=0.02, learning_rate_range=(1e-4, 1e-3))
    rates = [steered_learning_rate(6e-4, kl=kl, config=config) for kl in (0.009, 0.011, 0.039, 0.041)]
    assert rates == pytest.approx([9e-4, 6e-4, 6e-4, 4e-4])
    assert steered_learning_rate(9e-4, kl=0.0, config=config) == 1e-3
    assert steered_learning_rate(1.2e-4, kl=1.0, config=config) == 1e-4


def test_a_steered_learning_rate_is_used_and_survives_saving_whatever_the_half_life():
    policy, rollout, environment = collect()
    value_function = ValueFunction(ValueFunctionConfig(), environment.spec, seed=0)
    config = PPOConfig(learning_rate_control="kl", kl_target=100.0, half_life=1.0, num_minibatches=2, epochs=1)
    ppo = PPO(config, policy, value_function, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(rollout.terminated.shape)
    metrics = ppo.update(rollout, advantage=zeros, value_target=zeros[..., None], steps=10**6, learning_rate_scale=0.1)
    assert metrics["learning_rate"] == ppo.learning_rate == pytest.approx(min(2e-3, 1.5**2 * config.learning_rate))
    again = PPO(config, policy, value_function, generator=torch.Generator().manual_seed(0))
    again.load_state_dict(ppo.state_dict())
    assert again.learning_rate == ppo.learning_rate


def test_means_are_pulled_back_only_beyond_the_limit_of_the_actions():
    policy, rollout, _ = collect()

    def gradient(bias: float, weight: float) -> torch.Tensor:
        with torch.no_grad():
            policy.mean_layer.weight.zero_()
            policy.mean_layer.bias.fill_(bias)
        config = PPOConfig(entropy_weight=0.0, auxiliary_weight=0.0, mean_bound_weight=weight)
        advantage = torch.zeros(rollout.terminated.shape)
        loss = policy_loss(policy, rollout, advantage, config=config, kl_weight=0.0)
        return torch.autograd.grad(loss.total, policy.mean_layer.bias)[0]

    assert (gradient(0.99, 0.5) == 0).all()
    for bias in (1.5, -1.5):
        # d/db of 0.5 (|b| - 1)^2 in each entry.
        torch.testing.assert_close(gradient(bias, 0.5), torch.full((3,), 0.5 if bias > 0 else -0.5))
        assert (gradient(bias, 0.0) == 0).all()
