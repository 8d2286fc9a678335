"""Starts Warp, in which `mujoco_warp` is written, without its messages, and finds its devices."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from handful.errors import ConfigurationError

if TYPE_CHECKING:
    import warp as wp


@functools.cache
def initialize_warp() -> None:
    """Start Warp without its greeting, its message for each kernel that it loads, and its warning that there is no GPU."""
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING
    with _without_lines_on_stderr("Could not find or load the NVIDIA CUDA driver"):
        wp.init()


def find_device(name: str) -> wp.Device:
    """Warp's device with this name.

    Raises:
        ConfigurationError: this machine has no such device.
    """
    initialize_warp()
    import warp as wp

    if name.partition(":")[0] == "cuda" and not wp.is_cuda_available():
        raise ConfigurationError("no CUDA device was found, which the backend 'cuda' needs; the choices here are: cpu.")
    try:
        return wp.get_device(name)
    except ValueError as error:
        choices = ", ".join(str(device) for device in wp.get_devices())
        raise ConfigurationError(f"unknown device '{name}'; the choices here are: {choices}.") from error


@contextlib.contextmanager
def _without_lines_on_stderr(unwanted: str) -> Iterator[None]:
    """Withhold what the process, native code included, writes to stderr; then pass on all lines without ``unwanted``."""
    stderr = 2
    with tempfile.TemporaryFile() as held:
        original = os.dup(stderr)
        try:
            os.dup2(held.fileno(), stderr)
            try:
                yield
            finally:
                os.dup2(original, stderr)
            held.seek(0)
            for line in held:
                if unwanted.encode() not in line:
                    os.write(stderr, line)
        finally:
            os.close(original)
