"""The connections that are open at a page, of which those who say nothing never keep a newcomer out."""

from __future__ import annotations

from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

MAX_SOCKETS = 128
"""Connections at once: browsers, whose number `handful.viewing.gate.MAX_CONNECTIONS` bounds, those that have not said yet
what they want, and those that an answer is being sent to."""

OPENING_SECONDS = 10.0
"""Time for a connection to say what it wants and to take the answer [s]; a browser needs a fraction of a second, and
whoever sends one byte a second is closed."""


class Connections:
    """The open connections of a page, the oldest first.

    One more than `MAX_SOCKETS` closes another, never a browser whose WebSocket is open: of those that have not asked for
    anything yet and those that are being answered, the larger group loses its oldest. So a flood of either kind closes its
    own, and everybody else has the time that half of `MAX_SOCKETS` newer connections take.
    """

    def __init__(self) -> None:
        self._connections: dict[ServerConnection, None] = {}  # a set that keeps its order

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[ServerConnection]:
        return iter(tuple(self._connections))

    def add(self, connection: ServerConnection) -> None:
        """Count a newcomer, and close another connection if there are too many."""
        if len(self) >= MAX_SOCKETS:
            given_up = self._given_up() or connection
            self.discard(given_up)
            given_up.transport.abort()
            if given_up is connection:
                return
        self._connections[connection] = None

    def discard(self, connection: ServerConnection) -> None:
        """Count a connection no more."""
        self._connections.pop(connection, None)

    def _given_up(self) -> ServerConnection | None:
        """Who gives way to a newcomer; None if all are browsers."""
        closable = [each for each in self if each.state is not State.OPEN]
        silent = [each for each in closable if each.request is None]
        answered = [each for each in closable if each.request is not None]
        return next(iter(max(silent, answered, key=len)), None)
