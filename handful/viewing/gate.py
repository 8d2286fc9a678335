"""The gate that every page of this project is served behind: who may connect, and how much they may send.

A page is code that a browser runs, and a browser runs the code of other pages too. So a page is served on loopback unless
another address is asked for; a request must name the page's own host (against DNS rebinding) and come from the page itself
(its ``Origin``); off loopback it must carry a token, in the address or in the cookie that the address sets. Messages are
bounded in size and rate, and each is checked before anything acts on it: a bad one is answered and the page goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import hmac
import http
import http.cookies
import inspect
import ipaddress
import json
import logging
import secrets
import socket
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from handful.errors import ConfigurationError
from handful.viewing.connections import MAX_SOCKETS, OPENING_SECONDS, Connections

LOOPBACK = "127.0.0.1"
"""The address that only this machine reaches."""

MAX_MESSAGE_BYTES = 64 * 1024
"""A longer message closes its connection; a page of ours sends less than a thousandth of that."""

MESSAGES_PER_SECOND = 200.0
"""More than that waits: a browser that drags the camera sends 60 a second."""

MAX_CONNECTIONS = 16
"""Browsers that may be connected at once."""

PORTS_TRIED = 100
"""If the port is taken, the next free one among so many is used."""

ANSWERS_PER_SECOND = 1.0
"""More bad messages than that from one connection are dropped without an answer."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Keep the page out of other pages' frames, and its address with the token out of their logs."""

Pages = Callable[[ServerConnection, Request], "Response | None | Awaitable[Response | None]"]
"""Answers a request for a file, None for a WebSocket: ``process_request`` of `websockets.asyncio.server.serve`."""

Check = Callable[["str | bytes"], "str | bytes"]
"""Returns a message that may be acted on; raises `BadMessage` for any other."""

Answer = Callable[[ServerConnection, str], Awaitable[None]]
"""Tells a client in one sentence why its message was refused."""


class BadMessage(Exception):
    """A message from a client that is refused; its text says what was expected and what came."""


class Gate:
    """A listening socket and the rules for those who connect to it.

    ``gate.options(pages, check=...)`` are the keywords for `websockets.asyncio.server.serve`; `serve_viser` in
    `handful.viewing.gated_viser` serves one of viser's pages behind the gate.
    """

    def __init__(self, host: str = LOOPBACK, port: int = 8080) -> None:
        """Listen on a host and a port, or on the next free port.

        Raises:
            ConfigurationError: the port cannot be, or no such address of this machine.
        """
        if not 0 < port < 65536:
            raise ConfigurationError(f"expected a port from 1 to 65535, got {port}.")
        self.socket = _listen(host, port)
        address, self.port = self.socket.getsockname()[:2]
        self.host = host
        self.is_loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
        """Whether only this machine reaches the page."""
        self.is_any = ipaddress.ip_address(address.partition("%")[0]).is_unspecified
        """Whether the page listens on every address of this machine."""
        self.connections = Connections()
        """Those that are open, browsers and others."""
        self.token = None if self.is_loopback else secrets.token_urlsafe(24)
        """What a request from another machine must carry; None on loopback."""

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()

    @property
    def url(self) -> str:
        """The address to open, with the token where one is needed."""
        host = LOOPBACK if self.is_any else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}" + (f"/?token={self.token}" if self.token else "")

    @property
    def warning(self) -> str | None:
        """One sentence for the person who opened the page to others; None on loopback."""
        if self.is_loopback:
            return None
        where = "every address of this machine" if self.is_any else self.host
        name = f"; from another machine, put this machine's name in place of {LOOPBACK}" if self.is_any else ""
        return (
            f"warning: the page listens on {where}, port {self.port}, without encryption: whoever has its address with the "
            f"token can see and steer it{name}."
        )

    def options(self, pages: Pages, *, check: Check, answer: Answer | None = None) -> dict[str, Any]:
        """Keywords for `websockets.asyncio.server.serve`, in place of its host, port and ``process_request``.

        ``pages`` answers requests that pass the gate, ``check`` lets messages through, and ``answer`` (by default a JSON
        text ``{"error": ...}``) tells a client that its message was refused.
        """
        logger = logging.getLogger("handful.gate")
        logger.addFilter(_is_of_interest)
        return {
            "sock": self.socket,
            "process_request": functools.partial(self._process, pages),
            "create_connection": functools.partial(_GatedConnection, self, check, answer or _answer_in_json),
            "max_size": MAX_MESSAGE_BYTES,
            "max_queue": 16,
            "open_timeout": OPENING_SECONDS,
            "backlog": MAX_SOCKETS,
            "compression": None,  # a small message could unpack to a large one
            "logger": logger,
        }

    def refusal(self, request: Request) -> str | None:
        """Why a request does not pass the gate; None if it does."""
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(hosts) != 1 or len(origins) > 1:
            return "expected one Host and at most one Origin."
        if self.is_loopback and not _is_loopback_name(hosts[0]):
            return f"this page is served to this machine alone, at {self.url}."
        if origins and origins[0].lower() not in {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}:
            return "another page may not connect to this one."
        if self.token is not None and not any(_same(self.token, given) for given in self._given_tokens(request)):
            return "expected the token: open the whole address that handful printed."
        return None

    async def _process(self, pages: Pages, connection: ServerConnection, request: Request) -> Response | None:
        if len(connection.server.connections) >= MAX_CONNECTIONS:
            return _respond(http.HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_CONNECTIONS} browsers are connected already.")
        refusal = self.refusal(request)
        if refusal is not None:
            return _respond(http.HTTPStatus.FORBIDDEN, refusal)
        response = pages(connection, request)
        if inspect.isawaitable(response):
            response = await response
        if response is not None:
            _secure(response)
            if self.token is not None:
                cookie = f"{self._cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
                response.headers["Set-Cookie"] = cookie
        return response

    @property
    def _cookie(self) -> str:
        return f"handful-{self.port}"  # browsers share cookies among the ports of a host

    def _given_tokens(self, request: Request) -> list[str]:
        given = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query).get("token", [])
        for header in request.headers.get_all("Cookie"):
            with contextlib.suppress(http.cookies.CookieError):
                cookies = http.cookies.SimpleCookie(header)
                given += [cookies[self._cookie].value] if self._cookie in cookies else []
        return given


class _GatedConnection(ServerConnection):
    """A connection whose `recv` gives checked messages only, and no more of them a second than allowed."""

    def __init__(self, gate: Gate, check: Check, answer: Answer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate, self._check, self._answer = gate, check, answer
        self._messages, self._answers = _Allowance(MESSAGES_PER_SECOND), _Allowance(ANSWERS_PER_SECOND)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._gate.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.connections.discard(self)
        super().connection_lost(exc)

    async def recv(self, decode: bool | None = None) -> Any:
        while True:
            message = await super().recv(decode)
            await asyncio.sleep(self._messages.wait())
            try:
                return self._check(message)
            except BadMessage as error:
                if self._answers.take():
                    await self._answer(self, str(error))


class _Allowance:
    """A bucket of tokens: one second's worth may be spent at once, and it fills at a rate."""

    def __init__(self, rate: float) -> None:
        self._rate, self._left, self._at = rate, max(rate, 1.0), time.monotonic()

    def take(self) -> bool:
        """Spend one if there is one."""
        self._fill()
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def wait(self) -> float:
        """Spend one, even if it has to be saved up first, and return the time until then [s]."""
        self._fill()
        self._left -= 1.0
        return max(0.0, -self._left / self._rate)

    def _fill(self) -> None:
        now = time.monotonic()
        self._left = min(max(self._rate, 1.0), self._left + (now - self._at) * self._rate)
        self._at = now


async def _answer_in_json(connection: ServerConnection, sentence: str) -> None:
    await connection.send(json.dumps({"error": sentence}))


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"cannot listen on '{host}': expected an address or a name of this machine, for example {LOOPBACK}."
        ) from error
    family, *_, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address[0], candidate, *address[2:]))
            listening.listen(MAX_SOCKETS)
        except OSError as error:
            listening.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise ConfigurationError(f"cannot listen on {host}: {error.strerror or error}.") from error
        else:
            return listening
    raise ConfigurationError(f"cannot listen on {host}: no free port from {port} on; choose another with --port.")


def _is_loopback_name(host: str) -> bool:
    """Whether the value of a ``Host`` header names this machine; the port may be that of a tunnel."""
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(token: str, given: str) -> bool:
    return hmac.compare_digest(token.encode(), given.encode("utf-8", "surrogatepass"))


def _respond(status: http.HTTPStatus, sentence: str) -> Response:
    body = f"{sentence}\n".encode()
    headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
    response = Response(status.value, status.phrase, headers, body)
    _secure(response)
    return response


def _secure(response: Response) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.pop(name, None)  # or there would be two
        response.headers[name] = value


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Whether a line is worth the terminal: whoever connects and does not speak the protocol is not."""
    return record.levelno >= logging.ERROR and record.getMessage() != "opening handshake failed"
