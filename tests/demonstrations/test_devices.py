from __future__ import annotations

import ctypes
import glob
import importlib.metadata
import pathlib
import struct
import sys
import types

import pytest

from handful.demonstrations.operators.devices import registry
from handful.demonstrations.operators.devices.browser import BrowserDevice
from handful.demonstrations.operators.devices.device import DeviceError, Reading
from handful.demonstrations.operators.devices.gamepad import Gamepad
from handful.demonstrations.operators.devices.keyboard import HOLD_S, TerminalKeyboard
from handful.demonstrations.operators.devices.spacemouse import SpaceMouse
from handful.errors import ConfigurationError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class FakeHid:
    """A HID device whose reports are those of a SpaceNavigator: 1 moves, 2 turns, 3 buttons."""

    product_string, manufacturer_string, release_number, serial_number = "SpaceNavigator", "3Dconnexion", 1, "1"

    def __init__(self):
        self.reports, self.gone = [], False

    def open(self): ...

    def close(self): ...

    def read(self, size):
        if self.gone:
            raise OSError("no such device")
        return self.reports.pop(0) if self.reports else b""


@pytest.fixture
def mouse():
    try:
        import pyspacemouse
    except OSError:  # without hidapi the parser can still be used
        stub = types.ModuleType("easyhid")
        stub.Enumeration, stub.HIDException, stub.HIDDevice = object, OSError, object
        sys.modules["easyhid"] = stub
        import pyspacemouse
    except ImportError:
        pytest.skip("pyspacemouse is not installed")
    from pyspacemouse.config_helpers import apply_axis_convention
    from pyspacemouse.device import SpaceMouseDevice
    from pyspacemouse.loader import get_device_specs

    spec = apply_axis_convention(get_device_specs()["SpaceNavigator"], pyspacemouse.AxisConvention.HID_Z_UP)
    hid = FakeHid()
    device = SpaceMouseDevice(spec, hid)
    device.open()
    return SpaceMouse(device), hid


def test_reports_of_a_space_navigator_pass_the_librarys_own_parser(mouse):
    device, hid = mouse
    hid.reports = [struct.pack("<Bhhh", 1, 350, -175, -70), struct.pack("<Bhhh", 2, 0, 0, -350), b"\x03\x01"]
    reading = device.read()
    assert reading.linear == pytest.approx((1.0, 0.5, 0.2))  # HID: y towards the person, z down
    assert reading.angular == pytest.approx((0.0, 0.0, 1.0)) and reading.fingers == 1.0
    hid.reports = [struct.pack("<Bhhh", 1, 0, 0, 0), b"\x03\x03"]
    assert device.read().presses == ("takeover",) and device.read().presses == ()
    hid.gone = True
    with pytest.raises(DeviceError, match="has vanished"):
        device.read()
    with pytest.raises(DeviceError, match="plug it in"):
        device.read()


def _sdl():
    pygame = pytest.importorskip("pygame")
    folder = pathlib.Path(pygame.__file__).parent
    patterns = ("../pygame_ce.libs/libSDL2-2*", "../pygame.libs/libSDL2-2*")
    found = [path for pattern in patterns for path in glob.glob(f"{folder}/{pattern}")]
    if not found:
        pytest.skip("pygame's SDL is not beside it")
    return ctypes.CDLL(found[0])


def test_a_virtual_gamepad_passes_sdls_own_parser():
    """SDL lets a program plug in a gamepad of its own; everything from there on is as with a real one."""
    sdl, gamepad = _sdl(), Gamepad()
    with pytest.raises(DeviceError, match="no gamepad is plugged in"):
        gamepad.open()
    number = sdl.SDL_JoystickAttachVirtual(1, 6, 21, 0)  # a game controller
    assert number >= 0, "SDL refused"
    gamepad.open()
    sdl.SDL_JoystickFromInstanceID.restype = sdl.SDL_GameControllerFromInstanceID.restype = ctypes.c_void_p
    stick = ctypes.c_void_p(sdl.SDL_JoystickFromInstanceID(sdl.SDL_JoystickGetDeviceInstanceID(number)))
    rest = gamepad.read()
    assert rest.linear[:2] == pytest.approx((0.0, 0.0), abs=1e-3) and rest.fingers == 0.0
    sdl.SDL_JoystickSetVirtualAxis(stick, 0, 16384)
    sdl.SDL_JoystickSetVirtualAxis(stick, 1, -32768)
    sdl.SDL_JoystickSetVirtualButton(stick, 0, 1)
    sdl.SDL_JoystickSetVirtualButton(stick, 6, 1)
    gamepad.read()
    reading = gamepad.read()
    assert reading.linear[:2] == pytest.approx((0.5, 1.0), abs=1e-3) and reading.fingers == 1.0
    sdl.SDL_JoystickDetachVirtual(number)
    with pytest.raises(DeviceError, match="has vanished"):
        for _ in range(5):
            gamepad.read()


def test_a_typed_key_moves_for_a_moment_and_a_held_one_until_it_is_let_go():
    clock = Clock()
    keyboard = TerminalKeyboard(clock)
    assert keyboard.typed("wd\r") == ["keep"]
    assert keyboard.reading().linear == (1.0, 1.0, 0.0)
    for _ in range(10):
        clock.now += 0.033
        keyboard.typed("w")
    assert keyboard.reading().linear == (0.0, 1.0, 0.0)
    clock.now += HOLD_S + 0.01
    assert not keyboard.reading().moves
    keyboard.typed("w x")
    assert not keyboard.reading().moves


def test_a_browser_that_falls_silent_counts_as_lost():
    clock = Clock()
    device = BrowserDevice(clock)
    with pytest.raises(DeviceError, match="open the page"):
        device.read()
    device.put(Reading(linear=(1.0, 0.0, 0.0)))
    device.press("keep")
    assert device.read().presses == ("keep",) and device.read().presses == ()
    clock.now += 1.0
    with pytest.raises(DeviceError, match="fallen silent"):
        device.read()
    device.put(Reading())
    device.forget()
    with pytest.raises(DeviceError, match="open the page"):
        device.read()


def test_other_packages_add_devices_by_entry_points(monkeypatch):
    browser = "handful.demonstrations.operators.devices.browser:BrowserDevice"
    entry = importlib.metadata.EntryPoint("wand", browser, registry.GROUP)
    broken = importlib.metadata.EntryPoint("broken", "no.such.module:Device", registry.GROUP)
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [entry, broken])
    assert registry.device_names()[-2:] == ("broken", "wand")
    assert isinstance(registry.make_device("wand"), BrowserDevice)
    with pytest.raises(ConfigurationError, match=r"'broken' of the entry point 'no.such.module:Device' cannot be made"):
        registry.make_device("broken")
    with pytest.raises(ConfigurationError, match="unknown operator 'gamepat': did you mean 'gamepad'"):
        registry.make_device("gamepat")
