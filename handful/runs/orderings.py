"""Which of the paper's orderings of methods hold in our runs, with bootstrap intervals over seeds."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from handful.runs.evaluations import Results
from handful.runs.experiments import DEMONSTRATIONS, Experiment, Ordering
from handful.storage import write_atomically

CONFIDENCE = 0.95
"""Of every interval."""
MINIMUM_SEEDS = 3
"""Fewest seeds of a method from which anything is decided. An interval over few seeds is too narrow: where two methods are
equal, it leaves out 0 in 32% of the cases with 2 seeds of each, 21% with 3, 13% with 5 and 9% with 8, and not in 5%
(measured with normal returns)."""
MARGIN = 0.1
"""Part of the greater mean return by which methods may differ and still be level (our choice)."""

Outcome = Literal["holds", "does not hold", "not decided"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What our runs say of an ordering in one task."""

    ordering: Ordering
    task: str
    outcome: Outcome
    steps: int | None = None
    """Control steps after which the methods are compared; None: there is nothing to compare yet."""
    num_seeds: tuple[int, ...] = ()
    """Seeds of each method; one number where the second is the demonstrations."""
    difference: float | None = None
    """Mean final return of the first minus that of the second."""
    interval: tuple[float, float] | None = None
    """95% bootstrap interval of the difference; None with a single seed."""


def judge(experiment: Experiment, results: Results) -> list[Verdict]:
    """A verdict on each ordering in each of its tasks of which something is known."""
    tasks = results.tasks
    return [
        _judge(ordering, task, results) for ordering in experiment.orderings for task in ordering.tasks if task in tasks
    ]


def _judge(ordering: Ordering, task: str, results: Results) -> Verdict:
    methods = [name for name in (ordering.first, ordering.second) if name != DEMONSTRATIONS]
    shared = set.intersection(*(results.steps(task, method) for method in methods))
    if not shared:
        return Verdict(ordering, task, "not decided")
    steps = max(shared)
    returns = [np.array(results.returns(task, method, steps)) for method in methods]
    fixed = results.demonstrations[task] if DEMONSTRATIONS in (ordering.first, ordering.second) else 0.0
    means = [*(values.mean() for values in returns), fixed][:2]
    shifted = [returns[0] - fixed, *returns[1:]]
    ends = bootstrap_interval(*shifted)
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    verdict = Verdict(
        ordering,
        task,
        outcome="not decided",
        steps=steps,
        num_seeds=tuple(map(len, returns)),
        difference=float(means[0] - means[1]),
        interval=interval,
    )
    if interval is None or min(verdict.num_seeds) < MINIMUM_SEEDS or steps < results.final_steps(task):
        return verdict
    return dataclasses.replace(verdict, outcome=decide(ordering.relation, interval, MARGIN * max(map(abs, means))))


def decide(relation: str, interval: tuple[float, float], margin: float) -> Outcome:
    """What an interval of the difference first - second says of a relation; within ``margin`` methods are level."""
    low, high = interval
    holds, fails = {
        "above": (low > 0, high < 0),
        "level with": (-margin < low and high < margin, low > margin or high < -margin),
        "not below": (low > -margin, high < -margin),
    }[relation]
    if margin == 0 and low == high == 0:  # both have learned nothing
        return "not decided"
    return "holds" if holds else "does not hold" if fails else "not decided"


def bootstrap_interval(first: np.ndarray, second: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """95% bootstrap interval (percentiles) over seeds of a mean, or of the difference of two.

    Args:
        first: A value for each seed, [seed, ...].
        second: The same of what is subtracted, with seeds of its own; None: nothing is.

    Returns:
        Lower and upper ends, [...]; None with a single seed, which gives no interval.
    """
    from scipy import stats

    samples = tuple(np.asarray(each, dtype=np.float64) for each in (first, second) if each is not None)
    if min(map(len, samples)) < 2:
        return None

    def statistic(*resampled: np.ndarray, axis: int) -> np.ndarray:
        means = [values.mean(axis=axis) for values in resampled]
        return means[0] if len(means) == 1 else means[0] - means[1]

    generator = np.random.default_rng(0)
    options = {"vectorized": True, "axis": 0, "method": "percentile", "confidence_level": CONFIDENCE}
    interval = stats.bootstrap(samples, statistic, **options, rng=generator).confidence_interval
    return interval.low, interval.high


def write_verdicts(verdicts: Sequence[Verdict], path: pathlib.Path) -> None:
    """Write the verdicts as a table in Markdown."""
    lines = [
        f"The paper's orderings: {count_words(verdicts)}.",
        "",
        "A difference is that of the mean returns over seeds, by mean actions from random starts, at the last evaluation "
        "that both methods have reached; its interval is a 95% bootstrap interval. An ordering is decided at the end of the "
        f"runs, from {MINIMUM_SEEDS} seeds of each method on: if the interval leaves out 0, or, where methods are called "
        f"level or not below, if it lies inside or outside of a margin of {MARGIN:.0%} of the greater return. With few "
        "seeds intervals are too narrow: with 5, they leave out 0 by chance in 13% of the cases, not in 5%.",
        "",
        "| task | ordering | | difference | 95% interval | seeds | steps | paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in verdicts:
        words = f"{each.ordering.first} {each.ordering.relation} {each.ordering.second}"
        difference = "" if each.difference is None else f"{each.difference:.1f}"
        interval = "" if each.interval is None else f"{each.interval[0]:.1f} to {each.interval[1]:.1f}"
        seeds, steps = ", ".join(map(str, each.num_seeds)), "" if each.steps is None else f"{each.steps:,}"
        cells = (each.task, words, each.outcome, difference, interval, seeds, steps, each.ordering.source)
        lines.append(f"| {' | '.join(cells)} |")
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def count_words(verdicts: Sequence[Verdict]) -> str:
    """How many orderings hold, don't, and are not decided, in words."""
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = [outcomes.count(outcome) for outcome in ("holds", "does not hold", "not decided")]
    return f"{counts[0]} hold, {counts[1]} do not hold, {counts[2]} are not decided"
