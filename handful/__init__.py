"""Reinforcement and imitation learning of visuomotor skills from a handful of demonstrations."""

from importlib.metadata import PackageNotFoundError, version

from handful.api import evaluate, load_policy, make, recipe, record, train
from handful.tasks.gym_registration import register_with_gymnasium

__all__ = ["__version__", "evaluate", "load_policy", "make", "recipe", "record", "train"]

try:
    __version__ = version("handful")
except PackageNotFoundError:  # imported from its folder, and not installed
    __version__ = "unknown"

register_with_gymnasium()
