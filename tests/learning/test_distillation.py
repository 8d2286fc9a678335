from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from test_trainer import EXPERT, LEARNING, SMALL, everything, mean_return, small_trainer, without_times
from toy import ToyEnvironment
from tree import assert_same

from handful.errors import ConfigurationError, DataError
from handful.learning.actors import PolicyActor
from handful.learning.algorithms.distillation import MINIMUM_TEACHER_STD, Teacher
from handful.learning.config.distillation import DistillationConfig
from handful.learning.config.models import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.trainer import Trainer

SEES_STATE = PolicyConfig(groups=("physical_state",), recurrent=False, vector_sizes=(32,), activation="elu")


def make_teacher(config: PolicyConfig = SEES_STATE) -> Teacher:
    return Teacher(Policy(config, PolicySizes.of(ToyEnvironment(1).spec, config), seed=3))


def perfect_teacher() -> Teacher:
    """Moves the dot towards the target: its core passes the state on, and its mean layer takes the difference."""
    config = dataclasses.replace(SEES_STATE, vector_sizes=(), hidden_size=12, activation="relu")
    teacher = make_teacher(config)
    policy = teacher.policy
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        for entry in range(6):  # x = relu(x) - relu(-x)
            policy.core.weight[entry, entry], policy.core.weight[6 + entry, entry] = 1.0, -1.0
        for axis in range(2):
            for sign, offset in ((1.0, 0), (-1.0, 6)):
                policy.mean_layer.weight[axis, 4 + axis + offset] = 4.0 * sign
                policy.mean_layer.weight[axis, axis + offset] = -4.0 * sign
    return teacher


def student(teacher: Teacher | None = None, **options) -> Trainer:
    config = dataclasses.replace(
        SMALL,
        algorithm="distillation",
        distillation=DistillationConfig(**{"buffer_size": 3, "batch_size": 3, "updates_per_iteration": 4, **options}),
    )
    environment = ToyEnvironment(4, camera_period=3, divergence=0.03, demo_start=0.5, staggered=True)
    return Trainer(config, environment, teacher=teacher or make_teacher())


def test_the_error_is_half_the_mean_squared_distance_in_the_teachers_deviations():
    teacher = make_teacher()
    with torch.no_grad():
        teacher.policy.log_std[:] = torch.log(torch.tensor([0.5, 0.1, 1e-6]))
    teacher = Teacher(teacher.policy)
    mean, actions = torch.zeros(1, 1, 3), torch.tensor([[[1.0, 0.2, 0.1]]])
    expected = 0.5 * ((1.0 / 0.5) ** 2 + (0.2 / 0.1) ** 2 + (0.1 / MINIMUM_TEACHER_STD) ** 2) / 3
    assert float(teacher.error(mean, actions)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_from_pixels_what_its_teacher_does():
    teacher = perfect_teacher()
    best = mean_return(PolicyActor(teacher.policy))
    config = dataclasses.replace(
        LEARNING,
        algorithm="distillation",
        average_time=5000.0,
        distillation=DistillationConfig(learning_rate=3e-3),
    )
    trainer = Trainer(config, ToyEnvironment(32), teacher=teacher)
    errors = [trainer.iterate()["distillation_error"] for _ in range(100)]
    assert np.mean(errors[-5:]) < 0.3 * np.mean(errors[:5])
    assert mean_return(PolicyActor(trainer.average.policy)) > 0.7 * best > 10


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_student_stopped_and_resumed_equals_one_never_stopped_to_the_bit(tmp_path, recurrent):
    def begun() -> Trainer:
        trainer = student()
        policy = PolicyConfig(recurrent=recurrent)
        config = dataclasses.replace(trainer.config, policy=policy)
        environment = ToyEnvironment(4, camera_period=3, divergence=0.03, demo_start=0.5, staggered=True)
        return Trainer(config, environment, teacher=make_teacher())

    whole, first = begun(), begun()
    for _ in range(4):
        whole.iterate()
        first.iterate()
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = begun()
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    for _ in range(3):
        assert without_times(second.iterate()) == without_times(whole.iterate())
    assert_same(everything(whole), everything(second))


def test_the_buffer_keeps_the_latest_rollouts_with_the_teachers_actions():
    trainer = student()
    for _ in range(5):
        trainer.iterate()
    kept = trainer.state_dict()["distillation"]["buffer"]
    assert list(kept) == ["0", "1", "2"]
    assert set(kept["0"]["vectors"]) == {"proprioception"} and kept["0"]["outcomes"] == {}
    assert np.abs(kept["0"]["actions"]).max() <= 1.0
    assert kept["0"]["frames"].shape[1:] == (24, 24, 3)


def test_the_deviations_of_a_students_actions_stay():
    trainer = student()
    before = trainer.policy.log_std.detach().clone()
    trainer.iterate()
    assert torch.equal(trainer.policy.log_std, before)


@pytest.mark.parametrize("config", [PolicyConfig(), dataclasses.replace(SEES_STATE, recurrent=True)])
def test_a_teacher_with_images_or_a_memory_is_refused(config):
    with pytest.raises(ConfigurationError, match="expected a teacher that sees the physical state and has no memory"):
        make_teacher(config)


def test_distillation_without_a_teacher_is_refused():
    with pytest.raises(ConfigurationError, match="needs a teacher"):
        Trainer(dataclasses.replace(SMALL, algorithm="distillation"), ToyEnvironment(4))


def test_reinforcement_goes_on_from_a_student_with_the_teachers_value_function_and_is_held_near_it():
    source = small_trainer(policy=SEES_STATE)
    source.iterate()
    teacher = Teacher(source.policy)
    taught = student(teacher)
    taught.iterate()
    config = dataclasses.replace(SMALL, distillation=DistillationConfig(weight=1.0, weight_half_life=28.0))
    environment = ToyEnvironment(4, camera_period=3, divergence=0.03, demo_start=0.5, staggered=True)
    fine_tuned = Trainer(config, environment, EXPERT, teacher=teacher)
    fine_tuned.load_networks(taught.state_dict())
    fine_tuned.algorithm.load_judges(source.state_dict())
    assert_same(fine_tuned.state_dict()["average"], taught.state_dict()["average"])
    state, expected = fine_tuned.state_dict(), source.state_dict()
    assert_same(state["ppo"]["value_function"], expected["ppo"]["value_function"])
    assert_same(state["discriminator"], expected["discriminator"])
    metrics = fine_tuned.iterate()
    assert metrics["teacher_error"] > 0
    assert fine_tuned.algorithm._near_teacher(fine_tuned.collector.collect(generator=fine_tuned.generator), 56)[
        0
    ].weight == pytest.approx(0.25)


def test_a_strong_pull_brings_a_policy_nearer_to_its_teacher():
    def error_after(weight: float) -> float:
        config = dataclasses.replace(
            SMALL, imitation_weight=0.0, distillation=DistillationConfig(weight=weight, weight_half_life=None)
        )
        trainer = Trainer(config, ToyEnvironment(16, camera_period=3), teacher=perfect_teacher())
        for _ in range(40):
            rollout = trainer.collector.collect(generator=trainer.generator)
            trainer.algorithm.update(rollout, steps=0)
        labels = perfect_teacher().actions(rollout.sequences)
        with torch.no_grad():
            return float((trainer.policy.evaluate_sequence(rollout.sequences).mean - labels).square().mean())

    assert error_after(10.0) < 0.8 * error_after(1e-6)


def test_a_student_and_a_learner_do_not_take_each_others_checkpoints():
    with pytest.raises(DataError, match="not one of a student"):
        student().load_state_dict(small_trainer().state_dict())
    with pytest.raises(DataError, match="not one of reinforcement"):
        small_trainer().load_state_dict(student().state_dict())
