import threading

import pytest

from handful import profiling
from handful.profiling import Profile, span


class _Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(profiling.time, "perf_counter", clock)
    return clock


def test_spans_add_up_under_their_parents_and_the_rest_is_told(clock):
    with Profile() as profile:
        for _ in range(2):
            with span("rollout"):
                clock.now += 1.0
                with span("physics"):
                    clock.now += 3.0
                with span("camera"):
                    clock.now += 2.0
        with span("update"):
            clock.now += 5.0
        clock.now += 0.5
    rows = [(depth, name, time.num_calls, time.seconds) for depth, name, time in profile.table()]
    assert rows == [
        (0, "rollout", 2, 12.0),
        (1, "physics", 2, 6.0),
        (1, "camera", 2, 4.0),
        (1, "rest", 0, 2.0),
        (0, "update", 1, 5.0),
        (0, "rest", 0, 0.5),
    ]
    assert profile.seconds == 17.5


def test_the_same_name_under_two_parents_is_two_spans(clock):
    with Profile() as profile:
        for parent, seconds in (("a", 1.0), ("b", 2.0)):
            with span(parent), span("encode"):
                clock.now += seconds
    assert profile.spans[("a", "encode")].seconds == 1.0 and profile.spans[("b", "encode")].seconds == 2.0


def test_a_span_that_raises_is_closed(clock):
    with Profile() as profile:
        with pytest.raises(ValueError), span("outer"), span("inner"):
            clock.now += 1.0
            raise ValueError
        with span("next"):
            clock.now += 1.0
    assert set(profile.spans) == {("outer",), ("outer", "inner"), ("next",)}


def test_nothing_is_measured_without_a_profile_or_in_another_thread(clock):
    with span("before"):
        clock.now += 1.0
    with Profile() as profile:
        thread = threading.Thread(target=lambda: span("other").__enter__())
        thread.start()
        thread.join()
    assert profile.spans == {}
