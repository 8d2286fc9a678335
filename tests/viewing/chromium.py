"""Drives a headless Chromium by the DevTools protocol, as a person would: keys, clicks, and what the page shows."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Sequence

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_KEYS = {" ": "Space", "Enter": "Enter", "Backspace": "Backspace", "Shift": "ShiftLeft", "-": "Minus", "+": "Equal"}


class Browser:
    """One tab of a Chromium of its own."""

    def __init__(
        self, profile: pathlib.Path, *, size: tuple[int, int] = (1500, 900), options: Sequence[str] = ()
    ) -> None:
        options = [
            *options,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu-sandbox",
            "--use-angle=swiftshader",
            "--mute-audio",
        ]
        options += [
            "--enable-unsafe-swiftshader",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
        ]
        options += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [CHROMIUM, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port_file = profile / "DevToolsActivePort"
        for _ in range(300):
            if port_file.exists() and "\n" in port_file.read_text():
                break
            time.sleep(0.1)
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(each for each in json.load(answer) if each["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None)
        self._numbers = itertools.count(1)
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters):
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def before_load(self, script: str) -> None:
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def value(self, expression: str):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60.0):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self.value(expression):
                return value
            time.sleep(0.05)
        raise AssertionError(f"the page never came to: {expression}; it says: {self.value('document.body.innerText')}")

    def key(self, key: str, *, down: bool) -> None:
        code = _KEYS.get(key, f"Key{key.upper()}")
        kind = "rawKeyDown" if down else "keyUp"
        virtual = {"Enter": 13, "Backspace": 8, " ": 32, "Shift": 16}.get(key, ord(key.upper()[0]))
        self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=virtual)

    def tap(self, key: str) -> None:
        self.key(key, down=True)
        self.key(key, down=False)

    def screenshot(self, path: pathlib.Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        self._process.terminate()
        self._process.wait(timeout=20)
