"""Makes the figures, pictures and tables of README.md and docs/ from the present state of the code.

    python docs/make_figures.py                       everything, in this order
    python docs/make_figures.py pictures tables       these parts alone
    python docs/make_figures.py --list                the parts, with how long each takes on two cores

What is measured is kept in docs/measured/, with machine and date, and the runs in build/figures/, so that a run that was
stopped is resumed. Name the machine by ``--machine``; nothing else should run on it.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figure_tables import MEASURED, POLICIES, ROOT, read, success, write_tables

from handful.learning.evaluation import wilson_interval
from handful.storage import written_when_complete
from handful.tasks.registry import TASKS

WORK = ROOT / "build" / "figures"
"""Runs and films that pictures are made of."""

IMAGES = ROOT / "docs" / "images"

NUM_EPISODES = 200
"""Episodes of an evaluation while the paper's methods train."""

MACHINE = f"{os.cpu_count()} {platform.machine()} cores"
"""The machine in words, unless ``--machine`` says it."""


def policies() -> None:
    """Evaluate the policies that ship (40 min)."""
    for folder in sorted(path.parent for path in POLICIES.glob("*/policy.safetensors")):
        results = {level: evaluated(folder.name, 500, randomization=level) for level in ("task", "full")}
        write(folder / "evaluation.json", results)
        page = folder / "README.md"
        text = page.read_text()
        for level, result in results.items():
            row = rf"(--randomization {level} --num-episodes 500` \|) [^|]+\|"
            text = re.sub(row, rf"\1 {success(result)} |", text)
        text = re.sub(
            r"Evaluated on .+?, Python [\d.]+", f"Evaluated on {datetime.date.today()}, {machine_words()}", text
        )
        with written_when_complete(page) as temporary:
            temporary.write_text(text)


def scripts() -> None:
    """Evaluate the scripts that demonstrate, with both arms (1 h)."""
    options = {"policy": "scripted", "randomization": "full"}
    rows = [{"task": task, **evaluated(task, 200, **options)} for task in TASKS]
    measured("scripted", "handful evaluate TASK --policy scripted --randomization full --num-episodes 200", rows)
    rows = [{"task": task, **evaluated(task, 32, policy="scripted", arm="panda")} for task in TASKS]
    measured("arms", "handful evaluate TASK --policy scripted --arm panda --num-episodes 32", rows)


def speed() -> None:
    """Measure the speed of simulation and learning in each task (10 min)."""
    rows = []
    for task in TASKS:
        figures = json.loads(handful("bench", task, "--seconds", "2", "--json"))
        rows.append({"task": task, **{figure["name"]: figure["value"] for figure in figures}})
    note = "Control steps/s, of the camera frames/s, in 64 simulations."
    measured("speed", "handful bench TASK --seconds 2", rows, note=note)


def peers() -> None:
    """Measure others beside it; needs OSMesa, and installs them into build/peers (10 min)."""
    script, output = ROOT / "benchmarks" / "peers" / "measure.py", WORK / "peers.json"
    python(script, "--seconds", "3", "--output", output)
    before = read("peers")
    learns = {row["name"].split()[0]: row["learns"] for row in before["rows"]}
    rows = [{**row, "learns": learns[row["name"].split()[0]]} for row in json.loads(output.read_text())]
    kept = {"note": before["note"], "published": before["published"]}
    measured("peers", "python benchmarks/peers/measure.py --seconds 3", rows, **kept)


def quick() -> None:
    """Train twenty minutes in each task, and draw the curves (2 h)."""
    for task in TASKS:
        run = WORK / "quick" / task
        how = ("--resume", run) if (run / "config.json").exists() else ("--recipe", "quick", "--run", run)
        handful("train", task, *how, "--minutes", "20", "--num-threads", "1")
    python(ROOT / "docs" / "draw_training.py", "--runs", WORK / "quick")
    note = "Means of the last hundred episodes from random starts, and the return of an agent that acts at random."
    measured("quick", "handful train TASK --recipe quick --minutes 20 --num-threads 1", [], note=note)


def methods() -> None:
    """Train the paper's four methods on block lifting, and draw them side by side (1 h)."""
    folder = WORK / "figure-4"
    words = ("reproduce", "figure-4", "block-lifting", "--recipe", "quick", "--num-steps", "1500000", "--num-episodes")
    handful(*words, str(NUM_EPISODES), "--output", folder)
    shutil.copyfile(folder / "figure-4.png", IMAGES / "comparison.png")
    last: dict[str, dict[str, Any]] = {}
    with open(folder / "figure-4.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["method"] != "demonstrations":
                successes = round(float(row["success"]) * NUM_EPISODES)
                result = {"success_interval": wilson_interval(successes, NUM_EPISODES), "return": float(row["return"])}
                last[row["method"]] = {"success_rate": float(row["success"]), **result, "steps": int(row["steps"])}
    rows = [{"method": method, **row} for method, row in last.items()]
    measured("methods", f"handful {' '.join(words)} {NUM_EPISODES}", rows)


def pictures() -> None:
    """Draw the tasks, film the policy of block lifting, and draw the curves that are kept (5 min)."""
    python(ROOT / "docs" / "draw_tasks.py", IMAGES / "tasks.png")
    film = WORK / "lifting.mp4"
    handful("evaluate", "block-lifting", "--randomization", "full", "--num-episodes", "64", "--video", film)
    python(ROOT / "docs" / "video_to_gif.py", film, IMAGES / "block-lifting.gif", "--fraction", "1", "0.5")
    python(ROOT / "docs" / "draw_training.py")


def films() -> None:
    """Film what each policy does and how it fails (20 min)."""
    python(ROOT / "docs" / "film_policies.py")


def pages() -> None:
    """Take pictures of the pages for demonstrating; needs Chromium (3 min)."""
    python(ROOT / "docs" / "draw_pages.py", IMAGES)


def tables() -> None:
    """Write the tables of README.md and docs/ (seconds)."""
    for page in write_tables():
        print(f"Wrote {page.relative_to(ROOT)}.")


PARTS: dict[str, Callable[[], None]] = {
    part.__name__: part for part in (policies, scripts, speed, peers, quick, methods, pictures, films, pages, tables)
}


def evaluated(task: str, num_episodes: int, **options: str) -> dict[str, Any]:
    """What ``handful evaluate`` finds, without its single episodes."""
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    result = json.loads(handful("evaluate", task, "--num-episodes", str(num_episodes), "--json", *words))
    kept = ("num_episodes", "success", "stage", "mean", "num_diverged")
    return {name: value for name, value in result.items() if name.startswith(kept)}


def machine_words() -> str:
    """The machine, and its Python."""
    return f"{MACHINE}, Python {platform.python_version()}"


def measured(name: str, command: str, rows: list[dict[str, Any]], **others: Any) -> None:
    """Keep what was measured: the command that printed it, the machine, the date, and a row for each line of the table."""
    date = datetime.date.today().isoformat()
    write(MEASURED / f"{name}.json", {"command": command, "machine": MACHINE, "date": date, **others, "rows": rows})


def write(path: Path, value: Any) -> None:
    """Write a file of JSON, all of it or nothing."""
    with written_when_complete(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def handful(*words: str | Path) -> str:
    """Run a command of handful; returns what it prints."""
    program = "from handful.cli.main import main; main()"
    return run("-c", program, *words)


def python(script: Path, *words: str | Path) -> None:
    """Run a script of this repository."""
    print(run(script, *words), end="")


def run(*words: str | Path) -> str:
    """Run Python in the repository; returns what it prints."""
    print("+", *(word for word in words if "import" not in str(word)), file=sys.stderr)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment).stdout


def main() -> None:
    """Make the parts that are named, or all."""
    global MACHINE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all by default")
    parser.add_argument("--machine", default=MACHINE, help="the machine in words, for the tables")
    parser.add_argument("--list", action="store_true", help="list the parts and end")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"unknown part '{unknown[0]}'; the choices are: {', '.join(PARTS)}.")
    if options.list:
        print("\n".join(f"{name:10} {part.__doc__}" for name, part in PARTS.items()))
        return
    MACHINE = options.machine
    WORK.mkdir(parents=True, exist_ok=True)
    for name in options.parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
