"""A rosbridge with Kinova's driver behind it, which a test brings up and breaks.

The arm moves as the real one: each velocity that arrives moves it for 10 ms.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import socket
import threading
import time

import numpy as np
from PIL import Image
from websockets.exceptions import WebSocketException
from websockets.sync.server import serve

from handful.simulation.jaco import HOME_QPOS

DRIVER = "/j2n6s300_driver"
FINGERS = f"{DRIVER}/fingers_action/finger_positions/goal"
UNIT = math.radians(80.0 / 6800.0)
NAMES = [f"j2n6s300_joint_{i}" for i in range(1, 7)]
NAMES += [f"j2n6s300_joint_finger_{i}" for i in range(1, 4)] + [f"j2n6s300_joint_finger_tip_{i}" for i in range(1, 4)]


class RosbridgeServer:
    """Serves on a free port. Set an attribute to break it."""

    def __init__(self) -> None:
        self.angles = np.rad2deg(HOME_QPOS[:6])
        self.fingers = np.array([2000.0, 2400.0, 2800.0])
        self.velocities: list[np.ndarray] = []
        self.arrivals: list[float] = []
        self.goals: list[list[float]] = []
        self.received: list[dict] = []
        self.silent = self.locked = self.blind = False
        self.garbage: str | None = None
        self.pixels = np.zeros((48, 64, 3), np.uint8)
        self._generator = np.random.default_rng(0)
        self._connections: list = []
        self._lock = threading.Lock()
        self._server = serve(self._handle, "127.0.0.1", 0, compression=None)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def services(self) -> list[str]:
        return [each["service"] for each in self.received if each["op"] == "call_service"]

    def disconnect(self) -> None:
        """As if a cable was pulled: no goodbye."""
        for connection in self._connections:
            connection.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _handle(self, connection) -> None:
        self._connections.append(connection)
        subscribed: list[str] = []
        publisher = threading.Thread(target=self._publish, args=(connection, subscribed), daemon=True)
        publisher.start()
        with contextlib.suppress(WebSocketException, OSError):
            for text in connection:
                message = json.loads(text)
                with self._lock:
                    self.received.append(message)
                    if message["op"] == "subscribe":
                        subscribed.append(message["topic"])
                    elif message["op"] == "publish":
                        self._take(message["topic"], message["msg"])

    def _take(self, topic: str, message: dict) -> None:
        if topic == f"{DRIVER}/in/joint_velocity":
            velocity = np.array([message[f"joint{i}"] for i in range(1, 7)])
            self.velocities.append(velocity)
            self.arrivals.append(time.monotonic())
            if not self.locked:
                self.angles = self.angles + 0.01 * velocity
        elif topic == FINGERS:
            self.goals.append([message["goal"]["fingers"][f"finger{i}"] for i in range(1, 4)])

    def _publish(self, connection, subscribed: list[str]) -> None:
        with contextlib.suppress(WebSocketException, OSError):
            while True:
                time.sleep(0.02)
                for topic in list(subscribed):
                    for text in self._messages(topic):
                        connection.send(text)

    def _messages(self, topic: str):
        if topic.endswith("joint_state") and self.garbage is not None:
            yield self.garbage
        elif topic.endswith("joint_state") and not self.silent:
            with self._lock:
                position = [*np.deg2rad(self.angles), *(self.fingers * UNIT), 0.0, 0.0, 0.0]
            message = {"name": NAMES, "position": position, "velocity": [0.1 * i for i in range(1, 7)] + [0.0] * 6}
            yield json.dumps({"op": "publish", "topic": topic, "msg": message})
        elif "camera" in topic and not self.blind:
            pixels = self._generator.integers(0, 255, self.pixels.shape).astype(np.uint8)
            yield json.dumps({"op": "publish", "topic": topic, "msg": image_message(pixels, topic)})


def image_message(pixels: np.ndarray, topic: str = "", encoding: str = "rgb8") -> dict:
    if topic.endswith("/compressed"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return {"format": "png", "data": base64.b64encode(stream.getvalue()).decode()}
    rows, columns = pixels.shape[:2]
    data = base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
    return {"height": rows, "width": columns, "encoding": encoding, "step": pixels[0].nbytes, "data": data}
