from __future__ import annotations

import json
import pathlib
import sys

import pytest

from handful.doctor import devices, machine
from handful.doctor.devices import check_devices

NAVIGATOR = "HID_ID=0003:0000046D:0000C626\nHID_NAME=3Dconnexion SpaceNavigator\n"
MOUSE = "HID_ID=0003:0000046D:0000C077\nHID_NAME=Logitech USB Optical Mouse\n"
COMPACT = "HID_ID=0003:0000256F:0000C635\nHID_NAME=3Dconnexion SpaceMouse Compact\n"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="devices are looked up on Linux")


def _plug(root: pathlib.Path, name: str, uevent: str, *, node: bool = True, mode: int = 0o600):
    folder = root / "sys/class/hidraw" / name / "device"
    folder.mkdir(parents=True)
    (folder / "uevent").write_text(uevent)
    if node:
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / name).touch(mode)


def _plug_gamepad(root: pathlib.Path):
    folder = root / "sys/class/input/js0/device"
    (folder / "event7").mkdir(parents=True)
    (folder / "name").write_text("Xbox Wireless Controller\n")
    (root / "dev/input").mkdir(parents=True)
    (root / "dev/input/event7").touch(0o660)


def _found(root, subject):
    return [finding for finding in check_devices(root) if finding.subject == subject]


def test_a_space_mouse_is_told_from_other_devices(tmp_path):
    _plug(tmp_path, "hidraw0", MOUSE)
    assert [each.state for each in _found(tmp_path, "SpaceMouse")] == ["note"]
    _plug(tmp_path, "hidraw1", NAVIGATOR)
    _plug(tmp_path, "hidraw2", COMPACT)
    navigator, compact = _found(tmp_path, "SpaceMouse")
    assert navigator.state == compact.state == "ok"
    assert "SpaceNavigator (046d:c626) is plugged in, and /dev/hidraw1 is readable" in navigator.words


def test_a_device_that_may_not_be_read_comes_with_the_rule_to_type(tmp_path, monkeypatch):
    _plug(tmp_path, "hidraw1", NAVIGATOR)
    monkeypatch.setattr(devices.os, "access", lambda path, mode: False)
    (finding,) = _found(tmp_path, "SpaceMouse")
    assert finding.state == "problem" and "you may not read /dev/hidraw1 (mode 0600" in finding.words
    rule, reload, replug = finding.commands
    assert 'ATTRS{idVendor}=="046d"' in rule and "sudo tee /etc/udev/rules.d/70-handful.rules" in rule
    assert "udevadm control --reload-rules" in reload and "plug it in again" in replug


def test_a_device_of_a_group_comes_with_the_group_to_join(tmp_path, monkeypatch):
    _plug_gamepad(tmp_path)
    monkeypatch.setattr(devices.os, "access", lambda path, mode: False)
    monkeypatch.setattr(devices, "_group", lambda number: "input")
    (finding,) = _found(tmp_path, "gamepad")
    assert "Xbox Wireless Controller is plugged in, but you may not read /dev/input/event7" in finding.words
    assert finding.commands == ("sudo usermod -aG input $USER", "then log out and in again")


def test_a_device_without_a_file_is_explained(tmp_path):
    _plug(tmp_path, "hidraw3", NAVIGATOR, node=False)
    (finding,) = _found(tmp_path, "SpaceMouse")
    assert "is plugged in, but /dev/hidraw3 is missing" in finding.words


def test_damaged_reports_of_the_system_are_no_device(tmp_path):
    for number, text in enumerate(["", "HID_ID=x", "HID_ID=0003:zz:1\n", "\0\xff", "=\n=="]):
        _plug(tmp_path, f"hidraw{number}", text)
    assert [each.state for each in _found(tmp_path, "SpaceMouse")] == ["note"]


def test_packages_that_are_missing_or_too_old_come_with_a_command(monkeypatch):
    versions = {"mujoco": "3.1.0", "torch": None}
    real = machine._version
    monkeypatch.setattr(machine, "_version", lambda name: versions[name] if name in versions else real(name))
    problems = [finding for finding in machine._packages() if finding.state == "problem"]
    assert any(each.words.startswith("mujoco 3.1.0; handful needs mujoco==3.17.*") for each in problems)
    assert any(
        each.words.startswith("torch is missing") and "pip install 'torch" in each.commands[0] for each in problems
    )


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path):
    assert machine._disk(tmp_path).state in ("ok", "note")
    assert machine._disk(tmp_path / "nowhere").state == "problem"


def test_the_command_prints_every_check(tmp_path, handful):
    _plug(tmp_path, "hidraw1", NAVIGATOR)
    status, output, _ = handful("doctor", "--json", "--root", tmp_path, "--folder", tmp_path)
    findings = json.loads(output)
    subjects = {finding["subject"] for finding in findings}
    assert {"Python", "packages", "processors", "GPU", "Warp", "disk", "video", "browser", "SpaceMouse"} <= subjects
    assert status == (0 if all(each["state"] != "problem" for each in findings) else 2)
