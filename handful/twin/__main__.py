"""The twin's process: ``python -m handful.twin --task TASK --laboratory NAME [--port PORT] [--lockstep]``.

It prints one line of JSON with its port, serves one connection, and ends with it. In real time the world follows the
wall's clock; with ``--lockstep`` time passes only by messages.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import select
import socket
import sys
import time
from typing import Any

TICK_S = 0.01
"""How often the world catches up with the clock [s]."""

MAX_BEHIND_S = 0.5
"""A world that is further behind the clock lets the time go [s]."""


def main() -> int:
    """Serve until the client leaves; the exit status is 1 where the twin cannot be set up."""
    parser = argparse.ArgumentParser(prog="python -m handful.twin")
    parser.add_argument("--task", required=True)
    parser.add_argument("--laboratory", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--lockstep", action="store_true")
    options = parser.parse_args()
    if "MUJOCO_GL" not in os.environ:  # read when MuJoCo is imported
        os.environ["MUJOCO_GL"] = "osmesa" if ctypes.util.find_library("OSMesa") else "egl"

    from handful.errors import HandfulError

    try:
        from handful.twin.camera import OpenGLCamera
        from handful.twin.laboratory import find_laboratory
        from handful.twin.world import World

        laboratory = find_laboratory(options.laboratory)
        world = World(laboratory, options.task)
        camera = OpenGLCamera(world.model, laboratory.camera)
        camera.picture(world.data.qpos)  # the first one takes OpenGL seconds
        listener = socket.create_server(("127.0.0.1", options.port))
    except (HandfulError, OSError, ImportError, RuntimeError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    with listener:
        connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            Server(world, camera, lockstep=options.lockstep).serve(connection)
        except HandfulError:
            pass  # the client has left
        finally:
            camera.close()
    return 0


class Server:
    """Answers messages."""

    def __init__(self, world: Any, camera: Any, *, lockstep: bool) -> None:
        self._world, self._camera, self._lockstep = world, camera, lockstep
        self._clock = time.monotonic()
        self._drawn: tuple[float, bytes] | None = None

    def serve(self, connection: socket.socket) -> None:
        """Answer until the client leaves, and let time pass in between."""
        from handful.transfer.robots.wire import receive, send

        while True:
            if not self._lockstep:
                self._catch_up()
                if not select.select([connection], [], [], TICK_S)[0]:
                    continue
                self._catch_up()
            message, _ = receive(connection)
            try:
                answer, content = self._answer(message)
            except (KeyError, TypeError, ValueError) as error:
                answer, content = {"error": f"the twin does not understand {str(message)[:80]} ({error})."}, b""
            send(connection, answer, content)

    def _catch_up(self) -> None:
        now = time.monotonic()
        behind = now - self._clock
        if behind > MAX_BEHIND_S:
            self._clock, behind = now - MAX_BEHIND_S, MAX_BEHIND_S
        if behind >= TICK_S:
            ticks = int(behind / TICK_S)
            self._world.advance(ticks * TICK_S)
            self._clock += ticks * TICK_S

    def _answer(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        world, kind = self._world, message["kind"]
        if kind == "begin":
            world.begin(message["places"], message["arm"], seed=int(message["seed"]))
            self._drawn, self._clock, self._camera.exposure = None, time.monotonic(), None
        elif kind == "advance" and self._lockstep:
            world.advance(min(10.0, max(0.0, float(message["seconds"]))))
        elif kind == "command":
            import numpy as np

            velocities = np.array(message["velocities"], float)
            if velocities.shape != (9,) or not np.isfinite(velocities).all():
                raise ValueError("expected nine finite velocities")
            world.command(velocities)
        elif kind == "stop":
            world.stop()
        elif kind == "joints" and world.reading is not None:
            positions, rates, arrived = world.reading
            joints = {"positions": positions.tolist(), "velocities": rates.tolist(), "age": world.time - arrived}
            return {"time": world.time, **joints}, b""
        elif kind == "picture" and world.frame is not None:
            qpos, arrived = world.frame
            if self._drawn is None or self._drawn[0] != arrived:
                self._drawn = (arrived, self._camera.picture(qpos).tobytes())
            from handful.twin.camera import HEIGHT, WIDTH

            return {"time": world.time, "shape": [HEIGHT, WIDTH, 3], "age": world.time - arrived}, self._drawn[1]
        elif kind == "referee":
            return {"time": world.time, **world.referee()}, b""
        elif kind not in ("joints", "picture", "hello"):
            raise ValueError(f"unknown kind {kind!r}")
        return {"time": world.time}, b""


if __name__ == "__main__":
    sys.exit(main())
