"""A client of rosbridge: its JSON protocol, version 2, over a WebSocket, as far as a robot and a camera need it.

A connection that is lost stays lost, and every call says so: an arm must not begin to move again because a cable was
plugged in. See docs/decisions/0025-rosbridge-is-spoken-directly.md.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from handful.errors import ConfigurationError, RobotError

PORT = 9090
"""Where rosbridge listens by default."""

OPEN_TIMEOUT_S = 5.0
"""How long a host may take to answer [s]."""

MAX_BYTES = 2**24
"""Longest message: a picture of 1920 x 1080 in base64 is half of that."""


def split_host(text: str) -> tuple[str, int]:
    """Host and port of ``HOST`` or ``HOST:PORT``; a `ConfigurationError` says that it is neither."""
    host, separator, port = text.rpartition(":")
    if not separator:
        host, port = text, str(PORT)
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigurationError(f"expected --host HOST or HOST:PORT, got '{text}'.")
    return host, int(port)


class Rosbridge:
    """One connection. Handlers run in a thread of its own, which also notices when it ends."""

    def __init__(self, host: str, port: int = PORT) -> None:
        """Connect; a `RobotError` says that there is no rosbridge."""
        self.address = f"{host}:{port}"
        self._failure: str | None = None
        self._closed = False
        self._handlers: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {}
        self._numbers = itertools.count(1)
        try:
            # A socket of our own: proxies of the environment must not stand between a program and an arm.
            opened = socket.create_connection((host, port), timeout=OPEN_TIMEOUT_S)
            opened.settimeout(None)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            raise RobotError(f"no rosbridge answers at {self.address} ({error}).") from error
        try:
            self._socket = connect(
                f"ws://{self.address}",
                sock=opened,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=1.0,
                max_size=MAX_BYTES,
                compression=None,
            )
        except (OSError, WebSocketException) as error:
            opened.close()
            raise RobotError(f"what listens at {self.address} is no rosbridge ({str(error)[:100]}).") from error
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.send({"op": "set_level", "level": "error"})

    def check(self) -> None:
        """Raise a `RobotError` if the connection is lost, or rosbridge sent what means nothing."""
        if self._failure is not None:
            raise RobotError(self._failure)

    def send(self, message: dict[str, Any]) -> None:
        """Send an object, such as a stop, also to a rosbridge that sent garbage; a `RobotError` says that it is lost."""
        try:
            self._socket.send(json.dumps(message))
        except (OSError, WebSocketException) as error:
            self._fail(f"the connection to rosbridge at {self.address} is lost.")
            raise RobotError(f"the connection to rosbridge at {self.address} is lost.") from error

    def subscribe(self, topic: str, kind: str, handler: Callable[[dict[str, Any]], None]) -> None:
        """Give every message of a topic to ``handler``, which raises a `ValueError` or the like for one it cannot read."""
        self._handlers[topic] = (kind, handler)
        # A queue of one: what was not sent yet is replaced by what is newer.
        self._request("subscribe", topic=topic, type=kind, queue_length=1)

    def advertise(self, topic: str, kind: str) -> None:
        """Say what `publish` will send."""
        self._request("advertise", topic=topic, type=kind)

    def publish(self, topic: str, message: dict[str, Any]) -> None:
        """Publish a message."""
        self.send({"op": "publish", "topic": topic, "msg": message})

    def call(self, service: str) -> None:
        """Call a service without arguments, and do not wait for what it says."""
        self._request("call_service", service=service, args={})

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        with contextlib.suppress(OSError, WebSocketException):
            self._socket.close()
        self._thread.join(timeout=2.0)

    def _request(self, op: str, **content: Any) -> None:
        self.send({"op": op, "id": f"handful:{next(self._numbers)}", **content})

    def _fail(self, sentence: str) -> None:
        if self._failure is None and not self._closed:
            self._failure = sentence

    def _listen(self) -> None:
        try:
            for text in self._socket:
                self._receive(text)
            self._fail(f"rosbridge at {self.address} has closed the connection.")
        except (OSError, WebSocketException):
            self._fail(f"the connection to rosbridge at {self.address} is lost.")

    def _receive(self, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            if message["op"] == "status" and message.get("level") == "error":
                self._fail(f"rosbridge refuses: {str(message.get('msg'))[:200]}")
            if message["op"] != "publish" or message["topic"] not in self._handlers:
                return
        except (ValueError, KeyError, TypeError, RecursionError):
            self._fail(f"rosbridge at {self.address} sent something that is no message.")
            return
        kind, handler = self._handlers[message["topic"]]
        try:
            handler(message["msg"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, OSError) as error:
            self._fail(f"what came on {message['topic']} is no {kind} that can be read ({str(error)[:80]}).")
