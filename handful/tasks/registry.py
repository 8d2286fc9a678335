"""The tasks by name. A new task is one new file and one line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from handful.errors import ConfigurationError, unknown_name
from handful.simulation.arms import DEFAULT_ARM, find_arm

if TYPE_CHECKING:
    from handful.tasks.task import Task

TASKS = {
    "block-lifting": "handful.tasks.lifting:BlockLifting",
    "block-stacking": "handful.tasks.stacking:BlockStacking",
    "clearing-blocks": "handful.tasks.clearing_blocks:ClearingBlocks",
    "clearing-box": "handful.tasks.clearing_box:ClearingBox",
    "pouring": "handful.tasks.pouring:Pouring",
    "order-fulfillment": "handful.tasks.order_fulfillment:OrderFulfillment",
}
"""Module and class of each task, imported when one is made: a list of names needs no simulator."""


def make_task(name: str, variant: str | None = None, arm: str = DEFAULT_ARM) -> Task:
    """The task of that name, or a variant of it, done by the arm of that name.

    Raises:
        ConfigurationError: no task, variant or arm has that name; the message lists those there are, nearest first.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    module, _, class_name = TASKS[name].partition(":")
    task_class: type[Task] = getattr(importlib.import_module(module), class_name)
    if variant is None:
        return _with_arm(task_class(), arm)
    if not task_class.variants:
        raise ConfigurationError(f"{name} has no variants: leave out the variant '{variant}'.")
    if variant not in task_class.variants:
        raise unknown_name(f"variant of {name}", variant, task_class.variants)
    return _with_arm(task_class(**task_class.variants[variant]), arm)


def _with_arm(task: Task, arm: str) -> Task:
    task.arm = find_arm(arm)
    return task
