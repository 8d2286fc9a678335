"""Messages over a socket: a length, a JSON object, and bytes, such as a picture, after it. No pickle."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from handful.errors import RobotError

_LENGTHS = struct.Struct("!II")
MAX_TEXT, MAX_BYTES = 2**16, 2**24
"""Longest object and longest bytes of a message."""


def send(connection: socket.socket, message: dict[str, Any], content: bytes = b"") -> None:
    """Send a message; a `RobotError` says that nobody is there."""
    text = json.dumps(message).encode()
    try:
        connection.sendall(_LENGTHS.pack(len(text), len(content)) + text + content)
    except OSError as error:
        raise RobotError(f"the connection to the robot is lost ({error.strerror or error}).") from error


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message; a `RobotError` where there is none, or what comes is none."""
    text_length, content_length = _LENGTHS.unpack(_read(connection, _LENGTHS.size))
    if text_length > MAX_TEXT or content_length > MAX_BYTES:
        raise RobotError("the robot sent something that is no message.")
    try:
        message = json.loads(_read(connection, text_length))
    except (ValueError, RecursionError) as error:
        raise RobotError("the robot sent something that is no message.") from error
    if not isinstance(message, dict):
        raise RobotError("the robot sent something that is no message.")
    return message, _read(connection, content_length)


def _read(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = connection.recv(min(count, 2**16))
        except TimeoutError as error:
            raise RobotError("the robot does not answer.") from error
        except OSError as error:
            raise RobotError(f"the connection to the robot is lost ({error.strerror or error}).") from error
        if not part:
            raise RobotError("the robot has closed the connection.")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
