"""The tasks by name. A new task is one new file and one line here."""

from __future__ import annotations

from handful.errors import unknown_name
from handful.tasks.clearing_blocks import ClearingBlocks
from handful.tasks.clearing_box import ClearingBox
from handful.tasks.lifting import BlockLifting
from handful.tasks.order_fulfillment import OrderFulfillment
from handful.tasks.stacking import BlockStacking
from handful.tasks.task import Task

TASKS: dict[str, type[Task]] = {
    BlockLifting.name: BlockLifting,
    BlockStacking.name: BlockStacking,
    ClearingBlocks.name: ClearingBlocks,
    ClearingBox.name: ClearingBox,
    OrderFulfillment.name: OrderFulfillment,
}


def make_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigurationError: no task has that name; the message lists those there are, nearest first.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]()
