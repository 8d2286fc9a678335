"""A 3Dconnexion SpaceMouse (the paper's SpaceNavigator), read through `pyspacemouse`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from handful.demonstrations.operators.devices.device import DeviceError, Reading

REPORTS_PER_READ = 64
"""Reports taken from the device at most at each control step; it sends about 120 a second, of two kinds."""

_NO_LIBRARY = (
    "the library hidapi, which reads a SpaceMouse, is missing: type 'sudo apt install libhidapi-hidraw0' (on macOS: brew "
    "install hidapi)."
)
_INSTALL = "install it by: pip install 'handful[devices]'"


class SpaceMouse:
    """Push the cap where the tool should go, twist it to turn the tool; two buttons move the fingers."""

    name = "SpaceMouse"
    dead_zone = 0.08
    legend = (
        ("push the cap", "move the tool"),
        ("twist the cap", "turn the tool"),
        ("left button", "close the fingers"),
        ("right button", "open the fingers"),
        ("both buttons", "take over, hand back"),
    )

    def __init__(self, device: Any = None) -> None:
        """Read the first SpaceMouse that is found, or an open `pyspacemouse.device.SpaceMouseDevice`."""
        self._device = device
        self._both = False

    def open(self) -> None:
        """Find the device; a `DeviceError` says what to do if there is none."""
        if self._device is not None:
            return
        try:
            import pyspacemouse
        except ImportError as error:
            raise DeviceError(f"the package pyspacemouse, which reads a SpaceMouse, is missing: {_INSTALL}.") from error
        except OSError as error:
            raise DeviceError(_NO_LIBRARY) from error
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the library's own line
                self._device = pyspacemouse.open(axis_convention=pyspacemouse.AxisConvention.HID_Z_UP)
        except Exception as error:  # hidapi's errors have no common class
            if "HID API" in str(error):
                raise DeviceError(_NO_LIBRARY) from error
            found = "no SpaceMouse is plugged in" if "found" in str(error) else "the SpaceMouse may not be read"
            raise DeviceError(f"{found} ({error}): 'handful doctor' says what to type.") from error

    def read(self) -> Reading:
        """The state after all reports that wait."""
        if self._device is None:
            raise DeviceError("the SpaceMouse is not open: plug it in.")
        try:
            last = None
            for _ in range(REPORTS_PER_READ):
                state = self._device.read()
                if state.t == last:  # nothing waited
                    break
                last = state.t
        except Exception as error:  # as above; the device was pulled out
            self._device = None
            raise DeviceError("the SpaceMouse has vanished: plug it in again.") from error
        return self._reading(state)

    def _reading(self, state: Any) -> Reading:
        buttons = list(state.buttons)
        left, right = (bool(each) for each in [*buttons, 0, 0][:2])
        both, pressed = left and right, ()
        if both and not self._both:
            pressed = ("takeover",)
        self._both = both
        return Reading(
            linear=(_clipped(state.x), _clipped(state.y), _clipped(state.z)),
            angular=(_clipped(state.roll), _clipped(state.pitch), _clipped(state.yaw)),
            fingers=0.0 if both else float(left) - float(right),
            presses=pressed,
        )

    def close(self) -> None:
        """Let go of it."""
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(Exception):
                device.close()


def _clipped(value: float) -> float:
    return max(-1.0, min(1.0, float(value)))
