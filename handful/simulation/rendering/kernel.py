"""How the rasteriser's kernels are compiled, and the numbers that they share."""

from __future__ import annotations

import numba
import numpy as np

JIT_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp", "reassoc"}}
"""How kernels are compiled. Reordering sums is allowed, assuming finite numbers is not; same machine, same bits."""

compiled = numba.njit(**JIT_OPTIONS)
"""Compiles a kernel whenever one that calls it is; loops that shall be vectorised run from zero, over views."""

ZERO, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
"""A bare 1.0 in a kernel is a double and makes its whole expression one."""

NEAR = np.float32(0.01)
"""Nearest depth that is drawn [m]."""

NEVER = np.float32(1e9)
"""Inverse depth of an entry that lies behind the eye [1/m]: it has been passed at any depth."""

LANES = 8
"""Numbers of 4 bytes in a vector of AVX2."""
