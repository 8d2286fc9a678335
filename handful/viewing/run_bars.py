"""Several runs side by side: a bar for each of them and one for all in a terminal, lines anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from handful.runs.experiment_run import PlannedRun


class RunBars:
    """Shows how far the runs of an experiment are, and prints a line for every evaluation."""

    def __init__(self, runs: Sequence[PlannedRun], num_steps: int, *, console: Console | None = None) -> None:
        """Prepare for runs of ``num_steps`` control steps each."""
        console = console or Console(highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        # The speed of an hour: runs of different methods differ in theirs.
        self._progress = Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True, speed_estimate_period=3600.0
        )
        self._num_steps = num_steps
        self._steps = dict.fromkeys(runs, 0)
        self._bars: dict[PlannedRun, TaskID] = {}
        self._all = self._progress.add_task("all runs", total=num_steps * len(runs))

    def update(self, run: PlannedRun, message: dict[str, Any]) -> None:
        """Take note of what the process of a run says; any thread may call it."""
        evaluation = message.get("evaluation")
        steps = min(self._num_steps, evaluation["steps"] if evaluation else message.get("steps", self._steps[run]))
        if run not in self._bars:
            self._bars[run] = self._progress.add_task(run.name, total=self._num_steps, completed=steps)
        self._steps[run] = steps
        self._progress.update(self._bars[run], completed=steps, visible=steps < self._num_steps)
        self._progress.update(self._all, completed=sum(self._steps.values()))
        if evaluation:
            rate, value = evaluation["success_rate"], evaluation["mean_return"]
            self._progress.console.print(f"{run.name}: {steps:,} steps, success {rate:.0%}, return {value:.1f}")
        if "error" in message:
            self._progress.console.print(f"{run.name}: {message['error']}", markup=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
