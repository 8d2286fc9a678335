from __future__ import annotations

import dataclasses

import numpy as np
from test_frontiers import summary

from handful.demonstrations.retries import (
    AS_IT_WAS,
    BACK,
    CAPACITY,
    CLOSURES,
    IN_PLACE,
    MINIMUM,
    NUM_KINDS,
    RetryStarts,
    failures_of,
)
from handful.environment import Start
from handful.simulation import jaco
from handful.simulation.physics.protocol import STATE_FIELDS
from handful.tasks.environment import TaskEnvironment

NQ, NV, NU = 16, 15, 9
SIZE = 1 + NQ + NV + NV + NU


class Always:
    """Begins every episode in the same start, and hears of all of them."""

    def __init__(self, start: Start | None) -> None:
        self.start = start
        self.num_reports = 0

    def sample(self, generator):
        return self.start

    def report(self, episode, end):
        self.num_reports += 1

    def metrics(self):
        return {}

    def state_dict(self):
        return {"num_reports": self.num_reports}

    def load_state_dict(self, state):
        self.num_reports = state["num_reports"]


def failure(number: int) -> Start:
    return Start(np.full(SIZE, float(number)), {"size": np.array([number, 1.0])}, cluster=1)


def retries(start: Start | None = None, *, fraction: float = 1.0, num_failures: int = MINIMUM) -> RetryStarts:
    subject = RetryStarts(Always(start), fraction=fraction, nq=NQ, nv=NV)
    for number in range(num_failures):
        subject.report(summary(held=False), failure(number))
    return subject


def test_failures_replace_their_fraction_of_the_random_starts_and_no_others():
    generator = np.random.default_rng(0)
    subject = retries(fraction=0.25)
    share = np.mean([subject.sample(generator) is not None for _ in range(2000)])
    assert 0.22 < share < 0.28  # three standard deviations of a quarter of 2,000 draws
    demonstrated = Start(np.zeros(SIZE), {}, cluster=0, demonstration=3)
    assert all(retries(demonstrated).sample(generator) is demonstrated for _ in range(20))
    assert retries(num_failures=MINIMUM - 1).sample(generator) is None


def test_retries_go_on_as_they_are_or_with_other_fingers_or_with_the_arm_at_its_start_too():
    subject, generator = retries(Start(None, {}, cluster=0, max_length=77)), np.random.default_rng(1)
    kinds, fingers = [0, 0, 0], []
    for _ in range(400):
        start = subject.sample(generator)
        number = float(start.parameters["size"][0])
        assert (start.demonstration, start.cluster, start.max_length) == (-1, 1, 77)
        state = start.state
        objects = np.r_[state[1 + 9 : 1 + NQ], state[1 + NQ + 9 : 1 + NQ + NV]]
        assert (objects == number).all()
        if (state == number).all():
            kinds[0] += 1
            continue
        in_place = (state[1:7] == number).all()
        kinds[1 if in_place else 2] += 1
        assert in_place or np.abs(state[1:7] - jaco.HOME_QPOS[:6]).max() <= 0.12
        assert len(set(state[7:10])) == 1  # the fingers move as one
        fingers.append(state[7])
        assert not state[1 + NQ : 1 + NQ + 9].any() and not state[1 + NQ + NV :].any()
    assert min(kinds) > 100
    assert min(fingers) < 0.2 and max(fingers) > 1.3 and max(fingers) <= jaco.FINGER_CLOSED


def test_closures_are_drawn_where_there_is_most_to_be_learned():
    subject, generator = retries(), np.random.default_rng(2)
    counts = np.zeros(NUM_KINDS, int)
    for _ in range(6000):  # a policy that mends what has open fingers, half of what is between, and no fist
        start = subject.sample(generator)
        counts[start.kind] += 1
        closure = (start.kind - IN_PLACE) % len(CLOSURES)
        held = start.kind != AS_IT_WAS and (closure < 4 or (closure == 4 and generator.random() < 0.5))
        subject.report(dataclasses.replace(summary(held=held), random_start=False, kind=start.kind), None)
    for first in (IN_PLACE, BACK):
        drawn = counts[first : first + len(CLOSURES)]
        assert drawn[4] > 3 * np.delete(drawn, 4).max() and drawn.min() > 50
    assert abs(counts[AS_IT_WAS] / 6000 - 1 / 3) < 0.03
    assert subject.metrics()["retry_success"] < 0.01
    other = retries(num_failures=0)
    other.load_state_dict(subject.state_dict())
    np.testing.assert_array_equal(other._success, subject._success)


def test_only_failures_from_random_starts_that_ran_out_of_time_are_kept():
    subject = retries(num_failures=MINIMUM - 1)
    for episode, end in (
        (summary(held=True), failure(99)),
        (summary(held=False), None),
        (summary(held=False, demonstration=2, step=4), failure(99)),
        (dataclasses.replace(summary(held=False), random_start=False), failure(99)),  # itself a retry
    ):
        subject.report(episode, end)
    assert subject.sample(np.random.default_rng(0)) is None
    assert subject.starts.num_reports == MINIMUM + 3


def test_old_failures_make_room_and_the_state_is_saved_whole():
    subject = retries(num_failures=CAPACITY + 3)
    numbers = sorted(float(each.parameters["size"][0]) for each in subject._failures)
    assert len(numbers) == CAPACITY and numbers[0] == 3.0 and numbers[-1] == CAPACITY + 2
    other = retries(num_failures=0)
    other.load_state_dict(subject.state_dict())
    assert other.starts.num_reports == subject.starts.num_reports
    for left, right in zip(
        [subject.sample(np.random.default_rng(seed)) for seed in range(20)],
        [other.sample(np.random.default_rng(seed)) for seed in range(20)],
        strict=True,
    ):
        np.testing.assert_array_equal(left.state, right.state)
        np.testing.assert_array_equal(left.parameters["size"], right.parameters["size"])
    empty = retries(num_failures=0)
    empty.load_state_dict(retries(num_failures=0).state_dict())
    assert empty.sample(np.random.default_rng(0)) is None


def test_an_environment_tells_the_state_in_which_an_episode_was_cut_off():
    ends: list[Start] = []

    class Listening(Always):
        def report(self, episode, end):
            ends.append(end)

    environment = TaskEnvironment(
        "block-lifting", num_envs=2, starts=Listening(None), horizon=4, pixels=False, num_threads=1
    )
    environment.reset(seeds=[0, 1])
    action = np.full((2, 9), 0.3)
    for _ in range(3):
        environment.step(action)
    parameters = {name: values.copy() for name, values in environment.parameters.items()}
    twin = TaskEnvironment("block-lifting", num_envs=2, pixels=False, num_threads=1)
    twin.reset(seeds=[0, 1])
    for _ in range(4):
        twin.step(action)
    environment.step(action)
    assert len(ends) == 2 and STATE_FIELDS[0] == "time"
    for env, end in enumerate(ends):
        np.testing.assert_array_equal(end.state, twin.physics.get_state()[env])
        assert all((end.parameters[name] == parameters[name][env]).all() for name in parameters)


def test_half_of_the_retries_are_given_ones_once_there_are_others():
    generator = np.random.default_rng(0)
    given = [failure(100 + number) for number in range(3)]
    subject = RetryStarts(Always(None), fraction=0.5, nq=NQ, nv=NV, given=given)

    def sizes(number: int = 2000) -> np.ndarray:
        drawn = (subject.sample(generator) for _ in range(number))
        return np.array([start.parameters["size"][0] for start in drawn if start is not None])

    assert set(sizes()) == {100, 101, 102}  # all are given, before any episode failed here
    for number in range(MINIMUM):
        subject.report(summary(held=False), failure(number))
    drawn = sizes()
    assert 0.44 < len(drawn) / 2000 < 0.56 and 0.44 < (drawn >= 100).mean() < 0.56
    assert failures_of(subject.state_dict())[3].parameters["size"][0] == 3
    other = RetryStarts(Always(None), fraction=1.0, nq=NQ, nv=NV)
    other.load_state_dict(subject.state_dict())
    assert {int(other.sample(generator).parameters["size"][0]) for _ in range(400)} == {*range(MINIMUM), 100, 101, 102}
