"""A scripted person in a real Chromium: keyboard and gamepad, keeping and discarding, loss of the network."""

from __future__ import annotations

import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from chromium import CHROMIUM, Browser
from person import PageHands, Person
from test_operating import Served

from handful.demonstrations.files.replaying import replay_file
from handful.demonstrations.files.validation import problems_in
from handful.demonstrations.operators.devices.device import PRESSES
from handful.viewing.operating.serving import Recording

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

GAMEPAD = """
window.pad = {id: "Simulated", connected: true, mapping: "standard", axes: [0, 0, 0, 0],
  buttons: Array.from({length: 17}, () => ({pressed: false, value: 0}))};
navigator.getGamepads = () => [window.pad];
"""


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    browser.before_load(GAMEPAD)
    yield browser
    browser.close()


def test_a_person_lifts_keeps_discards_and_the_file_replays_to_the_bit(browser, tmp_path):
    path = tmp_path / "a.hdf5"
    page = Served(Recording("block-lifting", path, num_episodes=1, port=18090, max_seconds=60.0))
    try:
        browser.open(page.url)
        browser.wait_for("window.handful?.state?.steers && window.handful.poses")
        hands = PageHands(browser)
        assert browser.value("document.querySelectorAll('#legend tr').length") > 10
        browser.value("window.pad.axes[0] = 1")  # the stick to the right
        browser.wait_for("window.handful.state.status.tool[1] > 0.03")
        browser.value("window.pad.axes[0] = 0; window.pad.buttons[8] = {pressed: true, value: 1}")  # Back: discard
        browser.wait_for("window.handful.state.status.discarded === 1")
        browser.value("window.pad.buttons[8] = {pressed: false, value: 0}")
        for seed in range(4):
            Person(hands, seed=seed).lift()
            time.sleep(1.3)
            if hands.see()["phase"] == "solved":
                hands.tap("Enter")
                break
            hands.tap("Backspace")
        browser.wait_for("window.handful.state.status.kept === 1", 10)
    finally:
        page.close()
    assert problems_in(path) == []
    assert all(replay.first_different is None for replay in replay_file(path))


def test_what_the_page_can_ask_for_is_what_a_session_knows():
    script = (pathlib.Path(__file__).parents[2] / "handful/viewing/operating/static/devices.js").read_text()
    assert all(f'"{press}"' in script for press in PRESSES)
