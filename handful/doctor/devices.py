"""Checks of devices: is it plugged in, is it readable, and if not, what to type.

On Linux this is read from the folders of the system, so that it can be tried on a copy of them: ``sys/class/hidraw`` and
``sys/class/input`` say what is plugged in, and the files in ``dev`` who may read it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import sys
from collections.abc import Iterator

from handful.demonstrations.operators.devices.registry import DEVICES, device_names
from handful.doctor.finding import Finding

SPACEMOUSE_VENDORS = {0x046D: "Logitech", 0x256F: "3Dconnexion"}
"""USB vendors under which 3Dconnexion's devices are sold."""

SPACEMOUSE_NAMES = re.compile(r"space ?(mouse|navigator|pilot|explorer|traveler)|3dconnexion", re.IGNORECASE)

SPACEMOUSE_PRODUCTS = {
    0x046D: (0xC603, 0xC605, 0xC606, 0xC621, 0xC623, 0xC625, 0xC626, 0xC627, 0xC628, 0xC629, 0xC62B),
    0x256F: (0xC62E, 0xC62F, 0xC631, 0xC632, 0xC633, 0xC635, 0xC638, 0xC63A, 0xC641, 0xC652),
}
"""Products by vendor: SpaceNavigator is 046d:c626, SpaceMouse Compact 256f:c635."""

RULE_FILE = "/etc/udev/rules.d/70-handful.rules"


def check_devices(root: pathlib.Path = pathlib.Path("/")) -> Iterator[Finding]:
    """Every device, found in the system's folders under ``root``."""
    yield Finding("browser", "ok", "handful demonstrate TASK --operator browser needs no device of this machine.")
    yield _keyboard()
    if not sys.platform.startswith("linux"):
        yield Finding("devices", "note", f"only Linux tells who may read a device; on {sys.platform} try --operator.")
    else:
        yield from _spacemice(root)
        yield from _gamepads(root)
    for name in device_names():
        if name not in DEVICES:
            yield Finding(name, "ok", "added by another package; try it by --operator.")


def _keyboard() -> Finding:
    if sys.stdin.isatty():
        return Finding("keyboard", "ok", "this terminal can be read key by key, by --operator keyboard.")
    return Finding("keyboard", "note", "standard input is no terminal here: --operator keyboard needs one.")


def _spacemice(root: pathlib.Path) -> Iterator[Finding]:
    found = False
    for entry in _entries(root / "sys/class/hidraw"):
        about = _uevent(entry / "device/uevent")
        vendor, product = _ids(about.get("HID_ID", ""))
        name = about.get("HID_NAME", "")
        known = product in SPACEMOUSE_PRODUCTS.get(vendor, ())
        if not known and not (vendor in SPACEMOUSE_VENDORS and SPACEMOUSE_NAMES.search(name)):
            continue
        found = True
        rule = f'KERNEL=="hidraw*", ATTRS{{idVendor}}=="{vendor:04x}", MODE="0660", GROUP="plugdev", TAG+="uaccess"'
        label = f"{name or 'a SpaceMouse'} ({vendor:04x}:{product:04x})"
        yield _readable(root, f"dev/{entry.name}", "SpaceMouse", label, rule)
    if not found:
        yield Finding("SpaceMouse", "note", "none is plugged in to this machine.")
    yield from _hidapi(root, "problem" if found else "note")


def _hidapi(root: pathlib.Path, state: str) -> Iterator[Finding]:
    """Whether the library that reads it is there; only asked of this machine."""
    if root != pathlib.Path("/"):
        return
    try:
        import pyspacemouse

        pyspacemouse.get_connected_devices()
    except ImportError:
        words = "the package that reads it is missing."
        yield Finding("SpaceMouse", state, words, ("pip install 'handful[devices]'",))
    except Exception:  # its library is loaded by ctypes or cffi, whose errors differ
        words = "the library that reads it, hidapi, is missing."
        yield Finding("SpaceMouse", state, words, ("sudo apt install libhidapi-hidraw0",))


def _gamepads(root: pathlib.Path) -> Iterator[Finding]:
    found = False
    for entry in _entries(root / "sys/class/input"):
        if not re.fullmatch(r"js\d+", entry.name):
            continue
        found = True
        name = _text(entry / "device/name").strip() or "a gamepad"
        events = [each for each in _entries(entry / "device") if re.fullmatch(r"event\d+", each.name)]
        rule = 'KERNEL=="event*", ENV{ID_INPUT_JOYSTICK}=="1", MODE="0660", GROUP="input", TAG+="uaccess"'
        node = f"dev/input/{events[0].name}" if events else f"dev/input/{entry.name}"
        yield _readable(root, node, "gamepad", name, rule)
    if not found:
        yield Finding("gamepad", "note", "none is plugged in to this machine.")


def _readable(root: pathlib.Path, node: str, subject: str, label: str, rule: str) -> Finding:
    """Whether a device's file may be read, and if not, what to type."""
    path, shown = root / node, f"/{node}"
    reload = (
        "sudo udevadm control --reload-rules && sudo udevadm trigger",
        "then unplug the device and plug it in again",
    )
    if not path.exists():
        words = f"{label} is plugged in, but {shown} is missing: is this a container? Give it the device."
        return Finding(subject, "problem", words, (f"docker run --device {shown} ...",))
    if os.access(path, os.R_OK):
        return Finding(subject, "ok", f"{label} is plugged in, and {shown} is readable.")
    status = path.stat()
    group = _group(status.st_gid)
    words = f"{label} is plugged in, but you may not read {shown} (mode {status.st_mode & 0o777:04o}, group {group})."
    if status.st_mode & 0o040 and group != "root":
        join = f"sudo usermod -aG {group} $USER"
        return Finding(subject, "problem", words, (join, "then log out and in again"))
    return Finding(subject, "problem", words, (f"echo '{rule}' | sudo tee {RULE_FILE}", *reload))


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _uevent(path: pathlib.Path) -> dict[str, str]:
    """Lines KEY=VALUE of a device's ``uevent``."""
    return dict(line.split("=", 1) for line in _text(path).splitlines() if "=" in line)


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _ids(hid_id: str) -> tuple[int, int]:
    """Vendor and product of ``HID_ID``, for example 0003:0000046D:0000C626."""
    match = re.fullmatch(r"[0-9A-Fa-f]+:([0-9A-Fa-f]+):([0-9A-Fa-f]+)", hid_id)
    return (int(match[1], 16), int(match[2], 16)) if match else (0, 0)


def _group(number: int) -> str:
    with contextlib.suppress(ImportError, KeyError):
        import grp  # not on Windows

        return grp.getgrgid(number).gr_name
    return str(number)
