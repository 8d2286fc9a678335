import queue
import shutil

import numpy as np
import pytest

from handful.errors import ConfigurationError
from handful.learning.persistence import policy_file
from handful.runs.folder import POLICY_FILE
from handful.runs.policies import SHIPPED as SHIPPED_POLICIES
from handful.runs.policies import read_policy
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.viewing.gate import Gate
from handful.viewing.live_episode import LiveEpisode
from handful.viewing.page import ViewPage
from handful.viewing.serving import SHIPPED, choose_actors, connect, serve, show_until


def _live(**settings) -> LiveEpisode:
    settings = {"policy": "scripted", "randomization": "full", "seed": 3, **settings}
    policy = read_policy("block-lifting", settings.pop("policy"))
    return LiveEpisode(make_task("block-lifting"), policy, **settings)


def _watched(live: LiveEpisode) -> list:
    seen = [(live.pixels.copy(), live.status)]
    while not live.over:
        live.step()
        seen.append((live.pixels.copy(), live.status))
    return seen


def test_an_episode_is_that_of_its_seed_whatever_was_watched_before():
    live = _live()
    first = _watched(live)
    live.restart(seed=4)
    live.step()
    live.restart(seed=3)
    again = _watched(live)
    assert len(first) == 101 and [status for _, status in first] == [status for _, status in again]
    assert all((left == right).all() for (left, _), (right, _) in zip(first, again, strict=True))
    assert first[-1][1].success and first[-1][1].stage == "lift" and first[-1][1].seconds == pytest.approx(5.0)
    assert first[-1][1].task_return == pytest.approx(sum(status.reward for _, status in first))


def test_the_end_of_an_episode_stays_to_be_seen():
    live = _live(policy="zero")
    before = live.environment.physics.qpos.copy()
    _watched(live)
    after = live.environment.physics.qpos.copy()
    assert np.abs(after - before).max() < 0.05  # the arm rests where this episode began, not where the next one does
    live.step()
    assert (live.environment.physics.qpos == after).all() and live.status.success is False


def test_another_actor_begins_the_episode_anew_in_the_same_world():
    live = _live()
    start = live.pixels.copy()
    live.step()
    live.act_by("random")
    assert (live.pixels == start).all() and live.status.seconds == 0.0
    with pytest.raises(ConfigurationError, match="did you mean 'random'"):
        live.act_by("randon")
    live.step()
    assert live.status.seconds == pytest.approx(0.05)


def test_another_level_of_randomisation_draws_another_world():
    live = _live()
    full = live.environment.parameters["table.color"].copy()
    live.restart(randomization="none")
    assert (live.environment.parameters["table.color"] != full).any()


class _Page:
    """A page whose visitor acts at chosen frames, and an interruption after the last one."""

    def __init__(self, visits: dict[int, str], frames: int) -> None:
        self.paused, self.speed, self.requests = False, 1000.0, queue.SimpleQueue()
        self.requested = False
        self.visits, self.frames, self.shown, self.models, self.complaints = visits, frames, [], 0, []

    def add_controls(self, **controls) -> None:
        self.controls = controls

    def show_model(self, physics) -> None:
        self.models += 1

    def show(self, physics, pixels, status) -> None:
        self.shown.append(status)
        self.requested = len(self.shown) == self.frames
        visit = self.visits.get(len(self.shown))
        if visit is not None:
            self.requests.put(lambda: visit(self))

    def complain(self, message: str) -> None:
        self.complaints.append(message)


def _serve_with(visits, frames: int) -> _Page:
    live, page = _live(), _Page(visits, frames)
    connect(page, live, {"zero": "zero", "scripted": "scripted", "gone": "gone"}, "scripted", level="task")
    show_until(page, live, lambda: page.requested)
    live.close()
    return page


def test_what_the_visitor_asks_for_is_done_between_two_steps():
    def pause(page):
        page.paused = True

    def go_on(page):
        page.paused = False

    page = _serve_with(
        {
            5: lambda page: page.controls["restart"](9, "none"),
            8: pause,
            11: lambda page: page.controls["step"](),
            13: go_on,
            15: lambda page: page.controls["act_by"]("zero"),
            17: lambda page: page.controls["act_by"]("gone"),
        },
        frames=19,
    )
    steps = [(status.seed, round(status.seconds / 0.05)) for status in page.shown]
    assert steps[:5] == [(3, k) for k in range(1, 6)]
    assert steps[5:8] == [(9, 1), (9, 2), (9, 3)]
    assert steps[8:13] == [(9, 3)] * 3 + [(9, 4)] * 2
    assert steps[13:15] == [(9, 5), (9, 6)]
    assert steps[15:17] == [(9, 1), (9, 2)]
    assert steps[17:] == [(9, 3), (9, 4)]
    assert page.models == 2 and len(page.complaints) == 1 and "unknown policy 'gone'" in page.complaints[0]


def test_another_arm_acts_by_whoever_can_move_it():
    actors, first, found = choose_actors("block-lifting", None, "panda")
    assert first == found.source == "scripted" and set(actors) == {"zero", "random", "scripted"}
    assert choose_actors("block-lifting", None, "jaco")[1] == SHIPPED
    live = LiveEpisode(make_task("block-lifting", arm="panda"), found, randomization="task", seed=3)
    start = live.environment.snapshot.tcp_position.copy()
    for _ in range(20):
        live.step()
    assert np.abs(live.environment.snapshot.tcp_position - start).max() > 0.02
    with pytest.raises(ConfigurationError, match="was trained with the arm jaco, not with panda"):
        live.act_by(None)
    live.close()


@pytest.mark.parametrize("named", [False, True])
def test_who_acts_first_is_read_once(named, tmp_path, monkeypatch):
    path, load, read = SHIPPED_POLICIES / "block-lifting" / POLICY_FILE, policy_file.load_policy, []
    if named:
        path = shutil.copy(path, tmp_path / POLICY_FILE)
    monkeypatch.setattr(policy_file, "load_policy", lambda source: read.append(source) or load(source))
    monkeypatch.setattr("handful.viewing.serving.show_until", lambda *_: None)
    serve("block-lifting", str(path) if named else None, port=8744, on_ready=lambda url: None)
    assert read.count(path) == 1


def test_the_next_seed_follows_when_an_episode_has_ended(monkeypatch):
    monkeypatch.setattr("handful.viewing.serving.SECONDS_BETWEEN_EPISODES", 0.0)
    page = _serve_with({}, frames=110)
    assert {status.seed for status in page.shown} >= {3, 4} and page.shown[-1].num_successes == 1


def test_episodes_that_are_watched_are_those_of_the_environment():
    live = _live(policy="zero")
    environment = TaskEnvironment("block-lifting", num_envs=1, randomization="full")
    assert (environment.reset(seeds=[[3]]).observation["pixels"][0] == live.pixels).all()


def test_a_seed_that_a_visitor_types_stays_and_one_that_nobody_typed_follows_the_episodes():
    live = _live(policy="zero")
    page = ViewPage(live.environment.physics, title="handful", gate=Gate(port=8742))
    try:
        connect(page, live, {"zero": "zero"}, "zero", level="full")
        page.show(live.environment.physics, live.pixels, live.status)
        page._seed.value = 17  # as a message from the browser does
        live.step()
        page.show(live.environment.physics, live.pixels, live.status)
        assert page._seed.value == 17
        live.go_on()
        page.show(live.environment.physics, live.pixels, live.status)
        assert live.seed == 4 and page._seed.value == 17
        page._seed.value = 4
        live.go_on()
        page.show(live.environment.physics, live.pixels, live.status)
        assert page._seed.value == 5
    finally:
        page.close()
        live.close()
