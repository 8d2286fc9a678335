"""The keyboard, read from the terminal in which the command runs."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

from handful.demonstrations.operators.devices.browser import BrowserDevice
from handful.demonstrations.operators.devices.device import DeviceError, Reading

HOLD_S = 0.15
"""How long a key counts as held after each of its characters [s]. A terminal tells no releases: it repeats a held key
after a quarter to half a second, about 30 times a second. So a tap moves a little, a held key goes on after a moment, and
a key that is let go stops the arm at once."""

MOTIONS = {
    "w": (1, +1),
    "s": (1, -1),
    "d": (0, +1),
    "a": (0, -1),
    "r": (2, +1),
    "f": (2, -1),
    "q": (5, +1),
    "e": (5, -1),
    "i": (3, -1),
    "k": (3, +1),
    "l": (4, +1),
    "j": (4, -1),
    " ": (6, +1),
    "o": (6, -1),
}
"""What keys move: number of the axis (three to move, three to turn, fingers), and the direction."""

PRESSES = {
    "\r": "keep",
    "\n": "keep",
    "\x7f": "discard",
    "\x08": "discard",
    "z": "redo",
    "p": "pause",
    "t": "takeover",
    "-": "slower",
    "+": "faster",
}
"""What keys ask for."""

STOP = "x"
"""The key that lets go of all others at once."""


class TerminalKeyboard:
    """Keys typed in the terminal; a key moves the tool while it is held, and x stops at once."""

    name = "keyboard"
    dead_zone = 0.0
    legend = (
        *((keys, does) for keys, does in BrowserDevice.legend if keys != "Shift"),
        ("O", "open the fingers"),
        ("X", "stop at once"),
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read standard input; ``clock`` is monotonic [s]."""
        self._clock = clock
        self._until: dict[str, float] = {}
        self._mode: list | None = None
        self._file: int | None = None

    def open(self) -> None:
        """Let the terminal deliver each key at once; a `DeviceError` where standard input is none."""
        try:
            import termios
            import tty
        except ImportError as error:  # Windows
            raise DeviceError("this terminal cannot be read key by key: steer by --operator browser.") from error
        if not sys.stdin.isatty():
            raise DeviceError("standard input is no terminal: run in one, or steer by --operator browser.")
        file = sys.stdin.fileno()
        self._mode = termios.tcgetattr(file)
        tty.setcbreak(file)
        self._file = file

    def read(self) -> Reading:
        """The keys that are held."""
        import select

        if self._file is None:
            raise DeviceError("the terminal is not open.")
        presses: list[str] = []
        while select.select([self._file], [], [], 0)[0]:
            typed = os.read(self._file, 1024)
            if not typed:
                self.close()
                raise DeviceError("the terminal has gone: steer by --operator browser.")
            presses += self.typed(typed.decode(errors="ignore"))
        return self.reading(tuple(presses))

    def typed(self, characters: str) -> list[str]:
        """Take characters that were typed; returns what they ask for."""
        now, presses = self._clock(), []
        for key in characters:
            if key in PRESSES:
                presses.append(PRESSES[key])
            elif key.lower() in MOTIONS:
                self._until[key.lower()] = now + HOLD_S
            elif key.lower() == STOP:
                self._until.clear()
        return presses

    def reading(self, presses: tuple[str, ...] = ()) -> Reading:
        """The keys that are held now, and what was asked for."""
        now, axes = self._clock(), [0.0] * 7
        for key, until in self._until.items():
            if until > now:
                axis, direction = MOTIONS[key]
                axes[axis] += direction
        x, y, z, roll, pitch, yaw, fingers = axes
        return Reading((x, y, z), (roll, pitch, yaw), fingers, presses=presses)

    def close(self) -> None:
        """Give the terminal back as it was."""
        file, self._file = self._file, None
        if file is not None and self._mode is not None:
            import termios

            with contextlib.suppress(termios.error):
                termios.tcsetattr(file, termios.TCSADRAIN, self._mode)
