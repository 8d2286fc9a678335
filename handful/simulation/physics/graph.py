"""A fixed sequence of kernel launches, as one CUDA graph where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import warp as wp


class RecordedLaunches:
    """Runs the same launches again and again; on a GPU they are captured once and replayed.

    The first run launches kernel by kernel, since it compiles and loads them, which a capture must not.
    """

    def __init__(self, launch: Callable[[], None], device: wp.Device) -> None:
        """Run nothing yet.

        Args:
            launch: Launches the kernels, on arrays that stay where they are until `forget`.
            device: Where they run; on Warp's CPU device there is nothing to capture.
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
        """Capture anew at the next run, because an array was replaced by another."""
        self._graph = None
