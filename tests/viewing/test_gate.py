"""The gate before every page, tried by browsers that lie and clients that send what they should not."""

import asyncio
import contextlib
import random
import socket
import time

import msgspec
import pytest
import websockets.exceptions
from viser_client import CAMERA, SUBPROTOCOL
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.protocol import State
from websockets.sync.client import connect as connect_and_wait

from handful.errors import ConfigurationError
from handful.viewing import connections
from handful.viewing import gate as gates
from handful.viewing.gate import BadMessage, Gate
from handful.viewing.gated_viser import serve_viser
from handful.viewing.page_server import Visitor


@contextlib.contextmanager
def _served(**options):
    gate = Gate(port=8750, **options)
    server = serve_viser(gate, "handful: <test>")
    try:
        yield gate, server
    finally:
        server.stop()
        gate.close()


def _visit(gate, *, origin="own", token=None, host=None, subprotocol=SUBPROTOCOL, messages=(), seconds=0.3):
    """Connect as a browser does, send messages, and return the connection's end: None if the page kept it."""
    own = f"{gate.host if not gate.is_any else '127.0.0.1'}:{gate.port}"

    async def visit():
        headers = {} if host is None else {"Host": host}
        headers |= {} if token is None else {"Cookie": f"other=1; handful-{gate.port}={token}"}
        options = {"origin": f"http://{own}" if origin == "own" else origin, "subprotocols": [subprotocol]}
        async with connect(f"ws://{own}", **options, additional_headers=headers, max_size=None) as connection:
            for message in messages:
                await connection.send(message)
            with contextlib.suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(connection.recv(), seconds)

    try:
        asyncio.run(visit())
    except websockets.exceptions.InvalidStatus as error:
        return error.response.status_code
    except websockets.exceptions.ConnectionClosed as error:
        return error.rcvd.code
    return None


def _update(handle, value, name="value"):
    uuid = handle if isinstance(handle, str) else handle._impl.uuid
    return msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": uuid, "updates": {name: value}})


def _get(gate, path="/", **headers):
    """The status, the headers and the body of a page."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as connection:
        lines = {"Host": f"127.0.0.1:{gate.port}", **headers}
        request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(request.encode() + b"\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


def test_only_the_page_itself_may_connect():
    with _served() as (gate, _):
        assert _visit(gate) is None
        assert _visit(gate, origin=None) is None  # no browser: a program of this machine
        for origin in (
            "http://evil.example",
            "null",
            f"http://localhost:{gate.port}",
            f"http://127.0.0.1:{gate.port + 1}",
        ):
            assert _visit(gate, origin=origin) == 403, origin
        rebound = f"evil.example:{gate.port}"
        assert _visit(gate, origin=f"http://{rebound}", host=rebound) == 403
        assert _visit(gate, subprotocol="viser-v0.0.1\x1b[31m".replace("\x1b[", "")) == 400


def test_the_page_has_its_own_title_and_may_not_be_framed():
    with _served() as (gate, _):
        status, head, body = _get(gate)
        assert status == 200 and b"<title>handful: &lt;test&gt;</title>" in body and b"<title>Viser" not in body
        assert "frame-ancestors 'none'" in head and "set-cookie" not in head
        assert _get(gate, Host="evil.example")[0] == 403
        assert _get(gate, "/../../../etc/passwd")[0] == 404


def test_off_loopback_a_token_is_needed_in_the_address_or_in_the_cookie_that_it_sets():
    with _served(host="0.0.0.0") as (gate, _):
        assert gate.warning and "every address" in gate.warning and gate.token in gate.url
        assert _get(gate)[0] == 403 and _get(gate, "/?token=wrong")[0] == 403
        status, head, _ = _get(gate, f"/?token={gate.token}")
        assert status == 200 and f"handful-{gate.port}={gate.token.lower()}; httponly; samesite=strict" in head
        assert _visit(gate) == 403
        assert _visit(gate, token="wrong") == 403
        assert _visit(gate, token=gate.token) is None
        assert _visit(gate, token=gate.token, origin="http://evil.example") == 403
    with _served() as (gate, _):
        assert gate.warning is None and gate.token is None


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "nowhere.invalid", "\udcff", "a" * 300])
def test_a_host_that_cannot_be_bound_is_told_at_once(host):
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        Gate(host, 8750)


def test_the_next_free_port_is_taken():
    with contextlib.closing(Gate(port=8750)) as first, contextlib.closing(Gate(port=8750)) as second:
        assert second.port > first.port


def test_what_is_not_offered_is_not_there(capfd):
    with _served() as (gate, server):
        shared = []
        server.request_share_url = lambda *_: shared.append(1)
        messages = [
            msgspec.msgpack.encode({"type": name})
            for name in ("ShareUrlRequest", "ShareUrlDisconnect", "RunJavascriptMessage", "Message", "ResetGuiMessage")
        ]
        assert _visit(gate, messages=[msgspec.msgpack.encode(CAMERA), *messages]) is None
        assert not shared
    assert "Traceback" not in capfd.readouterr().err


def test_every_value_is_checked_and_the_page_goes_on(capfd):
    with _served() as (gate, server):
        gui = server.gui
        number = gui.add_number("Seed", 3, min=0, max=2**32 - 1, step=1)
        fraction = gui.add_number("Share", 0.5, min=0.0, max=1.0)
        choice = gui.add_dropdown("Speed", ("1", "2"), initial_value="1")
        box = gui.add_checkbox("Pause", False)
        bad = [
            _update(number, value)
            for value in (-5, 1e300, float("nan"), float("inf"), "7", None, [1], True, 2.5, 2**63)
        ]
        bad += [_update(fraction, value) for value in (1.5, "x", None)]
        bad += [_update(choice, value) for value in ("abc", "0", "1e-300", 1, None, ["1"], {"1": 1}, "x" * 5000)]
        bad += [_update(box, value) for value in (2, "yes", None)]
        bad += [_update(number, 7, name) for name in ("min", "max", "removed", "update_cb", "gui_api")]
        bad += [_update("nobody", 7), b"", b"\xff" * 100, b"\x91" * 5000, "text"]
        bad += [
            msgspec.msgpack.encode(CAMERA | change) for change in ({"wxyz": [1]}, {"fov": "x"}, {"far": float("nan")})
        ]
        assert _visit(gate, messages=[msgspec.msgpack.encode(CAMERA), *bad]) is None
        assert (number.value, fraction.value, choice.value, box.value) == (3, 0.5, "1", False)
        good = [_update(number, 17.0), _update(fraction, 1), _update(choice, "2"), _update(box, True)]
        assert _visit(gate, messages=good) is None
        assert (number.value, fraction.value, choice.value, box.value) == (17, 1.0, "2", True)
    assert "Traceback" not in capfd.readouterr().err


def test_a_message_that_is_too_long_ends_its_connection_alone():
    with _served() as (gate, _):
        assert _visit(gate, messages=[b"x" * (gates.MAX_MESSAGE_BYTES + 1)]) == 1009
        assert _visit(gate) is None


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_messages_made_of_noise_leave_the_page_as_it_was(seed, capfd, monkeypatch):
    monkeypatch.setattr(gates, "MESSAGES_PER_SECOND", 1e6)
    rng = random.Random(seed)
    with _served() as (gate, server):
        number = server.gui.add_number("Seed", 3, min=0, max=9, step=1)
        whole = [msgspec.msgpack.encode(CAMERA), _update(number, 7), _update(number, "7")]
        messages = []
        for _ in range(500):
            message = bytearray(rng.choice(whole))
            for _ in range(rng.randint(1, 8)):
                message[rng.randrange(len(message))] = rng.randrange(256)
            messages.append(bytes(message[: rng.randint(1, len(message))] if rng.random() < 0.3 else message))
        assert _visit(gate, messages=messages) is None
        assert isinstance(number.value, int) and 0 <= number.value <= 9
        assert _get(gate)[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_page_of_our_own_stands_behind_the_same_gate():
    def check(message):
        if message != "go":
            raise BadMessage(f"expected go, got {message!r}.")
        return message

    async def both():
        seen = []
        with contextlib.closing(Gate(port=8750)) as gate:

            async def handle(connection):
                async for message in connection:
                    seen.append(message)

            async with serve(handle, **gate.options(lambda connection, request: None, check=check)):
                own = f"127.0.0.1:{gate.port}"
                async with connect(f"ws://{own}", origin=f"http://{own}") as connection:
                    await connection.send("stop")
                    answer = await connection.recv()
                    await connection.send("go")
                    await connection.close()
                with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                    await connect(f"ws://{own}", origin="http://evil.example")
        return seen, answer

    seen, answer = asyncio.run(both())
    assert seen == ["go"] and answer == '{"error": "expected go, got \'stop\'."}'


def test_a_flood_waits(monkeypatch):
    slept = []
    monkeypatch.setattr(gates.time, "monotonic", lambda: 100.0 + sum(slept))
    allowance = gates._Allowance(10.0)
    for _ in range(30):
        slept.append(allowance.wait())
    assert slept[:10] == [0.0] * 10 and sum(slept) == pytest.approx(2.0)
    assert not allowance.take()


@contextlib.contextmanager
def _sockets(gate, count, content=b""):
    """Connections that send some bytes and no more, in the order in which the page takes them."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection(("127.0.0.1", gate.port), timeout=60)))
            opened[-1].sendall(content)
        yield opened


def _is_closed(connection):
    """Whether the page has closed a connection that it has sent nothing to."""
    try:
        connection.settimeout(0.2)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def _until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def _request(gate):
    return f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{gate.port}\r\n\r\n".encode()


def test_silent_connections_give_way_to_a_newcomer_and_never_a_browser(monkeypatch):
    monkeypatch.setattr(connections, "MAX_SOCKETS", 8)
    with _served() as (gate, _):
        own = f"127.0.0.1:{gate.port}"
        options = {"origin": f"http://{own}", "subprotocols": [SUBPROTOCOL], "max_size": None}
        with connect_and_wait(f"ws://{own}", **options) as browser:
            browser.send(msgspec.msgpack.encode(CAMERA))
            with _sockets(gate, 60) as silent:
                assert _get(gate)[0] == 200
                assert _visit(gate) is None
                _until(lambda: len(gate.connections) <= 8)
                assert browser.ping().wait(60) and _is_closed(silent[0]) and not _is_closed(silent[-1])
        _until(lambda: len(gate.connections) == 0)


def test_those_who_ask_and_do_not_read_give_way_to_a_newcomer(monkeypatch):
    monkeypatch.setattr(connections, "MAX_SOCKETS", 8)
    with _served() as (gate, _), _sockets(gate, 60, _request(gate)):
        assert _get(gate)[0] == 200


class _Connection:
    """As much of a connection as the gate looks at."""

    def __init__(self, *, request=None, state=State.CONNECTING):
        self.request, self.state, self.transport, self.is_open = request, state, self, True

    def abort(self):
        self.is_open = False


@pytest.mark.parametrize("flood", [{}, {"request": "GET"}], ids=["silent", "asking"])
def test_a_flood_of_one_kind_closes_its_own(flood, monkeypatch):
    monkeypatch.setattr(connections, "MAX_SOCKETS", 16)
    browsers = [_Connection(request="GET", state=State.OPEN) for _ in range(4)]
    others = [_Connection(request=request) for request in (None, "GET") for _ in range(4)]
    kept, newest = connections.Connections(), None
    for each in (*browsers, *others):
        kept.add(each)
    for _ in range(100):
        newest = _Connection(**flood)
        kept.add(newest)
        assert newest.is_open and len(kept) <= 16
    own = "GET" if flood else None
    assert all(each.is_open for each in browsers)
    assert [each.is_open for each in others] == [each.request != own for each in others]


def test_where_all_are_browsers_the_newcomer_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "MAX_SOCKETS", 4)
    kept, browsers = connections.Connections(), [_Connection(state=State.OPEN) for _ in range(5)]
    for each in browsers:
        kept.add(each)
    assert [each.is_open for each in browsers] == [True] * 4 + [False] and len(kept) == 4


def test_a_request_that_comes_byte_by_byte_is_closed_before_its_end(monkeypatch):
    monkeypatch.setattr(gates, "OPENING_SECONDS", 1.0)
    with _served() as (gate, _), _sockets(gate, 1) as (slow,):
        head = _request(gate).removesuffix(b"\r\n") + b"Accept: " + b"x" * 7000
        for number in range(len(head)):
            try:
                slow.sendall(head[number : number + 1])
            except ConnectionError:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("it was heard to the end")
        assert _get(gate)[0] == 200


def test_what_waits_for_a_browser_that_does_not_read_is_the_latest_of_each_kind():
    async def waiting():
        visitor = Visitor(None)
        for number in range(1000):
            visitor.put(f"scene {number}", "scene")
            visitor.put(f"role {number}", "role")
        visitor.put("scene 1000", "scene")
        return visitor.waiting

    assert asyncio.run(waiting()) == ("role 999", "scene 1000")
