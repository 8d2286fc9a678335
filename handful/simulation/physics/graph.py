"""A fixed sequence of kernel launches, as one CUDA graph where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import warp as wp


class RecordedLaunches:
    """Runs the same launches many times; on a GPU they are captured once and replayed.

    The first run is not captured: it compiles and loads the kernels, which is not allowed during a capture.
    """

    def __init__(self, launch: Callable[[], None], device: wp.Device) -> None:
        """Prepare; nothing runs yet, and on Warp's CPU device nothing is captured.

        ``launch`` launches the kernels, on arrays that keep their addresses until `forget` is called.
        """
        self._launch = launch
        self._device = device
        self._loaded = False
        self._graph: Any = None

    def __call__(self) -> None:
        """Run the launches."""
        with wp.ScopedDevice(self._device):
            if not self._device.is_cuda or not self._loaded:
                self._launch()
                self._loaded = True
                return
            if self._graph is None:
                with wp.ScopedCapture(self._device) as capture:
                    self._launch()
                self._graph = capture.graph
            wp.capture_launch(self._graph)

    def forget(self) -> None:
        """Capture again at the next run; call this when an array has been replaced."""
        self._graph = None
