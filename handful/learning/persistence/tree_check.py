"""Checks that a saved tree has the form of the one that it is loaded into, before any of it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handful.errors import DataError

MAX_NUMBER = 2**53
"""No counter and no time reaches it; the state of a generator has up to 128 bits."""


def check_form(saved: Any, own: Any, where: str = "") -> None:
    """Compare a saved tree with one's own, both as `StateTree`, where both have an entry.

    Arrays must have the type and the shape of one's own; numbers must be numbers of moderate size. One's own empty
    dictionaries, empty arrays and None stand for what is not there yet, and admit anything.

    Raises:
        DataError: naming the first entry that differs.
    """
    if own is None or saved is None:
        return
    if isinstance(own, dict):
        if not isinstance(saved, dict):
            raise DataError(f"its entry '{where}' is no group of entries.")
        for name in own.keys() & saved.keys():
            check_form(saved[name], own[name], f"{where}/{name}" if where else str(name))
    elif isinstance(own, np.ndarray):
        if own.size:
            _check_array(saved, own, where)
    elif isinstance(own, bool | str):
        if not isinstance(saved, type(own)):
            raise DataError(f"its entry '{where}' is {str(saved)[:50]}.")
    elif isinstance(saved, bool) or not isinstance(saved, int | float) or not _moderate(saved, own):
        raise DataError(f"its entry '{where}' is {str(saved)[:50]}.")


def _check_array(saved: Any, own: np.ndarray, where: str) -> None:
    if not isinstance(saved, np.ndarray):
        raise DataError(f"its entry '{where}' is no array.")
    if saved.dtype != own.dtype:
        raise DataError(f"its entry '{where}' has numbers of type {saved.dtype}, not {own.dtype}.")
    if saved.shape[1:] != own.shape[1:] or saved.ndim != own.ndim:
        raise DataError(f"its entry '{where}' has the shape {saved.shape}, not {own.shape}.")


def _moderate(number: float, own: float) -> bool:
    bound = MAX_NUMBER if abs(own) < MAX_NUMBER else 2**128
    return (isinstance(number, int) or math.isfinite(number)) and abs(number) < bound
