from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.files.validation import problems_in
from handful.demonstrations.session import DONE, LOST, RUNNING
from handful.errors import ConfigurationError
from handful.viewing.operating.serving import Recording, operate

INPUT = {"type": "input", "linear": [0, 0, 0], "angular": [0, 0, 0], "fingers": 0, "engaged": True, "number": 1}


class Served:
    """A page served in a thread of this process, until the test ends."""

    def __init__(self, recording):
        self.recording, self._stop, self._ready = recording, threading.Event(), threading.Event()
        self.status, self.error, self.url = None, None, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(60) and self.error is None, self.error

    def _run(self):
        def ready(url):
            self.url = url
            self._ready.set()

        try:
            self.status = operate(self.recording, on_ready=ready, on_warning=print, stopped=self._stop.is_set)
        except BaseException as error:
            self.error = error
        finally:
            self._ready.set()

    def close(self):
        self._stop.set()
        self._thread.join(60)
        assert self.error is None, self.error


class Page:
    """What a page does, without a browser: claims, sends inputs, and sees states."""

    def __init__(self, url, name="me", *, origin=None, claim=True):
        address, _, query = url.replace("http", "ws", 1).partition("?")
        self.socket = connect(f"{address.rstrip('/')}/socket?{query}", origin=origin, max_size=None)
        self.last, self.steers = None, False
        if claim:
            self.send(type="claim", id=name)

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def until(self, wanted, *, inputs=True, seconds=30.0, **changes):
        """Send inputs until a message is what is ``wanted``; returns it."""
        deadline, sent = time.monotonic() + seconds, 0.0
        while time.monotonic() < deadline:
            if inputs and time.monotonic() - sent > 0.05:
                self.send(**{**INPUT, **changes})
                sent = time.monotonic()
            with contextlib.suppress(TimeoutError):
                text = self.socket.recv(timeout=0.05)
                if isinstance(text, str):
                    message = json.loads(text)
                    self.last = message if message.get("type") == "status" else self.last
                    if wanted(message):
                        return message
        raise AssertionError(f"it never came; the last status was {self.last}")

    def phase(self, phase, **options):
        return self.until(lambda message: message.get("phase") == phase, **options)


@pytest.fixture
def served(tmp_path):
    pages = []

    def serve(**options):
        settings = {"task": "block-lifting", "output": tmp_path / "a.hdf5", "port": 18080, "num_episodes": 1}
        pages.append(Served(Recording(**{**settings, **options})))
        return pages[-1]

    yield serve
    for page in pages:
        page.close()


def test_a_page_steers_and_losing_it_stops_the_arm_until_it_is_back(served):
    page = served()
    mine = Page(page.url)
    mine.until(lambda message: message.get("type") == "scene")
    moving = mine.phase(RUNNING, linear=[1, 0, 0])
    later = mine.until(lambda message: message.get("seconds", 0) > 0.3, linear=[1, 0, 0])
    assert later["tool"][1] > moving["tool"][1]
    lost = mine.phase(LOST, inputs=False)  # the page hangs
    assert "silent" in lost["message"]
    back = mine.phase(RUNNING, linear=[1, 0, 0])
    assert back["seconds"] >= lost["seconds"]
    mine.socket.close()
    watcher = Page(page.url, "other", claim=False)
    gone = watcher.phase(LOST, inputs=False)
    assert "open the page" in gone["message"] and gone["seconds"] >= back["seconds"]
    again = Page(page.url)
    assert again.phase(RUNNING, linear=[1, 0, 0])["seconds"] >= gone["seconds"]


def test_one_browser_steers_and_others_watch_until_it_leaves(served):
    page = served()
    mine, other = Page(page.url, "mine"), Page(page.url, "other")
    assert other.until(lambda m: m.get("type") == "role", inputs=False)["steers"] is False
    for _ in range(20):
        other.send(**{**INPUT, "linear": [1, 1, 1]})
        other.send(type="press", name="discard")
    status = mine.until(lambda m: m.get("type") == "status" and m["phase"] == "ready")
    assert status["discarded"] == 0 and status["seconds"] == 0.0
    mine.socket.close()
    other.until(lambda m: m.get("type") == "role" and m["free"], inputs=False)
    other.send(type="claim", id="other")
    assert other.phase(RUNNING, linear=[1, 0, 0])


HOSTILE = [
    "",
    "null",
    "[" * 20_000,
    '{"type": "input"}',
    json.dumps({**INPUT, "linear": [9, 0, 0]}),
    json.dumps({**INPUT, "linear": [0, 0]}),
    json.dumps({**INPUT, "fingers": "1"}),
    json.dumps({**INPUT, "number": -1}),
    json.dumps({**INPUT, "more": 1}),
    '{"type":"input","linear":[NaN,0,0],"angular":[0,0,0],"fingers":0,"engaged":true,"number":1}',
    '{"type":"press","name":"rm -rf"}',
    '{"type":"claim","id":"' + "x" * 100 + '"}',
    '{"type":"claim","id":"<script>"}',
    '{"type":"setting","keep_automatically":"yes"}',
    b"\x00\xff",
]


def test_hostile_messages_are_answered_and_change_nothing(served):
    page = served()
    mine = Page(page.url)
    mine.until(lambda m: m.get("type") == "role" and m["steers"], inputs=False)
    for message in HOSTILE:
        mine.socket.send(message)
    assert "expected" in mine.until(lambda m: "error" in m, inputs=False)["error"]
    assert mine.phase(RUNNING, linear=[1, 0, 0])["discarded"] == 0
    with pytest.raises(ConnectionClosed):
        mine.socket.send("x" * 200_000)
        while True:
            mine.socket.recv(timeout=10)
    assert Page(page.url).phase(RUNNING, linear=[1, 0, 0])


@pytest.mark.long
def test_a_flood_slows_its_sender_and_not_the_arm(served):
    page = served()
    mine, flooding = Page(page.url, "mine"), Page(page.url, "flood")
    mine.phase(RUNNING, linear=[1, 0, 0])
    stop = threading.Event()

    def flood():
        with contextlib.suppress(ConnectionClosed):
            while not stop.is_set():
                flooding.socket.send(json.dumps(INPUT))

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    before = mine.last["seconds"]
    assert mine.until(lambda m: m.get("seconds", 0) > before + 0.5, linear=[0, 0, 1])["phase"] == RUNNING
    stop.set()
    flooding.socket.close()
    thread.join(10)


def test_other_origins_paths_and_missing_tokens_are_refused(served):
    page = served(host="0.0.0.0")
    assert "token=" in page.url
    with pytest.raises(InvalidStatus):
        Page(page.url.partition("?")[0])
    with pytest.raises(InvalidStatus):
        Page(page.url, origin="http://evil.example")
    for path in ("/../../etc/passwd", "/page.py", "/nothing"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(page.url.replace("/?", f"{path}?"))
        assert refused.value.code in (403, 404)
    with urllib.request.urlopen(page.url) as answer:
        assert b"page.js" in answer.read()


def test_a_policy_is_corrected_on_the_page_and_the_episode_kept(served, tmp_path):
    page = served(policy="scripted", keep_automatically=True)
    mine = Page(page.url)
    mine.until(lambda m: m.get("actor") == "policy" and m["seconds"] > 0.3)
    mine.until(lambda m: m.get("actor") == "person", linear=[1, 0, 0])
    mine.send(type="press", name="takeover")
    assert mine.phase(DONE, seconds=60)["kept"] == 1
    (trajectory,) = load_demonstrations(tmp_path / "a.hdf5", "block-lifting").trajectories
    assert set(trajectory.acted_by) == {1, 2} and problems_in(tmp_path / "a.hdf5") == []


def test_what_cannot_be_recorded_is_refused_before_a_page_opens(tmp_path):
    with pytest.raises(ConfigurationError, match="unknown operator 'gamepat'"):
        operate(Recording(task="block-lifting", output=tmp_path / "a.hdf5", operator="gamepat"))
    with pytest.raises(ConfigurationError, match="expected episodes of 2 to 600 s"):
        operate(Recording(task="block-lifting", output=tmp_path / "a.hdf5", max_seconds=0.0))
    assert not os.listdir(tmp_path)
