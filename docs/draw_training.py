"""Draws the learning curves of the six tasks, which are kept in docs/training, into one picture.

python docs/draw_training.py --runs runs        copies the curves of runs/TASK, measures the random agent, and draws
python docs/draw_training.py                    draws docs/images/training.png and before-and-after.png
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from handful.learning.actors import RandomActor
from handful.learning.evaluation import evaluate_policy
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import TASKS
from handful.viewing.curves import MINUTES, RETURN, STEPS, SUCCESS, read_curve

KEPT = Path(__file__).parent / "training"
PICTURE = Path(__file__).parent / "images" / "training.png"
BEFORE_AND_AFTER = PICTURE.with_name("before-and-after.png")
COLUMNS = ("steps", "seconds", "return_random_start", "return_demo_start", "success_rate_random_start")
EVERY = 5
"""Every how many rows of a run's metrics one is kept."""
NUM_RANDOM_EPISODES = 64


def keep(runs: Path) -> None:
    """Copy the curves of the runs that exist, and measure the random agent's return in their tasks."""
    KEPT.mkdir(exist_ok=True)
    for task in TASKS:
        metrics = runs / task / "metrics.csv"
        if not metrics.exists():
            print(f"no run of {task} in {runs}")
            continue
        with open(metrics, newline="") as file:
            rows = [{column: row[column] for column in COLUMNS} for row in csv.DictReader(file)]
        with open(KEPT / f"{task}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows[::EVERY] + rows[-1:])
        environment = TaskEnvironment(task, num_envs=NUM_RANDOM_EPISODES, pixels=False)
        actor = RandomActor(environment.spec, seed=0)
        result = evaluate_policy(actor, environment, num_episodes=NUM_RANDOM_EPISODES, seed=0)
        interval = list(result.return_interval)
        path = KEPT / f"{task}.random.json"
        path.write_text(json.dumps({"mean_return": result.mean_return, "return_interval": interval}) + "\n")


def draw() -> None:
    """Draw a panel for each task, and print a line of the README's table for each."""
    figure, panels = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for task, panel in zip(TASKS, panels.flat, strict=True):
        panel.set_title(task)
        panel.set_xlabel("minutes")
        panel.set_ylabel("return")
        if not (KEPT / f"{task}.csv").exists():
            panel.text(0.5, 0.5, "not trained", ha="center", transform=panel.transAxes)
            continue
        curve = read_curve(KEPT / f"{task}.csv")
        random = json.loads((KEPT / f"{task}.random.json").read_text())["mean_return"]
        for column, label in (
            ("return_demo_start", "episodes from demonstration states"),
            ("return_random_start", "episodes from random starts"),
        ):
            panel.plot(*curve.series(MINUTES, column), label=label)
        panel.axhline(random, color="0.4", linestyle=":", label="random agent")
        panel.set_yscale("symlog", linthresh=1.0)
        panel.set_ylim(bottom=0.0)
        last = {name: values[-1] for name, values in curve.columns.items()}
        print(
            f"| {task} | {last[STEPS]:,.0f} | {last[MINUTES]:.0f} "
            f"| {last[RETURN]:.1f} | {last['return_demo_start']:.1f} | {random:.1f} |"
        )
    panels[0, 0].legend(fontsize=8)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=90)


def draw_before_and_after() -> None:
    """Draw block lifting before and after the changes in docs/performance.md, by control steps and by minutes."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    for name, label in (("block-lifting.before", "before"), ("block-lifting", "after")):
        curve = read_curve(KEPT / f"{name}.csv")
        for panel, column, unit in zip(panels, (STEPS, MINUTES), (1e6, 1.0), strict=True):
            xs, success = curve.series(column, SUCCESS)
            panel.plot(xs / unit, success, label=label)
    for panel, quantity in zip(panels, ("million control steps", "minutes"), strict=True):
        panel.set_xlabel(quantity)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("sustained success, random starts")
    panels[0].legend()
    figure.savefig(BEFORE_AND_AFTER, dpi=90)


def main() -> None:
    """Copy curves if asked to, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of the runs, each named as its task")
    options = parser.parse_args()
    if options.runs is not None:
        keep(options.runs)
    draw()
    draw_before_and_after()


if __name__ == "__main__":
    main()
