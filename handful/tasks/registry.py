"""The tasks by name. A new task is one new file and one line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from handful.errors import unknown_name

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


def make_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigurationError: no task has that name; the message lists those there are, nearest first.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    module, _, class_name = TASKS[name].partition(":")
    return getattr(importlib.import_module(module), class_name)()
