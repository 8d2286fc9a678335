"""The devices by name: those of handful, and those that other packages add."""

from __future__ import annotations

import importlib
import importlib.metadata

from handful.demonstrations.operators.devices.device import Device
from handful.errors import ConfigurationError, unknown_name

GROUP = "handful.devices"
"""Group of entry points by which a package adds devices."""

_FOLDER = "handful.demonstrations.operators.devices"

BROWSER = "browser"
"""The operator that steers by the page itself."""

DEVICES = {
    BROWSER: f"{_FOLDER}.browser:BrowserDevice",
    "keyboard": f"{_FOLDER}.keyboard:TerminalKeyboard",
    "gamepad": f"{_FOLDER}.gamepad:Gamepad",
    "spacemouse": f"{_FOLDER}.spacemouse:SpaceMouse",
}
"""Module and class of each device of handful, imported when one is made."""


def device_names() -> tuple[str, ...]:
    """Names of all devices there are, those of other packages last."""
    return (*DEVICES, *(name for name in sorted(_added()) if name not in DEVICES))


def make_device(name: str) -> Device:
    """The device of that name, not open yet.

    Raises:
        ConfigurationError: no device has that name, or the package that adds it cannot be imported.
    """
    if name in DEVICES:
        module, _, class_name = DEVICES[name].partition(":")
        return getattr(importlib.import_module(module), class_name)()
    added = _added()
    if name not in added:
        raise unknown_name("operator", name, ("scripted", *device_names()))
    try:
        return added[name].load()()
    except Exception as error:  # of another package, which can raise anything
        raise ConfigurationError(
            f"the operator '{name}' of the entry point '{added[name].value}' cannot be made: {error!r}."
        ) from error


def _added() -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
