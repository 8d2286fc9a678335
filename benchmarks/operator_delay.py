"""Delay from a key press to the first motion on the page of an operator, in headless Chromium on loopback.

    python benchmarks/operator_delay.py [--presses 40]

It can also record demonstrations by the scripted person of the tests, who sees what the page shows and errs as people do:

    python benchmarks/operator_delay.py --record block-stacking --num-episodes 30 --output person.hdf5
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "viewing"))

from chromium import Browser
from person import PageHands, Person


@contextlib.contextmanager
def operated(task: str, output: pathlib.Path, num_episodes: int):
    words = ["demonstrate", task, "--operator", "browser", "--output", str(output), "--num-episodes", str(num_episodes)]
    start = [sys.executable, "-c", "from handful.cli.main import main; main()"]
    process = subprocess.Popen([*start, *words, "--max-seconds", "90"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split()[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(pathlib.Path(profile))
        try:
            browser.open(url)
            browser.wait_for("window.handful?.state?.steers && window.handful.poses")
            yield process, browser
        finally:
            browser.close()
            process.terminate()
            print(process.communicate(timeout=60)[0], end="")


def measure(presses: int) -> None:
    random = np.random.default_rng(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        operated("block-lifting", pathlib.Path(folder, "a.hdf5"), 1) as opened,
    ):
        _, browser = opened
        for number in range(presses):
            key = "ad"[number % 2]
            browser.key(key, down=True)
            time.sleep(0.2)
            browser.key(key, down=False)
            time.sleep(float(random.uniform(0.2, 0.3)))
        delays = np.array(browser.value("window.handful.delays"))
        clock = browser.value("document.getElementById('clock').textContent")
    middle, late = np.quantile(delays, (0.5, 0.9))
    quantiles = f"median {middle:.0f} ms, nine of ten within {late:.0f} ms"
    print(f"{len(delays)} key presses, from the press to the first motion on the page: {quantiles}; {clock}")


def record(task: str, output: pathlib.Path, num_episodes: int) -> None:
    with operated(task, output, num_episodes) as (process, browser):
        hands = PageHands(browser)
        for seed in range(4 * num_episodes):
            if process.poll() is not None or hands.see()["phase"] == "done":
                break
            person = Person(hands, seed=seed)
            solved = person.stack("blue_block", "red_block") if task == "block-stacking" else person.lift()
            time.sleep(1.3)
            seen = hands.see()
            print(f"episode {seed}: {'solved' if solved else 'failed'} after {seen['seconds']:.1f} s", flush=True)
            hands.tap("Enter" if seen["phase"] == "solved" else "Backspace")
            time.sleep(0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", type=int, default=40)
    parser.add_argument("--record", metavar="TASK")
    parser.add_argument("--num-episodes", type=int, default=30)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("person.hdf5"))
    options = parser.parse_args()
    if options.record:
        record(options.record, options.output, options.num_episodes)
    else:
        measure(options.presses)
