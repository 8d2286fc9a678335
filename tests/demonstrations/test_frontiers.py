from __future__ import annotations

import numpy as np
import pytest
from test_starts import _demonstrations

from handful.demonstrations.frontiers import FrontierStarts
from handful.environment import EpisodeSummary
from handful.learning.metrics import METRICS


def starts(**options) -> FrontierStarts:
    return FrontierStarts(_demonstrations(), horizon=400, **options)


def summary(*, held: bool, demonstration: int = -1, step: int = -1, length: int = 50) -> EpisodeSummary:
    return EpisodeSummary(
        env=0,
        task_return=0.0,
        length=length,
        random_start=demonstration < 0,
        success=False,
        highest_stage=0,
        final_stage=0,
        diverged=False,
        held=held,
        demonstration=demonstration,
        start_step=step,
    )


def test_starts_lie_at_the_frontier_or_after_it_and_before_success():
    subject, generator = starts(random_fraction=0.0), np.random.default_rng(0)
    assert subject.frontiers.tolist() == [26, 0]  # half a second before success at 36; the other succeeds at 10
    subject.frontiers[:] = [12, 0]
    drawn = [start for _ in range(4000) if (start := subject.sample(generator)).state is not None]
    first = np.array([start.step for start in drawn if start.demonstration == 0])
    assert first.min() == 12 and first.max() == 35
    near = ((first >= 12) & (first <= 22)).mean()
    assert near == pytest.approx(0.5 + 0.5 * 11 / 24, abs=0.05)
    assert len(first) > 1200  # there is more left in the first
    for start in drawn[:50]:
        assert start.state[0] == start.step + 1000 * start.demonstration
        assert start.max_length == int(1.5 * ((36, 10)[start.demonstration] - start.step)) + 40


@pytest.mark.parametrize(
    ("outcomes", "moves"),
    [
        ((1, 1, 1), True),
        ((1, 1, 0), False),
        ((0, 1, 1, 0, 1, 1), True),
        ((0, 0, 1, 1, 0, 1), False),
        ((0, 1, 1), False),
    ],
)
def test_a_frontier_moves_back_when_starts_at_it_succeed(outcomes, moves):
    subject = starts()
    for outcome in outcomes:
        subject.report(summary(held=bool(outcome), demonstration=0, step=30), None)
    assert subject.frontiers[0] == (16 if moves else 26)


def test_a_frontier_moves_twice_as_far_after_each_move_without_a_failure():
    subject = FrontierStarts(_demonstrations(), horizon=400, step_s=0.1)
    at = [int(subject.frontiers[0])]

    def report(*outcomes: bool) -> None:
        for held in outcomes:
            subject.report(summary(held=held, demonstration=0, step=int(subject.frontiers[0])), None)
        at.append(int(subject.frontiers[0]))

    report(True, True, True)
    report(True, True, True)
    report(False, True, True, True)
    report(True, True, True)
    assert (-np.diff(at)).tolist() == [2, 4, 8, 2]  # a failure in between makes the next move short
    other = FrontierStarts(_demonstrations(), horizon=400, step_s=0.1)
    other.load_state_dict(subject.state_dict())
    for each in (subject, other):
        for _ in range(3):
            each.report(summary(held=True, demonstration=0, step=int(each.frontiers[0])), None)
    assert other.frontiers.tolist() == subject.frontiers.tolist()


def test_starts_away_from_the_frontier_and_random_ones_move_nothing():
    subject = starts()
    subject.frontiers[0] = 12
    for _ in range(20):
        subject.report(summary(held=True, demonstration=0, step=30), None)
        subject.report(summary(held=True), None)
    assert subject.frontiers.tolist() == [12, 0]


def test_random_starts_get_their_fraction_of_the_steps_and_more_at_the_end():
    subject, generator = starts(random_fraction=0.3, final_random_fraction=0.9), np.random.default_rng(0)
    for frontiers, expected in (([26, 3], 0.3), ([0, 3], 0.6), ([0, 0], 0.9)):
        subject.frontiers[:] = frontiers
        lengths = {True: 0, False: 0}
        for _ in range(4000):
            random = subject.sample(generator).state is None
            length = 200 if random else 40
            lengths[random] += length
            subject.report(summary(held=False, demonstration=-1 if random else 0, length=length), None)
        assert lengths[True] / sum(lengths.values()) == pytest.approx(expected, abs=0.05)


def test_random_starts_are_short_until_half_of_the_frontiers_are_at_the_beginning():
    subject, generator = starts(random_fraction=1.0, max_random_length=20), np.random.default_rng(0)
    whole = starts(random_fraction=1.0).sample(generator).max_length
    subject.frontiers[:] = [26, 5]
    assert subject.sample(generator).max_length == 20 < whole
    subject.frontiers[:] = [26, 0]
    assert subject.sample(generator).max_length == whole


def test_the_state_is_saved_whole():
    subject, other, generator = starts(), starts(), np.random.default_rng(1)
    for _ in range(200):
        start = subject.sample(generator)
        held = bool(generator.random() < 0.7)
        subject.report(summary(held=held, demonstration=start.demonstration, step=start.step), None)
    other.load_state_dict(subject.state_dict())
    left, right = np.random.default_rng(2), np.random.default_rng(2)
    for _ in range(50):
        one, two = subject.sample(left), other.sample(right)
        assert (one.demonstration, one.step, one.max_length) == (two.demonstration, two.step, two.max_length)
    assert subject.metrics() == other.metrics() and subject.metrics()["frontier"] < 0.6


def test_the_metrics_of_the_starts_are_defined():
    defined = {metric.name for metric in METRICS}
    assert set(starts().metrics()) == {"frontier", "frontiers_at_beginning"} <= defined
