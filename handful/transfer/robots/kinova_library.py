"""Kinova's SDK library, ``Kinova.API.USBCommandLayerUbuntu.so`` or ``EthCommandLayerUbuntu.so``, by ctypes.

It comes from Kinova with the arm, and is not part of handful. Functions of the Ethernet library begin with ``Ethernet_``.
"""

from __future__ import annotations

import ctypes
import dataclasses
import ipaddress
import sys
import threading
from pathlib import Path
from typing import Any

from handful.errors import ConfigurationError, RobotError
from handful.transfer.robots import kinova_types as types

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "RefresDevicesList": (),
    "GetDevices": (ctypes.POINTER(types.KinovaDevice), ctypes.POINTER(ctypes.c_int)),
    "SetActiveDevice": (types.KinovaDevice,),
    "StartControlAPI": (),
    "SetAngularControl": (),
    "GetAngularPosition": (ctypes.POINTER(types.AngularPosition),),
    "GetAngularVelocity": (ctypes.POINTER(types.AngularPosition),),
    "SendAdvanceTrajectory": (types.TrajectoryPoint,),
    "EraseAllTrajectories": (),
    "CloseAPI": (),
}
"""Functions with their arguments; all return an int. The name ``RefresDevicesList`` is Kinova's."""


@dataclasses.dataclass(frozen=True)
class Ethernet:
    """How an arm is reached by Ethernet; defaults are those of Kinova's ROS driver."""

    robot: str = "192.168.100.11"
    """Address of the arm."""
    local: str = "192.168.100.100"
    """Address of this machine in the arm's network."""
    mask: str = "255.255.255.0"
    """Mask of that network."""
    robot_port: int = 55000
    """Port of the arm."""
    local_port: int = 25000
    """Port of this machine for commands."""
    local_broadcast_port: int = 25025
    """Port of this machine for what the arm tells everybody."""

    def structure(self) -> types.EthernetCommConfig:
        """The same for the library; a `ConfigurationError` says that an address is none."""
        try:
            local, mask, robot = (
                int.from_bytes(ipaddress.IPv4Address(each).packed, sys.byteorder)
                for each in (self.local, self.mask, self.robot)
            )
        except ValueError as error:
            raise ConfigurationError(
                f"expected the arm's IPv4 address, such as {Ethernet.robot}, got {error}."
            ) from error
        return types.EthernetCommConfig(
            local, mask, robot, self.local_port, self.local_broadcast_port, self.robot_port, 1000
        )


class KinovaLibrary:
    """The library, started, with one arm chosen. One call at a time, because it says nothing about threads."""

    def __init__(self, path: Path | str, *, ethernet: Ethernet | None = None, serial: str = "") -> None:
        """Start it and choose the arm with a serial number, or the first one; nothing moves.

        Raises:
            ConfigurationError: the file is no such library.
            RobotError: there is no such arm.
        """
        self._lock = threading.Lock()
        prefix = "Ethernet_" if ethernet is not None else ""
        try:
            library = ctypes.CDLL(str(path))
            start = library[f"{prefix}{'InitEthernetAPI' if ethernet is not None else 'InitAPI'}"]
            self._functions = {name: library[prefix + name] for name in FUNCTIONS}
        except (OSError, AttributeError) as error:
            raise ConfigurationError(f"{path} is no SDK library of Kinova's that can be loaded ({error}).") from error
        for name, arguments in FUNCTIONS.items():
            self._functions[name].argtypes, self._functions[name].restype = arguments, ctypes.c_int
        start.restype = ctypes.c_int
        result = start() if ethernet is None else start(ctypes.byref(ethernet.structure()))
        if result != types.NO_ERROR:
            raise RobotError(f"Kinova's library finds no arm: {_meaning(result)}.")
        try:
            self._choose(serial)
        except RobotError:
            self.close()
            raise

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; a `RobotError` says what it returned if that is not 1."""
        with self._lock:
            result = self._functions[name](*arguments)
        if result != types.NO_ERROR:
            raise RobotError(f"the arm refuses, {name} of Kinova's library returned {_meaning(result)}.")

    def read(self, name: str) -> types.AngularPosition:
        """What a function such as ``GetAngularPosition`` writes."""
        answer = types.AngularPosition()
        self.call(name, ctypes.byref(answer))
        return answer

    def close(self) -> None:
        """End it; the arm hears nothing any more."""
        with self._lock:
            self._functions["CloseAPI"]()

    def _choose(self, serial: str) -> None:
        devices, result = (types.KinovaDevice * types.MAX_DEVICES)(), ctypes.c_int()
        with self._lock:
            self._functions["RefresDevicesList"]()
            count = self._functions["GetDevices"](devices, ctypes.byref(result))
        if result.value != types.NO_ERROR:
            raise RobotError(f"Kinova's library finds no arm: {_meaning(result.value)}.")
        found = [device for device in devices[: max(0, count)]]
        names = [device.SerialNumber.decode(errors="replace").strip() for device in found]
        if not found or (serial and serial not in names):
            wanted = f"no arm with the serial number '{serial}'" if serial else "no arm"
            raise RobotError(f"Kinova's library finds {wanted}; there are: {', '.join(names) or 'none'}.")
        self.call("SetActiveDevice", found[names.index(serial) if serial else 0])


def _meaning(result: int) -> str:
    return f"{result}, {types.ERRORS[result]}" if result in types.ERRORS else str(result)
