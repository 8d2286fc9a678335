"""Every page that is served, with clients that send what they should not: it goes on, and says so in sentences."""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import socket
import time

import msgspec
import pytest
from harness import NUM_CASES, SECONDS
from recording import TASK, make_environment, record
from served import PATIENCE, Attacker, ServedPage
from viser_client import CAMERA, SUBPROTOCOL
from websockets.sync.client import ClientConnection, connect

NUM_MESSAGES = max(60, NUM_CASES)
"""A thousand to each page in ``make fuzz``, and some in ``make test``."""

INPUT = {"type": "input", "linear": [0.5, 0, 0], "angular": [0, 0, 0], "fingers": 0, "engaged": True, "number": 1}
CLAIM = {"type": "claim", "id": "me"}
OPERATOR = [
    INPUT,
    CLAIM,
    {"type": "press", "name": "discard"},
    {"type": "press", "name": "redo"},
    {"type": "press", "name": "takeover"},
    {"type": "setting", "keep_automatically": True},
    {"type": "pong"},
]
VALUES = (0, 7, 2**32 - 1, "scripted", "zero", "random", "none", "full", "10", "0.25", True, False)
CONTROLS = [{"type": "GuiUpdateMessage", "uuid": f"c{n}", "updates": {"value": v}} for n in range(16) for v in VALUES]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
"""A child that is forked has none of its parent's threads, and must not wait for them."""


def _attack(page: ServedPage, attacker: Attacker, seed: int) -> None:
    for number in range(NUM_MESSAGES):
        attacker.attack(random.Random(f"{seed}/{number}"))
        if number % 50 == 0:
            begun = time.monotonic()
            assert page.get("/")[0] == 200 and time.monotonic() - begun < SECONDS, page.output
    attacker.close()
    assert page.get("/")[0] == 200 and page.runs


def _operators_page(folder: pathlib.Path) -> ServedPage:
    words = ["demonstrate", TASK, "--operator", "browser", "--output", str(folder / "a.hdf5"), "--port", "18200"]
    return ServedPage(words, folder / "log.txt")


def _live_page(folder: pathlib.Path) -> ServedPage:
    return ServedPage(["view", TASK, "--port", "18220"], folder / "log.txt")


def _page_of_a_file(folder: pathlib.Path) -> ServedPage:
    path = folder / "file.hdf5"
    record(path, 1, environment=make_environment(num_envs=1))
    return ServedPage(["dataset", "view", str(path), "--port", "18240"], folder / "log.txt")


def test_the_operators_page_goes_on(tmp_path):
    with _operators_page(tmp_path) as page:
        _attack(page, Attacker(page, "/socket", None, OPERATOR, json.dumps), seed=0)
        with connect(f"ws://127.0.0.1:{page.port}/socket", max_size=None) as mine:
            moved = None
            for _ in range(2000):
                mine.send(json.dumps(CLAIM))
                mine.send(json.dumps(INPUT))
                message = mine.recv(timeout=60)
                moved = json.loads(message) if isinstance(message, str) else moved
                if moved and moved.get("phase") == "running" and moved["seconds"] > 0.2:
                    break
            assert moved and moved["phase"] == "running", moved


def test_the_live_page_goes_on(tmp_path, monkeypatch):
    numbers = iter(range(10**6))
    monkeypatch.setattr("viser._gui_api._make_uuid", lambda: f"c{next(numbers)}")
    with _live_page(tmp_path) as page:
        whole = [CAMERA, *random.Random(0).sample(CONTROLS, 60)]
        _attack(page, Attacker(page, "/", SUBPROTOCOL, whole, msgspec.msgpack.encode), seed=1)
        with connect(f"ws://127.0.0.1:{page.port}/", subprotocols=[SUBPROTOCOL], max_size=None) as mine:
            mine.send(msgspec.msgpack.encode(CAMERA))
            assert all(mine.recv(timeout=60) for _ in range(5))


def test_the_page_of_a_file_goes_on(tmp_path):
    with _page_of_a_file(tmp_path) as page:
        _attack(page, Attacker(page, "/socket", None, [{}], json.dumps), seed=2)
        assert json.loads(page.get("/episodes.json")[1])["episodes"]
        assert page.get("/demo_0/3.jpg")[1][:2] == b"\xff\xd8"


@pytest.mark.long
@pytest.mark.parametrize(
    ("serve", "path", "subprotocols"),
    [
        (_operators_page, "/socket", None),
        (_live_page, "/", [SUBPROTOCOL]),
        (_page_of_a_file, "/socket", None),
    ],
)
def test_connections_that_say_nothing_do_not_keep_others_out(serve, path, subprotocols, tmp_path):
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(serve(tmp_path))

        def join() -> ClientConnection:
            options = {
                "open_timeout": PATIENCE,
                "ping_interval": None,
                "max_size": None,
                "max_queue": None,
            }  # reads all
            where = f"ws://127.0.0.1:{page.port}{path}"
            return stack.enter_context(connect(where, subprotocols=subprotocols, **options))

        browsers = [join()]
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE))
        assert page.get("/")[0] == 200
        browsers.append(join())
        assert all(each.ping().wait(PATIENCE) for each in browsers)
