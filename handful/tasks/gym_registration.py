"""Registers the tasks with Gymnasium, as ``handful/BlockLifting-v0`` and so on."""

from __future__ import annotations

import gymnasium

from handful.tasks.registry import TASKS


def gymnasium_id(task: str) -> str:
    """The id of a task.

    >>> gymnasium_id("block-lifting")
    'handful/BlockLifting-v0'
    """
    return f"handful/{''.join(word.capitalize() for word in task.split('-'))}-v0"


def register_with_gymnasium() -> None:
    """Register every task that is not registered yet."""
    for task in TASKS:
        if gymnasium_id(task) not in gymnasium.registry:
            gymnasium.register(
                gymnasium_id(task),
                entry_point="handful.tasks.gym:TaskEnv",
                vector_entry_point="handful.tasks.gym:TaskVectorEnv",
                kwargs={"task": task},
            )
