"""Takes pictures of the pages on which a person demonstrates and looks at what was recorded, in headless Chromium.

python docs/draw_pages.py docs/images

The person is the scripted one of the tests, who steers by keys and sees what the page shows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "viewing"), str(ROOT / "benchmarks")]

from chromium import CHROMIUM, Browser  # noqa: E402
from operator_delay import operated  # noqa: E402
from person import PageHands, Person  # noqa: E402

NUM_TRIES = 8
"""Attempts to lift a block, of which the first success is shown."""


def draw_demonstrating(picture: Path, recording: Path) -> None:
    """Let the person lift a block and keep it; the picture is of the moment before it is kept."""
    with operated("block-lifting", recording, 1) as (_, browser):
        hands = PageHands(browser)
        for seed in range(NUM_TRIES):
            Person(hands, seed=seed).lift()
            time.sleep(1.3)
            if hands.see()["phase"] == "solved":
                browser.screenshot(picture)
                hands.tap("Enter")
                browser.wait_for("window.handful.state.status.kept === 1", 10)
                return
            hands.tap("Backspace")
    sys.exit(f"No block was lifted in {NUM_TRIES} attempts: is the machine busy?")


def draw_episodes(picture: Path, recording: Path) -> None:
    """Show the middle of a recorded episode."""
    program = "from handful.cli.main import main; main()"
    words = [sys.executable, "-c", program, "dataset", "view", str(recording)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().rpartition(" at ")[2].split()[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        try:
            browser.open(url)
            browser.wait_for("document.getElementById('slider')?.max > 1")
            browser.value(
                "(() => { const step = document.getElementById('slider'); step.value = Math.round(0.45 * step.max);"
                " step.dispatchEvent(new Event('input')); })()"
            )
            time.sleep(1.0)
            browser.screenshot(picture)
        finally:
            browser.close()
            process.terminate()
            process.wait(timeout=60)


def main() -> None:
    """Draw both."""
    if CHROMIUM is None:
        sys.exit("There is no Chromium: install it, or leave the pictures of the pages as they are.")
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as work:
        recording = Path(work) / "mine.hdf5"
        draw_demonstrating(folder / "demonstrating.png", recording)
        draw_episodes(folder / "episodes.png", recording)


if __name__ == "__main__":
    main()
