"""A camera whose pictures come over rosbridge: ``sensor_msgs/Image``, or ``sensor_msgs/CompressedImage``."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from handful.transfer.robots.cameras import LatestPicture
from handful.transfer.robots.robot import Picture
from handful.transfer.robots.rosbridge import Rosbridge

CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2, 3), "bgra8": (2, 1, 0, 3), "mono8": (0,)}
"""Where red, green and blue are in each encoding; all that it has stand in the picture."""

MAX_PIXELS = 2**24
"""A picture that says it is larger is refused before it is unpacked."""


class RosCamera:
    """The pictures of one topic; one whose name ends in ``/compressed`` holds JPEG or PNG."""

    def __init__(self, bridge: Rosbridge, topic: str, *, owns_bridge: bool = False) -> None:
        """Listen; `close` hangs up if the camera owns the connection."""
        self._bridge, self._owns_bridge = bridge, owns_bridge
        self._latest = LatestPicture()
        compressed = topic.endswith("/compressed")
        kind = "sensor_msgs/CompressedImage" if compressed else "sensor_msgs/Image"
        unpack = from_compressed_image if compressed else from_image
        bridge.subscribe(topic, kind, lambda message: self._latest.put(unpack(message)))

    def read(self) -> Picture | None:
        """See `handful.transfer.robots.cameras.Camera`."""
        self._bridge.check()
        return self._latest.get()

    def close(self) -> None:
        """See `handful.transfer.robots.cameras.Camera`."""
        if self._owns_bridge:
            self._bridge.close()


def from_image(message: dict[str, Any]) -> np.ndarray:
    """Pixels, uint8 [height, width, 3], of a ``sensor_msgs/Image``; a `ValueError` or `KeyError` says that it is none."""
    encoding, rows, columns, step = (message[name] for name in ("encoding", "height", "width", "step"))
    if encoding not in CHANNELS:
        raise ValueError(f"the encoding {str(encoding)[:20]}, not one of {', '.join(CHANNELS)}")
    order = CHANNELS[encoding]
    _check_size(int(rows), int(columns))
    data = np.frombuffer(base64.b64decode(message["data"], validate=True), np.uint8)
    if len(data) != rows * step or step < columns * len(order):
        raise ValueError(f"{len(data)} bytes for {rows} rows of {step}")
    pixels = data.reshape(rows, step)[:, : columns * len(order)].reshape(rows, columns, len(order))
    return np.repeat(pixels, 3, axis=2) if len(order) == 1 else pixels[..., order[:3]]


def from_compressed_image(message: dict[str, Any]) -> np.ndarray:
    """The same of a ``sensor_msgs/CompressedImage``; an `OSError` is another way to say that it is none."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(message["data"], validate=True)), formats=("JPEG", "PNG")) as image:
        _check_size(image.height, image.width)
        return np.array(image.convert("RGB"))


def _check_size(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise ValueError(f"a size of {columns} x {rows}")
