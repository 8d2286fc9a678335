from __future__ import annotations

import collections
import dataclasses
import math

import numpy as np
import pytest
from recording import make_environment

from handful.demonstrations.sequences import demonstration_sequences
from handful.demonstrations.starts import DemonstrationStarts, start_probability
from handful.environment import OBJECT_FEATURES, TIME_LEFT
from handful.errors import ConfigurationError, DataError
from handful.trajectory import Demonstrations, Trajectory

STAGES = np.array([0] * 30 + [1] * 6 + [2] * 45)


def _trajectory(stages=STAGES, offset=0.0, **changes):
    """An episode whose states, features and actions count its steps."""
    count = np.arange(len(stages), dtype=np.float64) + offset
    fields = {
        "observations": {OBJECT_FEATURES: count[:, None].astype(np.float32)},
        "actions": (count[:-1, None] / 10_000).astype(np.float32),
        "states": count[:, None],
        "rewards": np.float32([0.0, 0.125, 1.0])[stages[1:]],
        "stages": stages,
        "parameters": {"offset": np.asarray(offset)},
        "success_step": int(np.argmax(stages == 2)),
    }
    return Trajectory(**{**fields, **changes})


def _demonstrations():
    trajectories = (_trajectory(), _trajectory(np.array([0] * 10 + [2] * 41), offset=1000.0))
    return Demonstrations("toy", trajectories, top_stage=2, control_timestep=0.05)


def _draw(starts, number=4000):
    generator = np.random.default_rng(0)
    return [starts.sample(generator) for _ in range(number)]


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_random_starts_come_with_their_probability(probability):
    drawn = _draw(DemonstrationStarts(_demonstrations(), random_start_probability=probability))
    share = np.mean([start is None for start in drawn])
    assert abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / len(drawn)) + 1e-9


@pytest.mark.parametrize(("include_solved", "clusters"), [(False, {0, 1}), (True, {0, 1, 2})])
def test_stages_are_drawn_uniformly_whatever_their_sizes(include_solved, clusters):
    starts = DemonstrationStarts(
        _demonstrations(), random_start_probability=0.0, clusters="stages", include_solved=include_solved
    )
    drawn = _draw(starts)
    count = collections.Counter(start.cluster for start in drawn)
    assert set(count) == clusters
    for number in count.values():
        share = 1.0 / len(clusters)
        assert abs(number / len(drawn) - share) < 4 * math.sqrt(share * (1 - share) / len(drawn))


def test_within_a_cluster_every_state_is_as_likely_and_keeps_its_world():
    starts = DemonstrationStarts(_demonstrations(), random_start_probability=0.0)
    count = collections.Counter(float(start.state[0]) for start in _draw(starts, 8000) if start.cluster == 0)
    assert set(count) == {float(step) for step in [*range(30), *range(1000, 1010)]}
    assert max(count.values()) < 2.0 * min(count.values())  # about 100 each
    for start in _draw(starts, 200):
        assert (start.state[0] >= 1000) == (start.parameters["offset"] == 1000.0)


def test_states_are_drawn_uniformly_whatever_their_stage():
    drawn = _draw(DemonstrationStarts(_demonstrations(), random_start_probability=0.0), 8000)
    count = collections.Counter((start.cluster, float(start.state[0])) for start in drawn)
    assert len(count) == 30 + 6 + 10
    assert max(count.values()) < 2.0 * min(count.values())  # about 174 each


@pytest.mark.parametrize(
    ("fraction", "horizon", "max_length", "probability"),
    [
        (0.5, 100, None, 0.5),
        (0.5, 100, 900, 0.5),  # cut off at the horizon at the latest
        (0.5, 500, 100, 1 / 6),  # one episode of 500 steps for five of 100
        (0.0, 500, 100, 0.0),
        (1.0, 500, 100, 1.0),
    ],
)
def test_random_starts_get_their_fraction_of_the_steps(fraction, horizon, max_length, probability):
    assert start_probability(fraction, horizon=horizon, max_length=max_length) == pytest.approx(probability)


def test_an_episode_from_a_demonstration_is_cut_off_and_one_from_a_random_start_is_not(demonstrations):
    starts = DemonstrationStarts(demonstrations, random_start_probability=0.5, max_length=7)
    environment = make_environment(num_envs=8, starts=starts, horizon=20)
    step = environment.reset()
    lengths = np.zeros(8, int)
    episodes = []
    for _ in range(60):
        step = environment.step(np.zeros((8, 9)))
        lengths += 1
        assert not step.terminated.any()
        for episode in step.episodes:
            assert step.truncated[episode.env]
            assert episode.length == lengths[episode.env] == (20 if episode.random_start else 7)
            assert episode.random_start or not episode.success
            if not episode.random_start:
                length = len(demonstrations.trajectories[episode.demonstration])
                assert 0 <= episode.start_step <= length and episode.demonstration < len(demonstrations)
            assert episode.random_start == (episode.demonstration == -1) == (episode.start_step == -1)
            np.testing.assert_allclose(  # it is cut off, and not the end of its time
                step.final_observation[TIME_LEFT][episode.env, 0], 1 - episode.length / 20, atol=1e-6
            )
        lengths[step.done] = 0
        episodes += step.episodes
        expected = np.where(step.done, environment.task.stage(environment.snapshot), step.stage)
        np.testing.assert_array_equal(step.observed_stage, expected)
    assert len({episode.random_start for episode in episodes}) == 2


def test_solved_starts_end_the_chosen_time_after_success():
    starts = DemonstrationStarts(
        _demonstrations().cut_after_success(0.5), random_start_probability=0.0, include_solved=True
    )
    steps = {float(start.state[0]) for start in _draw(starts) if start.cluster == 2}
    assert steps == {float(step) for step in [*range(36, 47), *range(1010, 1021)]}


def test_demonstrations_with_nothing_to_begin_from_are_refused():
    solved = _trajectory(np.full(41, 2), success_step=0)
    demonstrations = Demonstrations("toy", (solved,), top_stage=2, control_timestep=0.05)
    with pytest.raises(ConfigurationError, match="include the solved stage"):
        DemonstrationStarts(demonstrations)
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        DemonstrationStarts(demonstrations, random_start_probability=1.5)
    with pytest.raises(ConfigurationError, match="did you mean 'stages'"):
        DemonstrationStarts(_demonstrations(), clusters="stage")


@pytest.mark.parametrize(("seconds", "length"), [(0.0, 36), (1.0, 56), (9.0, 80), (math.inf, 80)])
def test_a_demonstration_is_cut_the_chosen_time_after_success(seconds, length):
    demonstrations = Demonstrations("toy", (_trajectory(),), top_stage=2, control_timestep=0.05)
    (cut,) = demonstrations.cut_after_success(seconds).trajectories
    assert len(cut) == length
    assert len(cut.states) == len(cut.stages) == length + 1


def test_expert_features_are_those_of_the_state_that_the_action_led_to():
    sequences = demonstration_sequences(_demonstrations().cut_after_success(1.0), None, frames=False)
    features = sequences.outcomes[OBJECT_FEATURES][sequences.mask]
    actions = sequences.actions[sequences.mask]
    assert len(features) == len(actions) == 56 + 30
    np.testing.assert_allclose(features[:, 0], actions[:, 0] * 10_000 + 1, rtol=1e-4)


def test_the_return_of_a_demonstration_is_that_of_one_which_holds_on():
    np.testing.assert_allclose(_demonstrations().returns(100), [6 * 0.125 + 65, 91])
    np.testing.assert_allclose(_demonstrations().returns(40), [6 * 0.125 + 5, 31])


def test_an_episode_begins_in_the_state_and_the_world_of_its_demonstration(demonstrations):
    starts = DemonstrationStarts(demonstrations, random_start_probability=0.0)
    environment = make_environment(num_envs=4, starts=starts)
    step = environment.reset()
    states = environment.physics.get_state()
    for env in range(4):
        matches = [each for each in demonstrations.trajectories if (each.states == states[env]).all(axis=1).any()]
        assert len(matches) == 1
        assert all((environment.parameters[name][env] == value).all() for name, value in matches[0].parameters.items())
        row = int(np.argmax((matches[0].states == states[env]).all(axis=1)))
        assert step.stage[env] == matches[0].stages[row] < demonstrations.top_stage
        np.testing.assert_array_equal(
            step.observation[OBJECT_FEATURES][env], matches[0].observations[OBJECT_FEATURES][row]
        )


class Listening(DemonstrationStarts):
    """Counts what it is told, and begins every episode in the state after the last one that it heard of."""

    def __init__(self, demonstrations):
        super().__init__(demonstrations, random_start_probability=0.0, max_length=5)
        self.told = []

    def sample(self, generator):
        start = super().sample(generator)
        return dataclasses.replace(start, step=len(self.told))

    def report(self, episode, end):
        self.told.append(episode.start_step)

    def state_dict(self):
        return {"told": np.array(self.told, np.int64)}

    def load_state_dict(self, state):
        self.told = state["told"].tolist()


def test_starts_are_told_how_their_episodes_ended_and_their_state_is_saved(demonstrations):
    def run(environment, num_steps):
        for _ in range(num_steps):
            environment.step(np.zeros((3, 9)))

    whole, first, second = (make_environment(num_envs=3, starts=Listening(demonstrations)) for _ in range(3))
    whole.reset(seeds=range(3))
    run(whole, 20)
    first.reset(seeds=range(3))
    run(first, 8)
    second.load_state_dict(first.state_dict())
    run(second, 12)
    # Three episodes end every five steps; each was begun when as many had ended as its start says.
    assert whole.starts.told == second.starts.told == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]
    np.testing.assert_array_equal(whole.physics.get_state(), second.physics.get_state())
    with pytest.raises(DataError, match="whether episodes begin from demonstrations"):
        make_environment(num_envs=3).load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": np.zeros((80, 1))}, r"actions: expected shape \[79, action\] for 80 states, got \(80, 1\)"),
        ({"rewards": np.zeros(81, np.float32)}, "rewards: expected 80 rows"),
        (
            {
                "stages": np.append(STAGES, 2),
                "rewards": np.zeros(80, np.float32),
                "actions": np.zeros((80, 1)),
                "states": np.zeros((81, 1)),
                "observations": {},
            },
            "stages: expected 81 rows for 80 steps, got 82",
        ),
        ({"observations": {"x": np.zeros((80, 2))}}, "observations/x: expected 81 rows"),
        ({"states": np.full((81, 1), np.inf)}, r"states: holds a number that is not finite \(first in row 0\)"),
        ({"actions": np.full((80, 1), 2.0)}, r"actions: expected values in \[-1, 1\]"),
        ({"actions": np.zeros((0, 1))}, "actions: expected shape"),
        ({"success_step": 81}, "success_step: expected a step from 0 to 80"),
    ],
)
def test_a_trajectory_whose_fields_do_not_fit_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        _trajectory(**changes)


def test_looks_are_drawn_anew_where_an_episode_begins_in_a_demonstration_and_nothing_else(demonstrations):
    def parameters(level: str, *, fresh: bool) -> dict[str, np.ndarray]:
        starts = DemonstrationStarts(demonstrations, random_start_probability=0.0)
        environment = make_environment(num_envs=8, starts=starts, randomization=level, fresh_looks=fresh)
        environment.reset(seeds=range(8))
        return environment.parameters

    recorded, own, task = (
        parameters("full", fresh=False),
        parameters("full", fresh=True),
        parameters("task", fresh=True),
    )
    looks = {spec.name for spec in make_environment(num_envs=1).parameter_specs if spec.looks}
    assert looks == {
        *("arm.gray", "light.position", "light.color", "camera.offset", "camera.rotation"),
        *("table.color", "floor.color", "wall.color", "block.color_hsv"),
    }
    for name in recorded:
        distinct = len(np.unique(own[name], axis=0))
        assert distinct == 8 if name in looks else distinct <= len(demonstrations.trajectories)
    # At the level of the task, cameras and lights stay as they were recorded; objects still get colours.
    assert len(np.unique(task["block.color_hsv"], axis=0)) == 8
    assert len(np.unique(task["camera.offset"], axis=0)) <= len(demonstrations.trajectories)
