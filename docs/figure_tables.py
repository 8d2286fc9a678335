"""Writes the tables of README.md and docs/ between their markers, from what was measured.

    python docs/figure_tables.py

A block ``<!-- begin NAME -->`` to ``<!-- end NAME -->`` holds the table NAME. Its figures come from ``policies/`` and from
``docs/measured/``, which the other parts of `docs/make_figures.py` write.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from handful.storage import written_when_complete
from handful.tasks.gym_registration import gymnasium_id
from handful.tasks.registry import TASKS

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "measured"
POLICIES = ROOT / "policies"

SPEEDS = {
    "physics": "physics",
    "rasterizer": "camera, 64 x 64",
    "physics_and_camera/rasterizer/5hz": "both, camera at 5 Hz",
    "physics_and_camera/rasterizer/20hz": "both at 20 Hz",
    "learning/5hz": "learning, camera at 5 Hz",
    "learning/20hz": "learning at 20 Hz",
}
"""Figures of ``handful bench`` that the table of speed shows, each with its title."""


def write_tables() -> list[Path]:
    """Write every table into the pages that have its marker; returns the pages that have changed."""
    changed = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        before = page.read_text()
        after = with_tables(before, links_from=page.parent)
        if after != before:
            with written_when_complete(page) as temporary:
                temporary.write_text(after)
            changed.append(page)
    return changed


def with_tables(text: str, *, links_from: Path) -> str:
    """A page's text with its tables as they should be.

    Raises:
        ValueError: a marker names no table, or has no end.
    """

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name not in TABLES:
            raise ValueError(f"unknown table '{name}'; the choices are: {', '.join(TABLES)}.")
        return f"<!-- begin {name} -->\n\n{TABLES[name](links_from)}\n\n<!-- end {name} -->"

    filled_in = re.sub(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", filled, text, flags=re.DOTALL)
    if filled_in.count("<!-- begin ") != len(re.findall(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", text, re.DOTALL)):
        raise ValueError("a marker <!-- begin NAME --> has no <!-- end NAME -->.")
    return filled_in


def skills(links_from: Path) -> str:
    """What the policies that ship reach."""
    rows = []
    for task in TASKS:
        evaluation = POLICIES / task / "evaluation.json"
        if not evaluation.exists():
            rows.append((task, goal(task), "no policy ships yet", "", ""))
            continue
        results = json.loads(evaluation.read_text())
        name = f"[{task}](policies/{task}/README.md)" if links_from == ROOT else task
        rows.append((name, goal(task), *(success(results[level]) for level in ("task", "full")), training_time(task)))
    head = ("skill", "what the arm does", "success", "with everything randomised", "learned in")
    return f"{table(head, rows)}\n\n`handful evaluate TASK --num-episodes 500`, {machines_and_dates()}."


def machines_and_dates() -> str:
    """Where and when the policies that ship were evaluated, as each policy's page says."""
    pages = [path.read_text() for path in sorted(POLICIES.glob("*/README.md"))]
    found = [re.search(r"Evaluated on (\d{4}-\d\d-\d\d), (.+?), Python", page) for page in pages]
    machines = dict.fromkeys(match[2].replace("x86_64", "x86") for match in found if match)
    dates = sorted({match[1] for match in found if match})
    return f"{' and '.join(machines)}, {dates[0]}{f' to {dates[-1]}' if len(dates) > 1 else ''}"


def goal(task: str) -> str:
    """What a task asks for: the first line of its docstring."""
    module, _, name = TASKS[task].partition(":")
    words = (inspect.getdoc(getattr(importlib.import_module(module), name)) or "").partition("\n\n")[0]
    return " ".join(words.split()).rstrip(".")


def success(result: dict[str, Any]) -> str:
    """Rate of sustained success with its 95% interval."""
    low, high = result["success_interval"]
    return f"{result['success_rate']:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def training_time(task: str) -> str:
    """Training time of all phases of the policy that ships, from its curves, which begin anew in each phase."""
    with open(POLICIES / task / "curves.csv", newline="") as file:
        rows = [(row["phase"], float(row["minutes"])) for row in csv.DictReader(file)]
    ends = [
        minutes
        for (phase, minutes), following in zip(rows, [*rows[1:], None], strict=True)
        if following is None or following[0] != phase or following[1] < minutes
    ]
    minutes = sum(ends)
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def peers(links_from: Path) -> str:
    """Pixels for a learner: ours and others', measured side by side, and what others publish."""
    measured = read("peers")
    ours, *others = measured["rows"]
    rows = [(ours["name"], f"**{ours['camera']:,.0f}**", "", ours["learns"])]
    rows += [
        (row["name"], f"{row['camera']:,.0f}", f"{ours['camera'] / row['camera']:,.0f}", row["learns"])
        for row in others
    ]
    rows += [
        (row["name"], f"{row['camera']} ([published]({row['source']}), {row['machine']})", "", row["learns"])
        for row in measured["published"]
    ]
    head = ("", "steps/s with camera images", "times slower", "learning that comes with it")
    return f"{table(head, rows)}\n\n{how(measured)}"


def peers_in_full(links_from: Path) -> str:
    """The same for people who want physics alone as well."""
    measured = read("peers")
    ours = measured["rows"][0]
    rows = []
    for row in measured["rows"]:
        times = [f"{ours[key] / row[key]:,.0f}" if row is not ours else "" for key in ("camera", "physics")]
        rows.append((row["measures"], f"{row['camera']:,.1f}", times[0], f"{row['physics']:,.1f}", times[1]))
    head = ("", "with camera [steps/s]", "times slower", "physics alone [steps/s]", "times slower")
    return f"{table(head, rows)}\n\n{how(measured)}"


def speed(links_from: Path) -> str:
    """What ``handful bench`` measures in each task."""
    measured = read("speed")
    rows = [
        (f"{row['task']}{' (+)' if row.get('earlier') else ''}", *(f"{row[name]:,.0f}" for name in SPEEDS))
        for row in measured["rows"]
    ]
    return f"{table(('', *SPEEDS.values()), rows)}\n\n{how(measured)}"


def scripted(links_from: Path) -> str:
    """How often the scripts that stand in for a person succeed."""
    measured = read("scripted")
    rows = [(row["task"], success(row)) for row in measured["rows"]]
    return f"{table(('script', 'sustained success'), rows)}\n\n{how(measured)}"


def arms(links_from: Path) -> str:
    """How often the scripts succeed with another arm."""
    measured = read("arms")
    rows = [(row["task"], success(row)) for row in measured["rows"]]
    return f"{table(('script with the Panda', 'sustained success'), rows)}\n\n{how(measured)}"


def methods(links_from: Path) -> str:
    """The paper's methods side by side."""
    measured = read("methods")
    rows = [
        (row["method"], success(row), f"{row['return']:.1f}", f"{row['steps'] / 1e6:.2f} M") for row in measured["rows"]
    ]
    head = ("after 20 minutes", "sustained success", "mean return", "control steps")
    return f"{table(head, rows)}\n\n{how(measured)}"


def quick(links_from: Path) -> str:
    """What twenty minutes of the recipe ``quick`` lead to; from the curves that docs/draw_training.py keeps."""
    measured, rows = read("quick"), []
    for task in TASKS:
        with open(ROOT / "docs" / "training" / f"{task}.csv", newline="") as file:
            last = list(csv.DictReader(file))[-1]
        random = json.loads((ROOT / "docs" / "training" / f"{task}.random.json").read_text())["mean_return"]
        rows.append(
            (task, f"{float(last['steps']):,.0f}", f"{float(last['return_random_start']):.1f}", f"{random:.1f}")
        )
    return f"{table(('task', 'control steps', 'return', 'random agent'), rows)}\n\n{how(measured)}"


def tasks(links_from: Path) -> str:
    """The tasks, with their goals and Gymnasium's names."""
    return table(("task", "goal", "Gymnasium"), [(task, goal(task), f"`{gymnasium_id(task)}`") for task in TASKS])


TABLES: dict[str, Callable[[Path], str]] = {
    "skills": skills,
    "peers": peers,
    "peers-in-full": peers_in_full,
    "speed": speed,
    "scripted": scripted,
    "arms": arms,
    "methods": methods,
    "quick": quick,
    "tasks": tasks,
}
"""The tables by name; each is given the folder that its links start from."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def read(name: str) -> dict[str, Any]:
    """What was measured, see `measured`."""
    return json.loads((MEASURED / f"{name}.json").read_text())


def how(measured: dict[str, Any]) -> str:
    """The sentence below a table: what printed its figures, where and when."""
    note = f" {measured['note']}" if measured.get("note") else ""
    return f"`{measured['command']}`, {measured['machine']}, {measured['date']}.{note}"


if __name__ == "__main__":
    for page in write_tables():
        print(f"Wrote {page.relative_to(ROOT)}.")
