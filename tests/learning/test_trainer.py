from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from toy import ToyEnvironment, expert, sequences
from tree import assert_same

from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.actors import PolicyActor, RandomActor
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.config.ppo import PPOConfig
from handful.learning.config.trainer import TrainerConfig
from handful.learning.evaluation import evaluate_policy
from handful.learning.metrics import metric_names
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.trainer import Trainer
from handful.runs.failure import reproduce_failure, write_failure

EXPERT = expert()
SMALL = TrainerConfig(
    rollout_steps=7,
    ppo=PPOConfig(epochs=2, num_minibatches=2),
    discriminator=DiscriminatorConfig(batch_size=32, replay_size=100, use_actions=True),
)
TIMES = {"seconds", "steps_per_second", "rollout_seconds", "update_seconds"}
OF_STARTS = {"frontier", "frontiers_at_beginning", "retry_success"}


def small_trainer(**changes) -> Trainer:
    # Episodes end in the middle of rollouts, images are held across them.
    environment = ToyEnvironment(4, camera_period=3, divergence=0.03, demo_start=0.5, staggered=True)
    return Trainer(dataclasses.replace(SMALL, **changes), environment, EXPERT)


def without_times(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMES}


def everything(trainer: Trainer) -> dict:
    return {name: value for name, value in trainer.state_dict().items() if name != "seconds"}


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_run_stopped_and_resumed_equals_one_never_stopped_to_the_bit(tmp_path, recurrent):
    policy = PolicyConfig(recurrent=recurrent)
    whole, first = small_trainer(policy=policy), small_trainer(policy=policy)
    for _ in range(3):
        whole.iterate()
        first.iterate()
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = small_trainer(policy=policy)
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    for _ in range(3):
        assert without_times(second.iterate()) == without_times(whole.iterate())
    assert_same(everything(whole), everything(second))


def test_a_cloned_run_stopped_and_resumed_equals_one_never_stopped_to_the_bit(tmp_path):
    whole, first = cloning_trainer(), cloning_trainer()
    assert [without_times(each) for each in whole.prepare(2)] == [without_times(each) for each in first.prepare(2)]
    save_checkpoint(tmp_path / "c", first.state_dict())
    for _ in range(3):
        second = cloning_trainer()
        second.load_state_dict(load_checkpoint(tmp_path / "c"))
        assert second.algorithm.cloned
        assert without_times(second.iterate()) == without_times(whole.iterate())
        save_checkpoint(tmp_path / "c", second.state_dict())
    assert_same(everything(whole), everything(second))


def test_a_cloned_policy_stands_until_values_mean_something():
    trainer = cloning_trainer()
    list(trainer.prepare(2))
    average = trainer.average.policy.mean_layer.weight
    assert torch.equal(average, trainer.policy.mean_layer.weight)
    weights = [trainer.policy.mean_layer.weight.detach().clone()]
    values = [trainer.algorithm.value_function.network[0].weight.detach().clone()]
    for steps in (28, 56):
        metrics = trainer.iterate()
        assert metrics["steps"] == steps
        assert ("policy_loss" in metrics) == ("demonstration_loss" in metrics) == (steps > 28)
        weights.append(trainer.policy.mean_layer.weight.detach().clone())
        values.append(trainer.algorithm.value_function.network[0].weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert not torch.equal(values[0], values[1])


def test_a_cloned_policy_is_held_near_the_demonstrations_by_the_weight_of_their_likelihood():
    def loss_after(weight: float) -> float:
        trainer = cloning_trainer(weight=weight, half_life=None, learning_rate_scale=1.0)
        list(trainer.prepare(2))
        for _ in range(12):
            trainer.iterate()
        data = sequences((20, 7, 13), camera_period=3)
        with torch.no_grad():
            return float((trainer.policy.evaluate_sequence(data).mean - data.actions)[data.mask].square().mean())

    assert loss_after(10.0) < 0.9 * loss_after(0.0)
    trainer = cloning_trainer(weight=0.0)
    list(trainer.prepare(2))
    trainer.iterate()
    assert "demonstration_loss" not in trainer.iterate()


def test_states_of_something_else_are_refused():
    trainer = small_trainer()
    with pytest.raises(DataError, match="not one of a training run"):
        trainer.load_state_dict({"weights": 1})
    state = trainer.state_dict()
    with pytest.raises(ConfigurationError, match="has 4 simulations and this one 3"):
        Trainer(SMALL, ToyEnvironment(3), EXPERT).load_state_dict(state)
    with pytest.raises(ConfigurationError, match="imitation"):
        small_trainer(imitation_weight=0.0).load_state_dict(state)
    with pytest.raises(DataError, match="shape"):
        small_trainer(policy=PolicyConfig(hidden_size=50)).load_state_dict(state)


def test_saving_does_not_change_the_run_nor_share_memory_with_it():
    trainer, undisturbed = small_trainer(), small_trainer()
    state = trainer.state_dict()
    weights = state["ppo"]["policy"]["mean_layer.weight"].copy()
    assert without_times(trainer.iterate()) == without_times(undisturbed.iterate())
    np.testing.assert_array_equal(state["ppo"]["policy"]["mean_layer.weight"], weights)


def test_global_generators_play_no_part_and_another_seed_is_another_run():
    torch.manual_seed(1)
    first = without_times(small_trainer().iterate())
    torch.manual_seed(2)
    np.random.seed(2)
    assert without_times(small_trainer().iterate()) == first
    assert without_times(small_trainer(seed=1).iterate()) != first


def cloning_trainer(**options) -> Trainer:
    config = dataclasses.replace(SMALL, cloning=CloningConfig(warmup_steps=28, num_segments=3, **options))
    environment = ToyEnvironment(4, camera_period=3, divergence=0.03, demo_start=0.5, staggered=True)
    return Trainer(config, environment, sequences((20, 7, 13), camera_period=3))


def test_every_reported_metric_is_defined():
    trainer = cloning_trainer()
    list(trainer.prepare(2))
    names = set(metric_names(trainer.environment.spec))
    for _ in range(6):
        metrics = trainer.iterate()
    # A run adds those of its starts, see test_frontiers and test_retries.
    assert set(metrics) == names - {*OF_STARTS, "distillation_error", "teacher_error"}


def test_reinforcement_alone_has_no_discriminator_and_imitation_alone_ignores_the_task_reward():
    alone = Trainer(dataclasses.replace(SMALL, imitation_weight=0.0), ToyEnvironment(4))
    metrics = alone.iterate()
    assert alone.algorithm.discriminator is None and "imitation_reward" not in metrics
    assert metrics["reward"] == metrics["task_reward"]
    metrics = small_trainer(imitation_weight=1.0).iterate()
    assert metrics["reward"] == metrics["imitation_reward"] != metrics["task_reward"]


def narrow(demonstrations):
    """Demonstrations whose object features lack an entry."""
    features = demonstrations.outcomes["object_features"][..., :1]
    return dataclasses.replace(demonstrations, outcomes={**demonstrations.outcomes, "object_features": features})


@pytest.mark.parametrize(
    ("changes", "demonstrations", "message"),
    [
        ({}, None, "imitation needs demonstrations"),
        ({}, expert(actions=False), "the demonstrations hold none"),
        ({}, narrow(EXPERT), "must be finite, of shape"),
        ({"device": "cuda:99"}, EXPERT, "the device 'cuda:99' is not there"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, demonstrations, message):
    with pytest.raises(ConfigurationError, match=message):
        Trainer(dataclasses.replace(SMALL, **changes), ToyEnvironment(2), demonstrations)
    with pytest.raises(ConfigurationError, match="must lie in"):
        TrainerConfig(imitation_weight=-0.1)


class Breaking(ToyEnvironment):
    """Pays a reward that is not a number once the whole batch has taken 30 steps."""

    calls = 0

    def step(self, action):
        self.calls += 1
        report = super().step(action)
        if self.calls > 30:
            report.reward[1] = np.nan
        return report

    def state_dict(self):
        return {**super().state_dict(), "calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]
        return super().load_state_dict(state)


def test_a_nan_stops_the_run_and_is_reproduced(tmp_path):
    trainer = Trainer(SMALL, Breaking(4), EXPERT)
    trainer.iterate()
    save_checkpoint(tmp_path / "last", trainer.state_dict())
    with pytest.raises(TrainingError, match="reward") as error:
        for _ in range(10):
            trainer.iterate()
    write_failure(tmp_path / "failure", checkpoint=tmp_path / "last", trainer=trainer, error=error.value)
    again = Trainer(SMALL, Breaking(4), EXPERT)
    assert str(reproduce_failure(tmp_path / "failure", again)) == str(error.value)
    assert again.iteration == trainer.iteration == 4


def test_a_parameter_that_is_not_finite_stops_the_run():
    trainer = small_trainer()
    with torch.no_grad():
        trainer.policy.auxiliary_head[-1].bias[0] = float("inf")
    with pytest.raises(TrainingError):
        trainer.iterate()


LEARNING = TrainerConfig(
    rollout_steps=20,
    imitation_weight=0.0,
    ppo=PPOConfig(discount=0.9, kl_target=0.03, epochs=4, auxiliary_weight=0.1),
    discriminator=DiscriminatorConfig(learning_rate=1e-3, gradient_penalty=1.0),
)


def mean_return(actor) -> float:
    return evaluate_policy(actor, ToyEnvironment(50), num_episodes=100, seed=5).mean_return


@pytest.mark.slow
@pytest.mark.parametrize("imitation_weight", [0.0, 1.0])
def test_the_toy_is_learned_from_pixels(imitation_weight):
    """By the task's reward alone, and by imitation alone, from 5 demonstrations without actions."""
    config = dataclasses.replace(LEARNING, imitation_weight=imitation_weight)
    trainer = Trainer(config, ToyEnvironment(64), expert(actions=False))
    for _ in range(60):
        trainer.iterate()
    random_return = mean_return(RandomActor(trainer.environment.spec, seed=0))
    assert mean_return(PolicyActor(trainer.policy)) > 2 * random_return


def test_a_run_can_begin_with_the_networks_of_another_and_nothing_else():
    source = small_trainer()
    source.iterate()
    other = small_trainer(seed=5, ppo=PPOConfig(epochs=2, num_minibatches=2, discount=0.9))
    other.load_networks(source.state_dict())
    assert_same(other.state_dict()["ppo"], source.state_dict()["ppo"])
    assert other.steps == 0 and other.iteration == 0
    assert other.state_dict()["generator"].tolist() != source.state_dict()["generator"].tolist()
    other.iterate()
    with pytest.raises(DataError, match="it has no 'discriminator'"):
        other.load_networks({"ppo": {}})


def test_a_teacher_from_the_physical_state_needs_no_images_and_resumes_to_the_bit(tmp_path):
    def teacher() -> Trainer:
        environment = ToyEnvironment(4, divergence=0.03, demo_start=0.5, staggered=True)
        observation = environment._observation
        environment._observation = lambda: {name: each for name, each in observation().items() if name != "pixels"}
        policy = PolicyConfig(groups=("physical_state",), recurrent=False, vector_sizes=(16,), activation="elu")
        return Trainer(dataclasses.replace(SMALL, policy=policy), environment, EXPERT)

    whole, first = teacher(), teacher()
    for _ in range(3):
        metrics = whole.iterate()
        first.iterate()
    assert "auxiliary_error_cm" not in metrics
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = teacher()
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert without_times(second.iterate()) == without_times(whole.iterate())
    assert_same(everything(whole), everything(second))


def test_a_value_function_may_see_pixels_where_the_policy_sees_the_state():
    groups = ("pixels", "proprioception", "time_left")
    policy = PolicyConfig(groups=("physical_state",))
    trainer = small_trainer(policy=policy, value_function=ValueFunctionConfig(groups=groups))
    for _ in range(2):
        metrics = trainer.iterate()
    assert metrics["value_loss"] > 0 and "auxiliary_error_cm" not in metrics


def test_a_value_function_may_see_pixels_and_nothing_else():
    """The ablation "no value function from states" of the paper's Fig. 5."""
    trainer = small_trainer(value_function=ValueFunctionConfig(groups=("pixels", "proprioception")))
    before = trainer.algorithm.value_function.encoder[0].weight.detach().clone()
    sequences = trainer.collector.collect(generator=torch.Generator().manual_seed(0)).sequences
    values = trainer.algorithm.value_function(sequences), trainer.algorithm.value_function.after(sequences)
    for group in ("physical_state", "time_left", "object_features"):
        for groups in (sequences.vectors, sequences.outcomes):
            if group in groups:
                groups[group].add_(1.0)
    assert torch.equal(trainer.algorithm.value_function(sequences), values[0])
    assert torch.equal(trainer.algorithm.value_function.after(sequences), values[1])
    trainer.iterate()
    assert not torch.equal(trainer.algorithm.value_function.encoder[0].weight, before)


def test_a_group_that_does_not_exist_is_told_with_the_choices():
    with pytest.raises(ConfigurationError, match="unknown observation group 'touch'; the choices are"):
        small_trainer(policy=PolicyConfig(groups=("pixels", "touch")))


def separate_trainer(**changes) -> Trainer:
    return small_trainer(value_function=ValueFunctionConfig(separate_rewards=True), **changes)


def test_separate_value_heads_mix_their_advantages_by_the_weight_of_imitation(monkeypatch):
    trainer = separate_trainer(imitation_weight=0.3)
    seen = {}
    streams, update = trainer.algorithm._advantage, trainer.algorithm.ppo.update

    def observed_streams(rollout, reward):
        seen["reward"], (seen["streams"], value) = reward, streams(rollout, reward)
        return seen["streams"], value

    def observed_update(rollout, *, advantage, value_target, **options):
        seen["mixed"], seen["target"] = advantage, value_target
        return update(rollout, advantage=advantage, value_target=value_target, **options)

    monkeypatch.setattr(trainer.algorithm, "_advantage", observed_streams)
    monkeypatch.setattr(trainer.algorithm.ppo, "update", observed_update)
    metrics = trainer.iterate()
    task, imitation = seen["streams"].unbind(-1)
    torch.testing.assert_close(seen["mixed"], 0.7 * task + 0.3 * imitation)
    assert seen["target"].shape[-1] == 2
    assert float(seen["reward"][..., 0].mean()) == pytest.approx(metrics["task_reward"])
    assert float(seen["reward"][..., 1].mean()) == pytest.approx(metrics["imitation_reward"])


def test_without_imitation_there_is_one_value_head():
    assert separate_trainer(imitation_weight=0.0).algorithm.value_function.return_normalizer.mean.shape == (1,)


def test_scaled_task_rewards_pay_one_in_the_best_stage():
    def environment() -> ToyEnvironment:
        made = ToyEnvironment(4)
        rewards = tuple(5.0 * each for each in made.spec.stage_rewards)
        made._spec = dataclasses.replace(made.spec, stage_rewards=rewards)
        return made

    for scaled in (False, True):
        config = dataclasses.replace(SMALL, imitation_weight=0.0, scale_task_reward=scaled)
        metrics = Trainer(config, environment()).iterate()
        assert metrics["task_reward"] > 0
        assert metrics["reward"] == pytest.approx(metrics["task_reward"] / (5.0 if scaled else 1.0))
