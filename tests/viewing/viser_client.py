"""What a browser sends to a page of viser."""

from __future__ import annotations

import viser

SUBPROTOCOL = f"viser-v{viser.__version__}"

CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": [1, 0.0, 0.0, 0.0],
    "position": [1.0, 0, 0],
    "fov": 1.0,
    "near": 0.1,
    "far": 100,
    "image_height": 400,
    "image_width": 600,
    "look_at": [0.0, 0.0, 0.0],
    "up_direction": [0.0, 0.0, 1.0],
}
