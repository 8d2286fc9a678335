"""Somebody else's page in a real Chromium: it cannot open the WebSocket of a page of ours, nor reach it by another name."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator

import pytest
from chromium import CHROMIUM, Browser
from served import ServedPage
from viser_client import SUBPROTOCOL
from websockets.sync.server import serve

TASK = "block-lifting"
FOREIGN = "somebody-else.example"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.usefixtures("one_thread"),
]

OPENS = """
new Promise((done) => {{
  const socket = new WebSocket({url!r}, {protocols!r});
  socket.onopen = () => done(true);
  socket.onclose = () => done(false);
}})
"""


class _Foreign(http.server.BaseHTTPRequestHandler):
    """Somebody else's page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>somebody else</title>")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _in_a_thread(server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(60)


@pytest.mark.parametrize(
    ("words", "path", "protocols"),
    [
        (["view", TASK, "--port", "18300"], "/", [SUBPROTOCOL]),
        (["demonstrate", TASK, "--operator", "browser", "--port", "18320"], "/socket", []),
    ],
    ids=["view", "demonstrate"],
)
def test_a_page_of_another_origin_cannot_open_the_socket(words, path, protocols, tmp_path):
    if words[0] == "demonstrate":
        words = [*words, "--output", str(tmp_path / "a.hdf5")]
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(ServedPage(words, tmp_path / "log.txt"))
        foreign = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Foreign)
        ungated = serve(lambda connection: connection.recv(), "127.0.0.1", 0)
        for server in (foreign, ungated):
            stack.enter_context(_in_a_thread(server))
        browser = Browser(tmp_path / "profile", options=[f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"])
        stack.callback(browser.close)

        def opens(host: str, port: int, path: str = path, protocols: list[str] = protocols) -> bool:
            return browser.value(OPENS.format(url=f"ws://{host}:{port}{path}", protocols=protocols))

        def visit(url: str, title: str) -> None:
            browser.open(url)
            browser.wait_for(f"document.title.startsWith({title!r})")

        visit(f"http://127.0.0.1:{page.port}/", "handful")
        assert opens("127.0.0.1", page.port)
        for host in (FOREIGN, "localhost", "127.0.0.1"):  # of another name, and of another port alone
            visit(f"http://{host}:{foreign.server_port}/", "somebody else")
            assert opens("127.0.0.1", ungated.socket.getsockname()[1], "/", [])  # the browser itself forbids nothing
            for name in ("127.0.0.1", "localhost", FOREIGN):
                assert not opens(name, page.port), (host, name)
        browser.open(f"http://{FOREIGN}:{page.port}/")  # a name that its owner lets point to this machine
        browser.wait_for("document.body && document.body.innerText.includes('served to this machine alone')")
        assert not opens(FOREIGN, page.port)
        assert page.get("/")[0] == 200
