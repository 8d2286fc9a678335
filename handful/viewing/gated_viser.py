"""A page of viser behind the gate: only what our pages use is let through, and each value is checked first."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import http
import io
import math
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import viser
import websockets.asyncio.server
from viser import _messages
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from handful.viewing.gate import BadMessage, Gate, Pages

NAME_BYTES = 128
"""Length of the longest identifier that viser makes is 36; a longer one names nothing."""

_Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
_Vector = tuple[_Number, _Number, _Number]


class _Camera(msgspec.Struct, tag_field="type", tag="ViewerCameraMessage", forbid_unknown_fields=True):
    """The visitor's camera, as viser sends it."""

    wxyz: tuple[_Number, _Number, _Number, _Number]
    position: _Vector
    fov: _Number
    near: _Number
    far: _Number
    image_height: _Number
    image_width: _Number
    look_at: _Vector
    up_direction: _Vector


class _Update(msgspec.Struct, tag_field="type", tag="GuiUpdateMessage", forbid_unknown_fields=True):
    """The visitor's change of a control."""

    uuid: Annotated[str, msgspec.Meta(max_length=NAME_BYTES)]
    updates: Annotated[dict[str, Any], msgspec.Meta(min_length=1, max_length=1)]


_DECODER = msgspec.msgpack.Decoder(_Camera | _Update)


def serve_viser(gate: Gate, title: str) -> viser.ViserServer:
    """Serve a page of viser behind a gate; its controls are checked by what they are and by their bounds."""
    served: list[viser.ViserServer] = []

    def check(raw: str | bytes) -> bytes:
        return _checked(served[0] if served else None, raw)

    async def answer(connection: ServerConnection, sentence: str) -> None:
        for client_id, client in served[0].get_clients().items() if served else ():
            if served[0]._websock_server._live_connections.get(client_id) is connection:
                client.add_notification("That did not work", sentence, color="red")

    with _serving_behind(gate, title, check, answer), contextlib.redirect_stdout(io.StringIO()):  # viser's own banners
        server = viser.ViserServer(host=gate.host, port=gate.port, label=title, verbose=False)
    for offered_by_viser in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):  # a public tunnel to the page
        server._websock_server.unregister_handler(offered_by_viser)
    for uploads in (_messages.FileTransferStartUpload, _messages.FileTransferPart):
        server._websock_server.unregister_handler(uploads)
    served.append(server)
    return server


@contextlib.contextmanager
def _serving_behind(gate: Gate, title: str, check: Any, answer: Any) -> Iterator[None]:
    """Let the server that viser opens meanwhile listen on the gate's socket and keep its rules.

    viser has no option for that: its thread calls `websockets.asyncio.server.serve`, and is ready when its constructor ends.
    """
    serve = websockets.asyncio.server.serve
    constructing = threading.current_thread()

    def gated(handler: Any, host: str, port: int, *, process_request: Pages, **options: Any) -> Any:
        assert threading.current_thread() is not constructing
        pages = _titled(process_request, title)
        return serve(handler, **{**options, **gate.options(pages, check=check, answer=answer)})

    websockets.asyncio.server.serve = gated
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve


def _titled(pages: Pages, title: str) -> Pages:
    """Pages with the title of ours from the start; viser's own is shown until its first message."""

    def process(connection: ServerConnection, request: Request) -> Response | None:
        upgrades = [value.lower() for value in request.headers.get_all("Upgrade")]
        if upgrades == ["websocket"]:
            offered = request.headers.get_all("Sec-WebSocket-Protocol")
            if offered != [f"viser-v{viser.__version__}"]:  # viser would print what the client calls itself
                return connection.respond(http.HTTPStatus.BAD_REQUEST, "expected this page's own program: reload it.\n")
            return None
        request.headers.pop("Accept-Encoding", None)  # for plain text, in which the title can be replaced
        response = pages(connection, request)
        assert isinstance(response, Response)
        body = response.body.replace(b"<title>Viser</title>", f"<title>{html.escape(title)}</title>".encode(), 1)
        response.headers.pop("Content-Length", None)
        response.headers["Content-Length"] = str(len(body))
        return dataclasses.replace(response, body=body)

    return process


def _checked(server: viser.ViserServer | None, raw: str | bytes) -> bytes:
    """The message, encoded anew from what was read of it."""
    try:
        if isinstance(raw, str):
            raise BadMessage("expected binary messages, got text.")
        message = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        reason = str(error).replace("\n", " ")[:200]
        raise BadMessage(f"expected a camera or the value of a control: {reason}.") from error
    if isinstance(message, _Update):
        ((name, value),) = message.updates.items()
        handle = None if server is None else server.gui._gui_input_handle_from_uuid.get(message.uuid)
        if handle is None or name != "value":
            raise BadMessage("expected the value of a control of this page.")
        message.updates = {"value": _value_for(handle, value)}
    return msgspec.msgpack.encode(message)


def _value_for(handle: Any, value: Any) -> Any:
    """A value that a control can have."""
    if isinstance(handle, viser.GuiCheckboxHandle | viser.GuiButtonHandle):
        if isinstance(value, bool):
            return value
        raise BadMessage(f"expected true or false for {handle.label}, got {value!r:.60}.")
    if isinstance(handle, viser.GuiDropdownHandle | viser.GuiButtonGroupHandle):
        if isinstance(value, str) and value in handle.options:
            return value
        raise BadMessage(f"expected one of {', '.join(handle.options)} for {handle.label}, got {value!r:.60}.")
    if isinstance(handle, viser.GuiNumberHandle | viser.GuiSliderHandle):
        return _number_for(handle, value)
    if isinstance(handle, viser.GuiTextHandle):
        if isinstance(value, str) and len(value) <= 1000 and value.isprintable():
            return value
        raise BadMessage(f"expected at most 1000 printable characters for {handle.label}.")
    raise BadMessage(f"expected a value for a control that can be set, got one for {type(handle).__name__}.")


def _number_for(handle: Any, value: Any) -> int | float:
    low = -math.inf if handle.min is None else handle.min
    high = math.inf if handle.max is None else handle.max
    kind = int if isinstance(handle.value, int) else float
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and low <= value <= high:
        number = kind(value)
        if number == value:
            return number
    raise BadMessage(f"expected a number from {low:g} to {high:g} for {handle.label}, got {value!r:.60}.")
