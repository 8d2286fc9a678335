"""The arms, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from handful.errors import unknown_name

if TYPE_CHECKING:
    from handful.simulation.arm import Arm

ARMS = {
    "jaco": "handful.simulation.jaco:JACO",
    "panda": "handful.simulation.panda:PANDA",
}
"""Module and name of each arm, imported when it is asked for."""

DEFAULT_ARM = "jaco"


def find_arm(name: str) -> Arm:
    """The arm of that name.

    Raises:
        ConfigurationError: no arm has that name; the message lists those there are.
    """
    if name not in ARMS:
        raise unknown_name("arm", name, ARMS)
    module, _, attribute = ARMS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
