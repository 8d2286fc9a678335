"""Evaluations of a run while it trains, one row of ``evaluations.csv`` each, and all of those of an experiment."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from handful.errors import DataError
from handful.runs.experiments import Experiment
from handful.runs.folder import POLICY_FILE
from handful.storage import read_text, write_atomically

EVALUATIONS_FILE = "evaluations.csv"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the mean actions of a run's policy reached in a fixed set of episodes from random starts."""

    steps: int
    """Control steps that the policy was trained for."""
    num_episodes: int
    """Episodes."""
    success_rate: float
    """Fraction of them with sustained success."""
    mean_return: float
    """Mean of their undiscounted task returns."""


_TYPES = {"steps": int, "num_episodes": int, "success_rate": float, "mean_return": float}
"""Columns of the file."""


def read_evaluations(folder: pathlib.Path) -> list[Evaluation]:
    """The evaluations of the run in a folder, by steps; none if it has no file of them.

    Raises:
        DataError: the file is none of ours.
    """
    path = folder / EVALUATIONS_FILE
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
        return [Evaluation(**{name: kind(row[name]) for name, kind in _TYPES.items()}) for row in rows]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as evaluations: expected the columns {', '.join(_TYPES)}.") from error


def write_evaluations(folder: pathlib.Path, evaluations: Sequence[Evaluation]) -> None:
    """Write the evaluations of a run, all of them or none."""
    _write_csv(folder / EVALUATIONS_FILE, tuple(_TYPES), [dataclasses.astuple(each) for each in evaluations])


@dataclasses.dataclass(frozen=True)
class Results:
    """What the runs of an experiment have reached so far."""

    evaluations: dict[tuple[str, str], dict[int, list[Evaluation]]]
    """By task and method, then by seed; by steps. Only runs that have been evaluated."""
    demonstrations: dict[str, float]
    """Mean return of the demonstrations of each task."""

    @property
    def tasks(self) -> list[str]:
        """The tasks of which something is known."""
        return list(dict.fromkeys(task for task, _ in self.evaluations))

    def returns(self, task: str, method: str, steps: int) -> list[float]:
        """Mean returns at a number of steps of those seeds that were evaluated there."""
        runs = self.evaluations.get((task, method), {}).values()
        return [each.mean_return for run in runs for each in run if each.steps == steps]

    def steps(self, task: str, method: str) -> set[int]:
        """Numbers of steps at which some run was evaluated."""
        runs = self.evaluations.get((task, method), {}).values()
        return {each.steps for run in runs for each in run}

    def final_steps(self, task: str) -> int:
        """Steps of the longest run of a task."""
        return max(
            run[-1].steps for (name, _), runs in self.evaluations.items() if name == task for run in runs.values()
        )

    def curve(self, task: str, method: str) -> tuple[list[int], np.ndarray]:
        """Steps, and the mean returns there, float64 [seed, point], of the runs of a method that have come furthest.

        Runs that are on their way join in when they arrive, so that one number of seeds stands behind the whole curve.
        """
        runs = list(self.evaluations.get((task, method), {}).values())
        last = max((run[-1].steps for run in runs), default=0)
        values = [{each.steps: each.mean_return for each in run} for run in runs if run[-1].steps == last]
        steps = sorted(set.intersection(*map(set, values))) if values else []
        return steps, np.array([[value[step] for step in steps] for value in values])


def run_folder(output: pathlib.Path, task: str, method: str, seed: int) -> pathlib.Path:
    """The folder of one run of an experiment."""
    return output / task / method / f"seed-{seed}"


def find_runs(output: pathlib.Path, task: str, method: str) -> dict[int, pathlib.Path]:
    """The folders of the runs of a task and a method that exist, by seed."""
    folders = (output / task / method).glob("seed-*")
    seeds = {folder.name.removeprefix("seed-"): folder for folder in folders}
    return {int(seed): folder for seed, folder in sorted(seeds.items()) if seed.isdecimal()}


def read_results(experiment: Experiment, output: pathlib.Path, tasks: Iterable[str]) -> Results:
    """What the runs of an experiment in its folder have reached so far."""
    from handful.learning.persistence.policy_file import load_policy

    results = Results({}, {})
    for task in tasks:
        for method in experiment.methods:
            runs = find_runs(output, task, method.name)
            evaluations = {seed: rows for seed, run in runs.items() if (rows := read_evaluations(run))}
            if not evaluations:
                continue
            results.evaluations[task, method.name] = dict(sorted(evaluations.items()))
            if task not in results.demonstrations:
                _, manifest = load_policy(runs[min(evaluations)] / POLICY_FILE)
                results.demonstrations[task] = float(
                    (manifest.training.get("demonstrations") or {}).get("mean_return", float("nan"))
                )
    return results


def write_results(results: Results, path: pathlib.Path) -> None:
    """Write every evaluation of an experiment as CSV, and a row for each task's demonstrations, all of them successes."""
    rows = [
        (task, method, seed, each.steps, each.success_rate, each.mean_return)
        for (task, method), runs in results.evaluations.items()
        for seed, run in runs.items()
        for each in run
    ]
    rows += [(task, "demonstrations", "", "", 1.0, value) for task, value in results.demonstrations.items()]
    _write_csv(path, ("task", "method", "seed", "steps", "success", "return"), rows)


def _write_csv(path: pathlib.Path, columns: tuple[str, ...], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())
