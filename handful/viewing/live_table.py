"""A table of the latest metrics of a run, for a terminal or a notebook."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeGuard

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

LINE_WIDTH = 120
"""Longest line that is printed where there is no terminal."""

SPARKS = "▁▂▃▄▅▆▇█"


class LiveTable:
    """Shows the latest metrics of a run: a live table in a terminal, a plain line now and then anywhere else.

    Metrics that a run does not report, for example those of the discriminator without GAIL, are left out.
    """

    def __init__(
        self,
        title: str,
        *,
        num_steps: float | None = None,
        minutes: float | None = None,
        seconds_left: Callable[[dict[str, float]], float | None] | None = None,
        console: Console | None = None,
        plain_period: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the table; it appears with the first update.

        ``num_steps`` and ``minutes`` [min] are the budgets of control steps and of training time; ``seconds_left`` says
        instead how much training time is left, given the metrics [s]. Without a
        console, standard output is used. Plain lines are at least ``plain_period`` apart, by a monotonic ``clock`` [s].
        """
        self._title = title
        self._num_steps = num_steps
        self._minutes = minutes
        self._seconds_left = seconds_left
        self._console = console or Console(highlight=False)
        self._plain_period = plain_period
        self._clock = clock
        self._next_line_at = -float("inf")
        self._unsaid: str | None = None
        self._success: list[float] = []
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start the live table, if there is a terminal."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the last metrics on the screen."""
        if self._live is not None:
            self._live.stop()
        elif self._unsaid is not None:
            self._say(self._unsaid)

    def update(self, metrics: Mapping[str, float]) -> None:
        """Show the metrics of the latest iteration, by the names of ``metrics.csv``.

        ``steps`` and ``seconds`` count from the start of the run.
        """
        success = metrics.get("success_rate_random_start")
        if _known(success):
            self._success.append(success)
        rows = self._rows(metrics)
        if self._live is not None:
            self._live.update(self._table(rows), refresh=True)
            return
        self._unsaid = _line(self._title, rows)
        if self._clock() >= self._next_line_at:
            self._next_line_at = self._clock() + self._plain_period
            self._say(self._unsaid)

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
        self._unsaid = None

    def _table(self, rows: Mapping[str, str]) -> Table:
        table = Table(title=self._title, title_justify="left", title_style="bold", show_header=False, min_width=48)
        table.add_column(style="dim")
        table.add_column(justify="right")
        for label, text in rows.items():
            table.add_row(label, text)
        if self._success:
            table.add_row("success so far", Text(sparkline(self._success, width=32), style="green"))
        return table

    def _rows(self, metrics: Mapping[str, float]) -> dict[str, str]:
        def shown(separator: str = ", ", **forms: str) -> str | None:
            """Those of the metrics that are known, each in its format."""
            texts = [form.format(metrics[name]) for name, form in forms.items() if _known(metrics.get(name))]
            return separator.join(texts) or None

        total = metrics.get("cloning_epochs")
        of = f" of {total:.0f}" if _known(total) else ""
        rows = {
            "copying the demonstrations": shown(
                cloning_epoch="pass {:.0f}" + of, cloning_error="actions off by {:.3f}"
            ),
            "steps": shown(steps="{:,.0f}"),
            "steps/s": shown(steps_per_second="{:,.0f}"),
            "elapsed": clock_text(metrics["seconds"]) if _known(metrics.get("seconds")) else None,
            "left": self._left(metrics),
            "success": shown(success_rate_random_start="{:.1%}"),
            "return": shown(return_random_start="{:.1f}"),
            "reward/step": shown(" + ", task_reward="{:.3f} task", imitation_reward="{:.3f} imitation"),
            "KL": shown(kl="{:.4f}", kl_weight="weight {:.3g}"),
            "discriminator right on": shown(
                discriminator_accuracy_expert="{:.0%} of demonstrations",
                discriminator_accuracy_policy="{:.0%} of the policy",
            ),
            "object positions off by": shown(auxiliary_error_cm="{:.1f} cm"),
        }
        return {label: text for label, text in rows.items() if text is not None}

    def _left(self, metrics: Mapping[str, float]) -> str | None:
        """Time until the first budget is used up, as text."""
        if self._seconds_left is not None:
            left = self._seconds_left(dict(metrics))
            return None if left is None else clock_text(left)
        seconds = []
        if self._minutes is not None and _known(metrics.get("seconds")):
            seconds.append(60 * self._minutes - metrics["seconds"])
        if self._num_steps is not None and metrics.get("steps_per_second", 0) > 0:
            seconds.append((self._num_steps - metrics.get("steps", 0)) / metrics["steps_per_second"])
        return clock_text(min(seconds)) if seconds else None


def _line(title: str, rows: Mapping[str, str]) -> str:
    """As many of the first rows as fit into `LINE_WIDTH` characters."""
    line, separator = title, ": "
    for label, text in rows.items():
        longer = f"{line}{separator}{label} {text}"
        if len(longer) > LINE_WIDTH and line != title:
            break
        line, separator = longer, ", "
    return line


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and value == value  # NaN until the first episode has ended


def clock_text(seconds: float) -> str:
    """A duration as minutes and seconds, and hours if there are any; a negative one counts as 0.

    >>> clock_text(75), clock_text(3675)
    ('1:15', '1:01:15')
    """
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def sparkline(rates: list[float], *, width: int) -> str:
    """Rates in [0, 1] as bars, the oldest first; more than ``width`` of them are averaged in groups.

    >>> sparkline([0.0, 0.5, 1.0], width=8)
    '▁▅█'
    """
    num_bars = min(width, len(rates))
    edges = [round(bar * len(rates) / num_bars) for bar in range(num_bars + 1)]
    means = [sum(rates[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    return "".join(SPARKS[min(len(SPARKS) - 1, max(0, int(mean * len(SPARKS))))] for mean in means)
