import io

import pytest
from rich.console import Console

from handful.learning import metrics as learning_metrics
from handful.viewing.live_table import LiveTable, clock_text, sparkline

METRICS = {
    "steps": 120_000,
    "steps_per_second": 2_000.0,
    "seconds": 60.0,
    "success_rate_random_start": 0.25,
    "return_random_start": 31.4,
    "task_reward": 0.125,
    "imitation_reward": 0.5,
    "kl": 0.0123,
    "kl_weight": 1.5,
    "discriminator_accuracy_expert": 0.8,
    "discriminator_accuracy_policy": 0.7,
    "auxiliary_error_cm": 3.21,
}


class Terminal:
    def __init__(self, *, is_terminal):
        self.text = io.StringIO()
        self.console = Console(file=self.text, force_terminal=is_terminal, width=100, color_system=None)


def test_a_terminal_gets_a_table_with_everything():
    terminal = Terminal(is_terminal=True)
    with LiveTable("block-lifting", minutes=5, console=terminal.console) as table:
        table.update(METRICS)
    shown = terminal.text.getvalue()
    for text in ("block-lifting", "120,000", "2,000", "1:00", "4:00", "25.0%", "31.4", "0.125 task + 0.500 imitation"):
        assert text in shown
    for text in ("0.0123, weight 1.5", "80% of demonstrations, 70% of the policy", "3.2 cm", "▃"):
        assert text in shown


def test_elsewhere_lines_are_plain_and_rare_and_the_last_is_said():
    terminal, now = Terminal(is_terminal=False), [0.0]
    with LiveTable("lifting", console=terminal.console, plain_period=10, clock=lambda: now[0]) as table:
        for second in range(25):
            now[0] = float(second)
            table.update(METRICS | {"steps": second})
    lines = terminal.text.getvalue().splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"lifting: steps {second}" for second in (0, 10, 20, 24)]
    assert not any("\x1b" in line for line in lines)


def test_what_a_run_does_not_report_is_left_out():
    terminal = Terminal(is_terminal=False)
    with LiveTable("lifting", console=terminal.console) as table:
        table.update({"steps": 10, "success_rate_random_start": float("nan"), "task_reward": 0.5})
    assert terminal.text.getvalue() == "lifting: steps 10, reward/step 0.500 task\n"


@pytest.mark.parametrize(
    ("budget", "left"),
    [({"minutes": 3}, "2:00"), ({"num_steps": 180_000}, "0:30"), ({"minutes": 3, "num_steps": 180_000}, "0:30")],
)
def test_time_left_is_that_of_the_budget_that_ends_first(budget, left):
    terminal = Terminal(is_terminal=False)
    with LiveTable("lifting", console=terminal.console, **budget) as table:
        table.update(METRICS)
    assert f"left {left}," in terminal.text.getvalue()


def test_durations_and_sparklines():
    assert [clock_text(seconds) for seconds in (-3, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]
    assert sparkline([0.0, 0.5, 1.0], width=8) == "▁▅█"
    assert sparkline([0.0, 1.0] * 50, width=10) == "▅" * 10


def test_every_metric_that_the_table_shows_is_one_that_training_writes():
    assert set(METRICS) <= {metric.name for metric in learning_metrics.METRICS}


def test_plain_lines_are_short_and_end_after_a_whole_entry():
    terminal = Terminal(is_terminal=False)
    with LiveTable("block-lifting, teacher (phase 1 of 3)", minutes=5, console=terminal.console) as table:
        table.update(METRICS)
        table.update({"cloning_epoch": 3.0, "cloning_epochs": 60.0, "cloning_error": 0.5, "seconds": 2.0})
    first, second = terminal.text.getvalue().splitlines()
    assert len(first) <= 120 and first.endswith("success 25.0%, return 31.4")
    assert "pass 3 of 60, actions off by 0.500" in second
