"""A gamepad, read through SDL by `pygame`, which knows the layouts of hundreds of them."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from handful.demonstrations.operators.devices.device import DeviceError, Reading

_PRESSES = {"start": "keep", "back": "discard", "y": "redo", "x": "pause", "b": "takeover"}
"""What buttons ask for, by SDL's names."""

_AXIS = 32767.0


class Gamepad:
    """Left stick moves on the table, triggers up and down, right stick turns; A closes the fingers, and so on."""

    name = "gamepad"
    dead_zone = 0.15
    legend = (
        ("left stick", "left, right, away, towards you"),
        ("triggers", "right up, left down"),
        ("right stick", "turn, tip"),
        ("bumpers", "lean"),
        ("A", "close the fingers"),
        ("pad down", "open the fingers"),
        ("Start", "keep"),
        ("Back", "discard"),
        ("Y", "do it again"),
        ("X", "pause"),
        ("B", "take over, hand back"),
    )

    def __init__(self) -> None:
        self._controller: Any = None
        self._held: set[str] = set()

    def open(self) -> None:
        """Find the first gamepad; a `DeviceError` says what to do if there is none."""
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # events without a window
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        try:
            import pygame
            from pygame._sdl2 import controller
        except ImportError as error:
            raise DeviceError(
                "the package pygame-ce, which reads a gamepad, is missing: install it by: pip install 'handful[devices]'."
            ) from error
        pygame.display.init()
        controller.init()
        for number in range(controller.get_count()):
            if controller.is_controller(number):
                self._controller = controller.Controller(number)
                return
        raise DeviceError("no gamepad is plugged in that can be read: 'handful doctor' says what to type.")

    def read(self) -> Reading:
        """The state of sticks and buttons."""
        if self._controller is None:
            raise DeviceError("the gamepad is not open: plug it in.")
        import pygame

        pygame.event.pump()
        if not self._controller.attached():
            self.close()
            raise DeviceError("the gamepad has vanished: plug it in again.")
        left_x, left_y = self._axis("LEFTX"), self._axis("LEFTY")
        right_x, right_y = self._axis("RIGHTX"), self._axis("RIGHTY")
        up = self._axis("TRIGGERRIGHT") - self._axis("TRIGGERLEFT")
        lean = self._button("RIGHTSHOULDER") - self._button("LEFTSHOULDER")
        return Reading(
            linear=(left_x, -left_y, up),
            angular=(right_y, float(lean), -right_x),
            fingers=float(self._button("A") - self._button("DPAD_DOWN")),
            presses=self._presses(),
        )

    def _axis(self, name: str) -> float:
        import pygame

        return max(-1.0, min(1.0, self._controller.get_axis(getattr(pygame, f"CONTROLLER_AXIS_{name}")) / _AXIS))

    def _button(self, name: str) -> int:
        import pygame

        return int(self._controller.get_button(getattr(pygame, f"CONTROLLER_BUTTON_{name}")))

    def _presses(self) -> tuple[str, ...]:
        held = {name for name in _PRESSES if self._button(name.upper())}
        new, self._held = held - self._held, held
        return tuple(_PRESSES[name] for name in sorted(new))

    def close(self) -> None:
        """Let go of it."""
        controller, self._controller = self._controller, None
        if controller is not None:
            with contextlib.suppress(Exception):
                controller.quit()
