from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from toy import SIZE, ToyEnvironment, sequences

from handful.errors import TrainingError
from handful.learning.actors import PolicyActor
from handful.learning.algorithms.cloning import DemonstrationLoss, clone, scaled_action_error, shifted
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.models import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.sequences import Sequences
from handful.workers import Workers

CONFIG = CloningConfig(episodes_per_batch=12, image_shift=0)


def new_policy(**options) -> Policy:
    return Policy(PolicyConfig(**options), PolicySizes.of(ToyEnvironment(1).spec, PolicyConfig()), seed=0)


def final_distance(policy: Policy) -> float:
    """Mean distance between dot and target in the demonstrations' worlds after as many steps."""
    environment, actor = ToyEnvironment(48, camera_period=2, horizon=1000), PolicyActor(policy)
    step = environment.reset(seeds=[[5, env] for env in range(48)])
    actor.reset(None)
    for _ in range(20):
        step = environment.step(actor.act(step))
    return float(np.linalg.norm(step.observation["object_features"], axis=1).mean())


def cloned(expert: Sequences, *, config=CONFIG, num_epochs=60, num_threads=1, **options):
    policy = new_policy(**options)
    passes = clone(
        policy,
        expert,
        config=config,
        num_epochs=num_epochs,
        generator=torch.Generator().manual_seed(0),
        workers=Workers(num_threads),
        num_splits=2,
    )
    return policy, list(passes)


def test_a_cloned_policy_does_as_the_expert_does():
    policy, passes = cloned(sequences())
    errors = [each["cloning_error"] for each in passes]
    assert [each["cloning_epoch"] for each in passes] == list(range(1, 61))
    assert errors[-1] < 0.7 * errors[0]
    assert final_distance(policy) < 0.7 * final_distance(new_policy())


def test_deviations_are_what_is_left_of_the_error_within_their_bounds():
    config = dataclasses.replace(CONFIG, minimum_log_std=-30.0)
    policy, passes = cloned(sequences(), config=config, num_epochs=12)
    deviations = policy.log_std.detach().exp()
    assert float(deviations.square().mean().sqrt()) == pytest.approx(passes[-1]["cloning_error"], rel=1e-5)
    assert float(deviations[2]) < 0.5 * float(deviations[0])  # the action that does nothing is always 0
    assert float(cloned(sequences(), num_epochs=12)[0].log_std.detach().min()) == CONFIG.minimum_log_std
    hurried, passes = cloned(sequences(), config=config, num_epochs=1, initial_log_std=-2.0)
    assert passes[0]["cloning_error"] > math.exp(-2.0)
    assert float(hurried.log_std.detach().max()) == -2.0


def test_no_bit_depends_on_the_number_of_threads():
    config = dataclasses.replace(CONFIG, image_shift=2)
    (one, passes), (two, same_passes) = (
        cloned(sequences(), config=config, num_epochs=2, num_threads=n) for n in (1, 2)
    )
    assert passes == same_passes
    for left, right in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_steps_after_the_end_of_a_shorter_episode_do_not_count():
    """A batch of all episodes has the gradient of its steps, whatever is behind the shorter ones."""
    expert = sequences((8, 3, 5, 8))

    def lengthened(rows):
        return torch.cat([rows, torch.zeros_like(rows[:5])])

    longer = dataclasses.replace(
        expert,
        **{name: lengthened(getattr(expert, name)) for name in ("frame_index", "actions", "mask", "episode_start")},
        **{
            name: {group: lengthened(rows) for group, rows in getattr(expert, name).items()}
            for name in ("vectors", "outcomes")
        },
    )
    assert longer.num_steps == 13
    for left, right in zip(
        cloned(expert, num_epochs=3)[0].state_dict().values(),
        cloned(longer, num_epochs=3)[0].state_dict().values(),
        strict=True,
    ):
        assert torch.equal(left, right)


def test_an_error_that_is_not_finite_is_told():
    expert = sequences((8, 5))
    expert.actions[3, 1] = np.nan
    with pytest.raises(TrainingError, match="behavioural cloning is nan"):
        cloned(expert)


def test_images_are_shifted_with_their_edges_repeated():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    assert torch.equal(shifted(images, (0, 0)), images)
    moved = shifted(images, (2, -1))  # two rows down, one column to the left
    assert torch.equal(moved[:, 2:, :-1], images[:, :-2, 1:])
    assert torch.equal(moved[:, 0, :-1], images[:, 0, 1:]) and torch.equal(moved[:, 1], moved[:, 0])
    assert torch.equal(moved[:, :, -1], moved[:, :, -2])


def test_segments_are_those_of_the_demonstrations_with_what_the_policy_remembers_of_what_was_before():
    data, policy = sequences((20, 7, 13)), new_policy()
    whole = policy.evaluate_sequence(data).mean
    segments = DemonstrationLoss(data, policy, length=6, num_segments=200, weight=1.0)
    drawn = segments.draw(torch.Generator().manual_seed(0))
    mean = policy.evaluate_sequence(drawn).mean
    begun = set()
    for number in range(200):
        length = int(drawn.mask[:, number].sum())
        assert length > 0 and drawn.mask[:length, number].all()
        places = [
            (episode, begin)
            for episode in range(3)
            for begin in range(0, 20, 6)
            if data.mask[begin, episode]
            and length == min(6, int(data.mask[:, episode].sum()) - begin)
            and torch.equal(drawn.actions[:length, number], data.actions[begin : begin + length, episode])
            and torch.allclose(mean[:length, number], whole[begin : begin + length, episode], atol=1e-6)
        ]
        assert len(places) == 1
        begun.add(places[0])
    assert begun == {(0, 0), (0, 6), (0, 12), (0, 18), (1, 0), (1, 6), (2, 0), (2, 6), (2, 12)}


def test_the_scaled_action_error_is_the_gaussians_negative_log_likelihood_but_for_its_constant():
    policy, data = new_policy(), sequences((20, 7))
    distribution = torch.distributions.Normal(policy.evaluate_sequence(data).mean, policy.log_std.exp())
    log_prob = distribution.log_prob(torch.where(data.mask[:, :, None], data.actions, 0.0))
    expected = -log_prob[data.mask].sum(dim=-1).mean()
    constant = float((policy.log_std.detach() + 0.5 * math.log(2 * math.pi)).sum())
    result = scaled_action_error(policy, data)
    assert float(result.detach()) == pytest.approx(float(expected.detach()) - constant, rel=1e-5)
    result.backward()
    assert policy.log_std.grad is None and policy.mean_layer.bias.grad is not None


def test_cloning_makes_as_many_passes_as_there_is_time_for():
    policy = new_policy()
    passes = clone(
        policy,
        sequences(),
        config=CONFIG,
        num_epochs=60,
        generator=torch.Generator().manual_seed(0),
        workers=Workers(1),
        num_splits=2,
        most_epochs=lambda done: 5.7,
    )
    assert [(each["cloning_epoch"], each["cloning_epochs"]) for each in passes] == [(n, 5.0) for n in range(1, 6)]
    assert float(policy.log_std.detach().max()) < float(new_policy().log_std.detach().max())
