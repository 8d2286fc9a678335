"""Puts a trained policy into policies/TASK, with its curves, its evaluation, and how it was made.

python docs/ship_policy.py runs/block-stacking                  a run of several phases
python docs/ship_policy.py runs/teacher runs/student runs/ft    phases that were trained one by one, in their order
python docs/ship_policy.py --further runs/student2              the policy that ships, trained further

It evaluates 500 random starts at each level, and writes policy.safetensors, curves.csv, curves.png, evaluation.json and
README.md, and the tables of the documentation.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figure_tables import write_tables
from matplotlib.figure import Figure

from handful.api import EVALUATION_SEED
from handful.learning.actors import PolicyActor
from handful.learning.evaluation import evaluate_policy
from handful.learning.persistence.policy_file import load_policy, save_policy
from handful.runs.folder import POLICY_FILE, RunDescription, read_description
from handful.runs.phases import has_phases, read_phases
from handful.runs.policies import SHIPPED
from handful.tasks.environment import TaskEnvironment
from handful.viewing.curves import MINUTES, STEPS, SUCCESS, read_curve

NUM_EPISODES = 500
LEVELS = ("task", "full")
CURVES_FILE = "curves.csv"
MAX_ROWS = 150
"""Rows of a phase's curve that are kept."""


def evaluate(policy_file: Path, task: str, level: str) -> dict[str, Any]:
    """Success of a policy from 500 random starts, with its interval; what `handful evaluate` prints."""
    policy, manifest = load_policy(policy_file)
    environment = TaskEnvironment(task, num_envs=64, randomization=level, camera_hz=manifest.camera_hz)
    result = evaluate_policy(
        PolicyActor(policy, manifest), environment, num_episodes=NUM_EPISODES, seed=EVALUATION_SEED
    ).to_json()
    environment.close()
    del result["episodes"]
    return result


def write_curves(phases: list[list[dict[str, str]]], folder: Path) -> list[dict[str, Any]]:
    """Write the curves of all phases, see `rows_of`, and a picture of them; returns what each phase took."""
    taken = []
    figure = Figure(figsize=(8, 3), dpi=130, layout="constrained")
    axis = figure.subplots()
    before = 0.0
    for rows in phases:
        minutes, success = (np.array([float(row[name] or "nan") for row in rows]) for name in (MINUTES, SUCCESS))
        axis.plot(before + minutes, success, linewidth=1.4, label=rows[0]["phase"])
        taken.append(
            {"phase": rows[0]["phase"], "steps": int(float(rows[-1][STEPS])), "minutes": round(float(minutes[-1]), 1)}
        )
        before += minutes[-1]
    axis.set_xlabel("training time [min]")
    axis.set_ylabel("success while training")
    axis.set_ylim(-0.03, 1.03)
    axis.legend(frameon=False)
    figure.savefig(folder / "curves.png")
    with open(folder / CURVES_FILE, "w", newline="") as file:
        fields = list(dict.fromkeys(name for rows in phases for row in rows for name in row))
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(row for rows in phases for row in rows)
    return taken


def rows_of(run: Path) -> list[dict[str, str]]:
    """The curves of a phase: what is kept of its metrics."""
    columns, phase = read_curve(run).columns, phase_name(read_description(run))
    every = max(1, len(columns[STEPS]) // MAX_ROWS)
    kept = sorted({*range(0, len(columns[STEPS]), every), len(columns[STEPS]) - 1})
    names = (STEPS, MINUTES, SUCCESS, "frontier", "distillation_error", "teacher_error", "auxiliary_error_cm")
    return [{"phase": phase} | {n: f"{columns[n][k]:.8g}" for n in names if n in columns} for k in kept]


def rows_that_ship(folder: Path) -> list[list[dict[str, str]]]:
    """The curves of the phases of the policy that ships: a phase begins where another is named, or steps begin anew."""
    phases: list[list[dict[str, str]]] = []
    with open(folder / CURVES_FILE, newline="") as file:
        for row in csv.DictReader(file):
            last = phases[-1][-1] if phases else None
            if last is None or last["phase"] != row["phase"] or float(last[STEPS]) > float(row[STEPS]):
                phases.append([])
            phases[-1].append(row)
    return phases


def phase_name(description: RunDescription) -> str:
    """The phase that a run is of."""
    return description.recipe.rpartition(": ")[2]


def readme(task: str, taken: list[dict[str, Any]], results: dict[str, dict[str, Any]], note: str) -> str:
    """How the policy was made and what it reaches."""
    lines = [
        f"# The policy that ships for {task}",
        "",
        "It sees 64 x 64 pixels at 5 Hz and the arm's own joints. It has seen 30 demonstrations. To make one like it:",
        "",
        f"    make train TASK={task}",
        "",
        f"| `handful evaluate {task}` | sustained success |{' score |' if has_score(results) else ''}",
        f"|---|---|{'---|' if has_score(results) else ''}",
    ]
    for level, result in results.items():
        low, high = result["success_interval"]
        score = f" {result['mean_score']:.1%} |" if has_score(results) else ""
        lines.append(
            f"| `--randomization {level} --num-episodes {NUM_EPISODES}` | {result['success_rate']:.1%} "
            f"({100 * low:.1f} to {100 * high:.1f}) |{score}"
        )
    lines += [
        "",
        f"Evaluated on {datetime.date.today()}, {machine()}. Each phase was trained in one thread, with one to four other "
        "processes on the two cores:",
        "",
        "| phase | control steps | training time |",
        "|---|---|---|",
        *(f"| {each['phase']} | {each['steps']:,} | {each['minutes']:.0f} min |" for each in taken),
        "",
        "![Success of episodes from random starts while training, with noise on the actions](curves.png)",
    ]
    return "\n".join([*lines, *(["", note] if note else [])]) + "\n"


def has_score(results: dict[str, dict[str, Any]]) -> bool:
    """Whether the task counts more than success."""
    return any(abs(result.get("mean_score", 0) - result["success_rate"]) > 0.02 for result in results.values())


def machine() -> str:
    """The machine in words."""
    return f"{os.cpu_count()} {platform.machine()} cores, Python {platform.python_version()}"


def main() -> None:
    """Evaluate, copy, draw, and print what is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument(
        "--further",
        action="store_true",
        help="the policy that ships was trained further: keep its phases, before these",
    )
    parser.add_argument("--note", default="", help="what else a reader should know, as Markdown")
    options = parser.parse_args()
    torch.set_num_threads(1)
    phases = options.runs
    if len(phases) == 1 and has_phases(phases[0]):
        phases = [phases[0] / phase.name for phase in read_phases(phases[0]).phases]
    task = read_description(phases[-1]).task
    folder = SHIPPED / task
    folder.mkdir(parents=True, exist_ok=True)
    results = {level: evaluate(phases[-1] / POLICY_FILE, task, level) for level in LEVELS}
    earlier = rows_that_ship(folder) if options.further else []
    taken = write_curves([*earlier, *map(rows_of, phases)], folder)
    save_policy(folder / POLICY_FILE, *load_policy(phases[-1] / POLICY_FILE))  # in the present format, with a checksum
    (folder / "evaluation.json").write_text(json.dumps(results, indent=2) + "\n")
    (folder / "README.md").write_text(readme(task, taken, results, options.note))
    print((folder / "README.md").read_text())
    write_tables()


if __name__ == "__main__":
    main()
