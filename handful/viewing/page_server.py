"""Serves a page of our own behind the gate: a few files, and a WebSocket that a loop in another thread writes to."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from handful.viewing.gate import Check, Gate

SOCKET_PATH = "/socket"


class Visitor:
    """A browser that is connected. Its messages go out one after the other; of those that replace each other, the last.

    So what waits for a browser that does not read is bounded.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self._queue: dict[str, str | bytes] = {}
        self._wake = asyncio.Event()

    def put(self, message: str | bytes, kind: str) -> None:
        """Send a message soon; of a ``kind``, only the latest, in the latest's turn. Called in the server's thread."""
        self._queue.pop(kind, None)
        self._queue[kind] = message
        self._wake.set()

    @property
    def waiting(self) -> tuple[str | bytes, ...]:
        """What is to be sent yet."""
        return tuple(self._queue.values())

    async def send_all(self) -> None:
        """Send what is put, until the connection closes."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            latest, self._queue = list(self._queue.values()), {}
            for message in latest:
                await self.connection.send(message)


class Events(Protocol):
    """Who is told what visitors do. All are called in the server's thread and must not wait."""

    def opened(self, visitor: Visitor) -> None:
        """A browser has connected."""

    def received(self, visitor: Visitor, message: str) -> None:
        """A message that was checked."""

    def closed(self, visitor: Visitor) -> None:
        """A browser has gone."""


class PageServer:
    """A page behind a gate, served from a thread of its own until `close`."""

    def __init__(
        self,
        gate: Gate,
        files: Mapping[str, tuple[str, bytes]],
        *,
        check: Check,
        events: Events,
        dynamic: Callable[[str], tuple[str, bytes] | None] = lambda path: None,
    ) -> None:
        """Serve files by their paths, each with its type and content, and others that ``dynamic`` finds."""
        self._gate, self._files, self._check, self._events, self._dynamic = gate, files, check, events, dynamic
        self._visitors: set[Visitor] = set()
        self._loop = asyncio.new_event_loop()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()
        self._ready.result()

    def send(self, message: str | bytes, *, kind: str, to: Visitor | None = None) -> None:
        """Send to all visitors, or to one; of a ``kind``, a slow browser gets only the latest."""
        self._call(self._put, message, kind, to)

    def drop(self, visitor: Visitor, reason: str) -> None:
        """Close a visitor's connection."""
        self._call(lambda: self._loop.create_task(visitor.connection.close(1000, reason[:100])))

    def close(self) -> None:
        """Stop serving."""
        self._call(self._stop.set)
        self._thread.join(timeout=5.0)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _put(self, message: str | bytes, kind: str, to: Visitor | None) -> None:
        for visitor in self._visitors if to is None else {to}:
            visitor.put(message, kind)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        options = self._gate.options(self._respond, check=self._check)
        server: Server = await serve(self._visit, ping_interval=5, ping_timeout=10, **options)
        async with server:
            self._ready.set_result(None)
            await self._stop.wait()

    async def _visit(self, connection: ServerConnection) -> None:
        visitor = Visitor(connection)
        self._visitors.add(visitor)
        self._events.opened(visitor)
        sending = asyncio.create_task(visitor.send_all())
        try:
            while True:
                self._events.received(visitor, str(await connection.recv()))
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()
            self._visitors.discard(visitor)
            self._events.closed(visitor)

    def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        path = urllib.parse.urlsplit(request.path).path
        if path == SOCKET_PATH:
            return None
        found = self._files.get("/index.html" if path == "/" else path) or self._dynamic(path)
        if found is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "there is no such page.\n")
        kind, content = found
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store"})
        return Response(200, "OK", headers, content)
