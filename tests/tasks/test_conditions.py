"""Conditions of a real robot: what each does to observations and actions, and that nothing else changes."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from handful.cli.main import run_command_line
from handful.errors import ConfigurationError
from handful.tasks.conditions import ConditionedEnvironment, make_environment
from handful.tasks.conditions_config import Conditions
from handful.tasks.environment import TaskEnvironment

TASK = "block-lifting"


@contextlib.contextmanager
def made(*, num_envs=2, pixels=False, randomization="task", **conditions):
    settings = {"num_envs": num_envs, "pixels": pixels, "randomization": randomization, "num_threads": 1}
    environment = make_environment(TASK, conditions=Conditions(**conditions), **settings)
    yield environment
    environment.close()


def rollout(environment, num_steps=6, *, seed=0):
    step = environment.reset(seeds=[[seed, i] for i in range(environment.num_envs)])
    steps = [step]
    generator = np.random.default_rng(5)
    for _ in range(num_steps):
        action = generator.uniform(-1, 1, (environment.num_envs, 9)).astype(np.float32)
        steps.append(environment.step(action))
    return steps


def group(steps, name):
    return np.stack([np.asarray(step.observation[name]) for step in steps])


def test_without_conditions_nothing_is_different():
    with made() as environment:
        assert type(environment) is TaskEnvironment
    assert not Conditions().any and not Conditions(named="none").any


def test_the_named_sets_and_what_is_given_beside_them():
    robot = Conditions(named="robot").resolved()
    assert (robot.proprioception_noise, robot.pixel_noise, robot.action_drop) == (0.01, 5, 0.0)
    dropping = Conditions(named="dropping", pixel_noise=9).resolved()
    assert (dropping.action_drop, dropping.pixel_noise, dropping.proprioception_noise) == (0.5, 9, 0.01)
    assert Conditions(**{**vars(dropping)}).resolved() == dropping
    for wrong in ({"action_drop": 1.5}, {"pixel_noise": -1}, {"named": "lab"}, {"proprioception_noise": np.nan}):
        with pytest.raises(ConfigurationError):
            Conditions(**wrong)


def test_noise_is_on_proprioception_alone_and_has_the_size_that_was_asked_for():
    with made(num_envs=4) as clean, made(num_envs=4, proprioception_noise=0.01) as noisy:
        theirs, mine = rollout(clean, 40), rollout(noisy, 40)
    difference = group(mine, "proprioception") - group(theirs, "proprioception")
    assert np.std(difference) == pytest.approx(0.01, rel=0.05) and abs(np.mean(difference)) < 1e-3
    for name in ("physical_state", "object_features", "object_positions"):
        np.testing.assert_array_equal(group(mine, name), group(theirs, name))


def test_pixels_differ_by_integers_up_to_the_largest_and_held_images_keep_their_noise():
    with made(pixels=True) as clean, made(pixels=True, pixel_noise=5) as noisy:
        theirs, mine = rollout(clean), rollout(noisy)
    difference = group(mine, "pixels").astype(int) - group(theirs, "pixels")
    assert (difference.min(), difference.max()) == (-5, 5)
    seen = group(mine, "pixels")
    np.testing.assert_array_equal(seen[1], seen[0])
    assert (seen[4] != seen[0]).any()


def test_a_lost_action_lets_the_last_one_go_on_and_the_share_is_what_was_asked_for():
    with made(num_envs=8, action_drop=0.5) as environment:
        environment.reset(seeds=range(8))
        went_on = []
        for number in range(40):
            action = np.full((8, 9), number / 100, np.float32)
            before = environment._executed.copy()
            executed = environment._carried_out(action)
            assert ((executed == action).all(axis=1) | (executed == before).all(axis=1)).all()
            went_on.append((executed != action).any(axis=1))
            environment._age += 1
    assert not went_on[0].any()
    assert np.mean(went_on[1:]) == pytest.approx(0.5, abs=0.1)


def test_actions_and_readings_come_late():
    with made(action_delay=2) as environment:
        environment.reset()
        executed = []
        for number in range(6):
            executed.append(environment._carried_out(np.full((2, 9), number, np.float32))[0, 0])
            environment._age += 1
    assert executed == [0, 0, 0, 1, 2, 3]
    with made() as clean, made(proprioception_delay=1, proprioception_period=2) as late:
        theirs, mine = rollout(clean, 6), rollout(late, 6)
    true, given = group(theirs, "proprioception"), group(mine, "proprioception")
    for number, source in enumerate([0, 0, 1, 1, 3, 3, 5]):
        np.testing.assert_array_equal(given[number], true[source])


def test_at_full_each_episode_draws_how_much_and_the_worlds_are_the_same_as_without():
    with made(num_envs=6, randomization="full", named="robot") as environment:
        rollout(environment)
        assert np.ptp(environment._amount[:, 0]) > 0.1
        parameters = environment.parameters
        with made(num_envs=6, randomization="full") as clean:
            rollout(clean)
            for name, values in clean.parameters.items():
                np.testing.assert_array_equal(parameters[name], values)
    with made(num_envs=6, named="robot") as environment:
        rollout(environment)
        assert (environment._amount == 1.0).all()


def test_an_episode_does_not_depend_on_how_many_run_beside_it():
    with made(num_envs=3, named="dropping") as many, made(num_envs=1, named="dropping") as one:
        theirs = group(rollout(many, 0), "proprioception")[:, :1]
        np.testing.assert_array_equal(group(rollout(one, 0), "proprioception"), theirs)


def test_a_saved_environment_resumes_to_the_bit():
    with made(pixels=True, named="dropping") as environment, made(pixels=True, named="dropping") as other:
        last = rollout(environment)[-1]
        saved = environment.state_dict()
        other.reset()
        loaded = other.load_state_dict(saved)
        for name in last.observation:
            np.testing.assert_array_equal(loaded.observation[name], last.observation[name])
        for number in range(5):
            action = np.full((2, 9), 0.1 * number, np.float32)
            mine, theirs = environment.step(action), other.step(action)
            for name in mine.observation:
                np.testing.assert_array_equal(mine.observation[name], theirs.observation[name])


def test_episodes_that_end_begin_anew_with_readings_of_their_own():
    environment = ConditionedEnvironment(
        TASK, conditions=Conditions(proprioception_delay=2), num_envs=2, pixels=False, horizon=3, num_threads=1
    )
    with contextlib.closing(environment):
        steps = rollout(environment, 3)
        assert steps[-1].truncated.all() and steps[-1].final_observation is not None
        np.testing.assert_array_equal(steps[-1].observation["proprioception"], environment.observe()["proprioception"])


@pytest.mark.usefixtures("one_thread")
def test_evaluate_says_under_which_conditions(capsys):
    words = ["evaluate", TASK, "--policy", "zero", "--num-episodes", "1", "--json", "--conditions.named", "robot"]
    assert run_command_line(words) == 0
    assert json.loads(capsys.readouterr().out)["conditions"]["pixel_noise"] == 5
    assert run_command_line([*words[:-1], "moon"]) == 2
