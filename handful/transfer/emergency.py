"""The emergency stop: by a key, by a signal, or by whoever holds it."""

from __future__ import annotations

import contextlib
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
"""Signals that stop the robot."""


class EmergencyStop:
    """Set once, it stays set. Whoever waits for the next step wakes at once.

    Attributes:
        event: Set where the robot must stop.
        cause: What set it, in words.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.cause = ""

    def press(self, cause: str) -> None:
        """Ask for the stop."""
        if not self.event.is_set():
            self.cause = cause
            self.event.set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop on `SIGNALS`, in the main thread; other handlers are put back at the end."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.press(f"the signal {signal.Signals(number).name}")

        before = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def on_any_key(self) -> Iterator[bool]:
        """Stop when any key is pressed in the terminal; gives whether there is one."""
        try:
            import termios
            import tty
        except ImportError:  # Windows
            yield False
            return
        try:
            terminal = sys.stdin.fileno()
            mode = termios.tcgetattr(terminal)
        except (OSError, ValueError, termios.error):
            yield False
            return
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                if select.select([terminal], [], [], 0.02)[0]:
                    self.press("a key")
                    return

        listener = threading.Thread(target=listen, daemon=True)
        tty.setcbreak(terminal)
        listener.start()
        try:
            yield True
        finally:
            ended.set()
            listener.join()
            termios.tcsetattr(terminal, termios.TCSAFLUSH, mode)  # what was typed is not for the shell
