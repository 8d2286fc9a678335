"""Starts Warp, in which `mujoco_warp` is written, without what it likes to say."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator


@functools.cache
def initialize_warp() -> None:
    """Start Warp without its greeting, its notes on every kernel that it loads, and its regret that there is no GPU."""
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING
    with _without_lines_on_stderr("Could not find or load the NVIDIA CUDA driver"):
        wp.init()


@contextlib.contextmanager
def _without_lines_on_stderr(unwanted: str) -> Iterator[None]:
    """Hold back what the process, native code too, writes to stderr; then pass on all lines but those unwanted."""
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
