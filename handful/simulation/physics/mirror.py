"""Arrays on a device and their copies on the host, and rows of them written from the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp


class Mirrors:
    """Read-only copies on the host of fields of `mujoco_warp`'s data, in page-locked memory where there is a GPU.

    A field is copied when it is first read; from then on `refresh` updates its copy in place.
    """

    def __init__(self, data: Any, device: wp.Device) -> None:
        """Start without copies of the fields of ``data``, which is on ``device``."""
        self._data = data
        self._device = device
        self._copies: dict[str, tuple[wp.array, np.ndarray]] = {}

    def read(self, name: str) -> np.ndarray:
        """The copy of a field, [env, ...]; rotations are rows of 9 numbers, as in MuJoCo."""
        if name not in self._copies:
            source = getattr(self._data, name)
            host = wp.empty(source.shape, dtype=source.dtype, device="cpu", pinned=self._device.is_cuda)
            view = host.numpy()
            view = view.reshape(*view.shape[:2], 9) if view.ndim == 4 else view
            view.flags.writeable = False
            self._copies[name] = host, view
            wp.copy(host, source)
            wp.synchronize_device(self._device)
        return self._copies[name][1]

    def refresh(self) -> None:
        """Update every copy."""
        for name, (host, _) in self._copies.items():
            wp.copy(host, getattr(self._data, name))
        wp.synchronize_device(self._device)


def write_rows(targets: Sequence[tuple[wp.array, np.ndarray]], ids: np.ndarray) -> None:
    """Write the rows ``ids`` of arrays [env, ...] on a device, in one transfer; the other rows stay as they are.

    Each array is of 32-bit numbers; its new rows [len(ids), ...] are of any numeric type.
    """
    if not len(ids) or not targets:
        return
    device = targets[0][0].device
    words = [_words(rows, array) for array, rows in targets]
    staged = wp.array(np.concatenate(words, axis=1), dtype=wp.uint32, device=device)
    index = wp.array(np.asarray(ids, np.int32), dtype=wp.int32, device=device)
    column = 0
    for (array, _), part in zip(targets, words, strict=True):
        num_words = part.shape[1]
        out = wp.array(
            ptr=array.ptr, dtype=wp.uint32, shape=(array.shape[0], num_words), capacity=array.capacity, device=device
        )
        wp.launch(
            _scatter_rows, dim=(len(ids), num_words), inputs=[staged, index, column], outputs=[out], device=device
        )
        column += num_words


def is_writable(array: Any) -> bool:
    """Whether `write_rows` can write to an array: it needs 32-bit numbers in contiguous memory."""
    scalar = getattr(array.dtype, "_wp_scalar_type_", array.dtype)
    return scalar in (wp.float32, wp.int32) and array.is_contiguous


def _words(rows: np.ndarray, array: wp.array) -> np.ndarray:
    """Rows as 32-bit words in the array's own type, [row, word]."""
    scalar = getattr(array.dtype, "_wp_scalar_type_", array.dtype)
    numbers = np.ascontiguousarray(rows, np.int32 if scalar is wp.int32 else np.float32)
    return numbers.reshape(len(rows), -1).view(np.uint32)


@wp.kernel(enable_backward=False)
def _scatter_rows(
    rows: wp.array2d(dtype=wp.uint32),  # pyright: ignore[reportInvalidTypeForm]
    ids: wp.array(dtype=wp.int32),  # pyright: ignore[reportInvalidTypeForm]
    column: wp.int32,
    out: wp.array2d(dtype=wp.uint32),  # pyright: ignore[reportInvalidTypeForm]
):
    """``out[ids[i], j] = rows[i, column + j]``."""
    i, j = wp.tid()  # pyright: ignore[reportAssignmentType, reportGeneralTypeIssues]
    out[ids[i], j] = rows[i, column + j]
