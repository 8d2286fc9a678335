"""Commands that serve a page, each in a forked process, and clients of the page that send what they should not."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import struct
import sys
import time
import traceback
from typing import Self

from harness import MEGABYTES, SECONDS, changed, flipped
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from handful.cli.main import run_command_line

PATIENCE = 120.0
"""Only to end a test that hangs [s]."""


class ServedPage:
    """A page that a command serves; a ``with`` block ends it, and checks how it was if the block ended well."""

    def __init__(self, words: list[str], log: pathlib.Path) -> None:
        self._log, self._ended, self._child = log, False, os.fork()
        if self._child == 0:
            _command(words, log)
        try:
            self.port, self._before = self._wait_for_port(), self._most_memory()
        except BaseException:
            self._kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._stop()
        finally:
            self._kill()

    @property
    def output(self) -> str:
        """What the command has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether the command runs yet."""
        self._ended = self._ended or os.waitpid(self._child, os.WNOHANG)[0] != 0
        return not self._ended

    def _stop(self) -> None:
        """Interrupt the command, and check that it ends, and how it was."""
        memory = self._most_memory() - self._before
        os.kill(self._child, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while self.runs:
            assert time.monotonic() < deadline, "the command does not end"
            time.sleep(0.05)
        assert "Traceback" not in self.output and "Exception" not in self.output, self.output[-5000:]
        assert all(each.isprintable() or each in "\r\n\t" for each in self.output), self.output[-5000:]
        assert memory < MEGABYTES, f"took {memory} MB"

    def get(self, path: str = "/", **headers: str) -> tuple[int, bytes]:
        """The status and the body at a path."""
        lines = {"Host": f"127.0.0.1:{self.port}", **headers}
        head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        answer = self.raw(head.encode(), whole=True)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def raw(self, content: bytes, *, whole: bool = False) -> bytes:
        """What comes back for some bytes: all of it, or the first part."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE if whole else 1.0) as connection:
            parts = []
            with contextlib.suppress(OSError):
                connection.sendall(content)
                while part := connection.recv(65536):
                    parts.append(part)
                    if not whole:
                        break
            return b"".join(parts)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)\S*", self.output)):
            assert time.monotonic() < deadline and self.runs, self.output
            time.sleep(0.05)
        return int(found[1])

    def _kill(self) -> None:
        if self.runs:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._ended = True

    def _most_memory(self) -> int:
        """The most memory that the process has taken [MB]."""
        status = pathlib.Path(f"/proc/{self._child}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def _command(words: list[str], log: pathlib.Path) -> None:
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        run_command_line(words)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


class Attacker:
    """Sends a page what it should not get, in many ways."""

    def __init__(self, page: ServedPage, path: str, subprotocol: str | None, whole: list, pack) -> None:
        """``whole`` are messages that the page takes, as trees, and ``pack`` makes bytes or a text of one."""
        self._page, self._path, self._subprotocol, self._whole, self._pack = page, path, subprotocol, whole, pack
        self._socket: ClientConnection | None = None

    def attack(self, rng: random.Random) -> None:
        """Send one thing."""
        kind = rng.randrange(20)
        if kind < 14:
            self._send(self._message(rng))
        elif kind == 14:
            self._send(rng.choice(("x", b"x")) * rng.choice((65_536, 65_537, 1_000_000)))
        elif kind == 15:
            self._fragment(rng)
        else:
            self._page.raw(self._request(rng))

    def _message(self, rng: random.Random) -> str | bytes:
        choice = rng.random()
        tree = rng.choice(self._whole)
        if choice < 0.2:
            return self._pack(tree)
        if choice < 0.6:
            with contextlib.suppress(Exception):  # what cannot be packed cannot be sent
                return self._pack(changed(tree, rng))
        packed = self._pack(tree)
        broken = flipped(packed.encode() if isinstance(packed, str) else packed, rng)
        if rng.random() < 0.1:
            broken = rng.choice((b"[" * 60_000, b'{"a":' * 10_000, b"\x91" * 60_000, b"\xdf\xff\xff\xff\xff", b""))
        is_text = isinstance(packed, str) != (rng.random() < 0.1)
        return broken.decode(errors="replace") if is_text else broken

    def _send(self, message: str | bytes) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            self._connection().send(message)
            if self._socket is not None:
                with contextlib.suppress(TimeoutError):
                    while True:
                        self._socket.recv(timeout=0)
            return
        self._socket = None

    def _fragment(self, rng: random.Random) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            connection = self._connection()
            match rng.randrange(4):
                case 0:
                    connection.send(iter(["x"] * rng.randint(1, 2000)))
                case 1:
                    for _ in range(rng.randint(1, 300)):
                        connection.ping(rng.randbytes(4))
                case 2:
                    connection.socket.sendall(rng.randbytes(rng.randint(1, 200)))  # frames that cannot be
                case 3:
                    connection.socket.sendall(struct.pack("!BBQ", 0x82, 0xFF, rng.choice((2**62, 2**40))) + b"abcd")

    def _connection(self) -> ClientConnection:
        if self._socket is None:
            own = f"127.0.0.1:{self._page.port}"
            subprotocols = None if self._subprotocol is None else [self._subprotocol]
            deadline = time.monotonic() + SECONDS
            while self._socket is None:
                try:
                    self._socket = connect(
                        f"ws://{own}{self._path}",
                        origin=f"http://{own}",
                        subprotocols=subprotocols,
                        max_size=None,
                        open_timeout=PATIENCE,
                    )
                except (InvalidHandshake, OSError):  # as long as the last connection closes
                    assert time.monotonic() < deadline, "the page takes no connection any more"
                    time.sleep(0.1)
        return self._socket

    def _request(self, rng: random.Random) -> bytes:
        path = rng.choice(
            (
                *(
                    "/",
                    "/socket",
                    "//[",
                    "/?token=%ff",
                    "/../../etc/passwd",
                    "/%2e%2e/%00",
                    "*",
                    "http://[::1",
                    "/\x1b[31m",
                ),
                *(
                    "/demo_0/99999999.jpg",
                    "/demo_0/-1.jpg",
                    "/demo_9.json",
                    "/demo_0/0.jpg%0d%0aX: y",
                    "/" + "a" * 9000,
                ),
            )
        )
        own = f"127.0.0.1:{self._page.port}"
        host = rng.choice((own, own, "evil.example", "[::1", "localhost:99999999", "", "\udcff", "a" * 300))
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
        lines += rng.sample(
            [
                *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Cookie: a=\x1b[0m; ==;"),
                *("Sec-WebSocket-Key: " + "A" * 22 + "==", "Sec-WebSocket-Key: x", f"Origin: http://{own}"),
                *("Origin: http://evil.example", "Origin: null", "Content-Length: 99999999999", "x" * 10_000, ":"),
                *("Sec-WebSocket-Extensions: permessage-deflate; x=" + '"' * 99, "Accept-Encoding: gzip", "Host: b"),
                *("If-None-Match: *", "Range: bytes=0-1", "Sec-WebSocket-Protocol: viser-v\x1b[31m"),
            ],
            rng.randint(0, 8),
        )
        content = "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")
        return flipped(content, rng) if rng.random() < 0.4 else content

    def close(self) -> None:
        """Leave."""
        if self._socket is not None:
            self._socket.close()
