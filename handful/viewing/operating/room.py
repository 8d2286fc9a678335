"""Who is in front of the page: one browser that steers, and others that watch."""

from __future__ import annotations

import threading
from collections.abc import Callable

from handful.demonstrations.operators.devices.browser import BrowserDevice
from handful.viewing.operating.messages import Claim, Input, Press, Setting, decoded, encoded
from handful.viewing.page_server import PageServer, Visitor


class Room:
    """Hands what the steering browser sends to a device, and tells every browser what it may do.

    A browser that comes back, after its network or its page was lost, takes its place again by its id.
    """

    def __init__(self, device: BrowserDevice) -> None:
        """Begin with nobody there."""
        self._device = device
        self._lock = threading.Lock()
        self._operator: tuple[Visitor, str] | None = None
        self._new: list[Visitor] = []
        self.server: PageServer | None = None
        """The server, once there is one."""
        self.input_number = 0
        """Number of the last input that was taken."""
        self.on_setting: Callable[[bool], None] = lambda keep_automatically: None
        """Called, in the server's thread, when solved episodes shall be kept without being asked, or no more."""

    def newcomers(self) -> list[Visitor]:
        """Browsers that connected since the last call, which have not seen the scene."""
        with self._lock:
            new, self._new = self._new, []
            return new

    def opened(self, visitor: Visitor) -> None:
        """A browser has connected: it watches until it claims."""
        with self._lock:
            self._new.append(visitor)
        self._tell(visitor)

    def received(self, visitor: Visitor, message: str) -> None:
        """Take a message; those that steer count only from the browser that steers."""
        given = decoded(message)
        if isinstance(given, Claim):
            self._claim(visitor, given.id)
            return
        with self._lock:
            steers = self._operator is not None and self._operator[0] is visitor
        if not steers:
            return
        if isinstance(given, Input):
            self.input_number = given.number
            self._device.put(given.reading)
        elif isinstance(given, Press):
            self._device.press(given.name)
        elif isinstance(given, Setting):
            self.on_setting(given.keep_automatically)

    def closed(self, visitor: Visitor) -> None:
        """A browser has gone; the arm stops if it steered."""
        with self._lock:
            if visitor in self._new:
                self._new.remove(visitor)
            if self._operator is None or self._operator[0] is not visitor:
                return
            self._operator = None
            self._device.forget()
        self._tell_all()

    def _claim(self, visitor: Visitor, name: str) -> None:
        replaced = None
        with self._lock:
            if self._operator is None:
                self._operator = visitor, name
            elif self._operator[1] == name and self._operator[0] is not visitor:
                replaced, self._operator = self._operator[0], (visitor, name)
        if replaced is not None and self.server is not None:
            self.server.drop(replaced, "this page was opened again")
        self._tell_all()

    def _tell(self, visitor: Visitor) -> None:
        if self.server is None:
            return
        with self._lock:
            operator = self._operator
        steers = operator is not None and operator[0] is visitor
        self.server.send(encoded(type="role", steers=steers, free=operator is None), kind="role", to=visitor)

    def _tell_all(self) -> None:
        if self.server is not None:
            with self._lock:
                operator = self._operator
            self.server.send(encoded(type="role", steers=False, free=operator is None), kind="role")
            if operator is not None:
                self._tell(operator[0])
