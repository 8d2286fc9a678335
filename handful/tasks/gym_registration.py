"""Registers the tasks with Gymnasium, as ``handful/BlockLifting-v0`` and so on, when both packages are imported."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from handful.tasks.registry import TASKS


def gymnasium_id(task: str) -> str:
    """The id of a task.

    >>> gymnasium_id("block-lifting")
    'handful/BlockLifting-v0'
    """
    return f"handful/{''.join(word.capitalize() for word in task.split('-'))}-v0"


def register_with_gymnasium() -> None:
    """Register every task now if Gymnasium is imported, else as soon as it is.

    Importing it here would cost each command of the command line more time than its help takes.
    """
    if "gymnasium" in sys.modules:
        _register()
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


def _register() -> None:
    import gymnasium

    for task in TASKS:
        if gymnasium_id(task) not in gymnasium.registry:
            gymnasium.register(
                gymnasium_id(task),
                entry_point="handful.tasks.gym:TaskEnv",
                vector_entry_point="handful.tasks.gym:TaskVectorEnv",
                kwargs={"task": task},
            )


class _GymnasiumFinder(importlib.abc.MetaPathFinder):
    """Finds Gymnasium as Python would, once, and registers the tasks when it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("gymnasium")
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            _register()

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
