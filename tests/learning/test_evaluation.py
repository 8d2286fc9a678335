from __future__ import annotations

import json

import numpy as np
import pytest
from toy import ToyEnvironment, ToyExpert

from handful.environment import TimeStep
from handful.errors import ConfigurationError
from handful.learning.actors import PolicyActor, RandomActor, ZeroActor
from handful.learning.config.models import PolicyConfig
from handful.learning.evaluation import evaluate_policy, wilson_interval
from handful.learning.models.policy import Policy, PolicySizes


@pytest.mark.parametrize(
    ("num_successes", "num_trials", "low", "high"),
    [
        # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_equal_published_ones(num_successes, num_trials, low, high):
    assert wilson_interval(num_successes, num_trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("kind", ["expert", "random", "policy"])
def test_episodes_do_not_depend_on_how_many_simulations_run_them(kind):
    results = []
    for num_envs in (3, 10):
        environment = ToyEnvironment(num_envs, divergence=0.02)
        policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
        actors = {
            "expert": ToyExpert(),
            "random": RandomActor(environment.spec, seed=1),
            "policy": PolicyActor(policy),
        }
        results.append(evaluate_policy(actors[kind], environment, num_episodes=10, seed=7))
    few, many = results
    assert [e.length for e in few.episodes] == [e.length for e in many.episodes]
    assert [e.task_return for e in few.episodes] == pytest.approx([e.task_return for e in many.episodes])
    assert [e.env for e in few.episodes] == list(range(10))


def test_an_expert_succeeds_and_who_holds_still_does_not():
    environment = ToyEnvironment(16)
    expert = evaluate_policy(ToyExpert(), environment, num_episodes=20, seed=0)
    zero = evaluate_policy(ZeroActor(environment.spec), environment, num_episodes=20, seed=0)
    assert expert.success_rate == 1.0 and expert.num_episodes == 20
    assert expert.stage_rates == {"near": 1.0, "on target": 1.0}
    assert zero.success_rate < 0.5 < zero.success_interval[1] + 0.5
    assert expert.return_interval[0] < expert.mean_return < expert.return_interval[1]
    assert json.loads(json.dumps(expert.to_json()))["success_rate"] == 1.0
    assert expert.mean_score == 1.0 > zero.mean_score == np.mean([0.5 * each.final_stage for each in zero.episodes])
    assert 0.0 <= zero.score_interval[0] < zero.mean_score < zero.score_interval[1] <= 1.0
    assert zero.to_json()["mean_score"] == zero.mean_score


def test_a_policy_forgets_at_the_right_simulation_and_holds_the_image_between_frames():
    environment = ToyEnvironment(4, camera_period=5, staggered=True)
    policy = Policy(PolicyConfig(), PolicySizes.of(environment.spec, PolicyConfig()), seed=0)
    together = PolicyActor(policy)
    together.reset(None)
    step = environment.reset(seeds=[0, 1, 2, 3])
    alone = [PolicyActor(policy) for _ in range(4)]
    for _ in range(30):
        action = together.act(step)
        for env, actor in enumerate(alone):
            one = slice(env, env + 1)
            part = TimeStep(
                observation={name: array[one] for name, array in step.observation.items()},
                reward=step.reward[one],
                terminated=step.terminated[one],
                truncated=step.truncated[one],
                stage=step.stage[one],
                observed_stage=step.observed_stage[one],
                pixels_updated=step.pixels_updated[one],
            )
            if step.done[env]:
                actor.reset(None)
            assert actor.act(part)[0].tobytes() == action[env].tobytes()
        step = environment.step(action)
        together.reset(step.done)


def test_no_episodes_is_refused():
    with pytest.raises(ConfigurationError, match="at least 1"):
        evaluate_policy(ToyExpert(), ToyEnvironment(1), num_episodes=0, seed=0)
