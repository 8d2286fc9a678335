"""How the rasteriser's kernels are compiled, and the numbers that they share."""

from __future__ import annotations

import numba
import numpy as np

JIT_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp", "reassoc"}}
"""Numba's options. Sums may be reordered, but numbers may not be assumed finite; one machine always gives the same bits."""

compiled = numba.njit(**JIT_OPTIONS)
"""Compiles a kernel together with its callers. LLVM vectorises loops that start at zero, so kernels loop over views."""

ZERO, ONE, HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
"""Constants in single precision: a literal 1.0 is a double and makes its whole expression one."""

NEAR = np.float32(0.01)
"""Smallest depth that is drawn [m]."""

NEVER = np.float32(1e9)
"""Inverse depth [1/m] that stands for infinity: a ray has passed an entry with this value at any depth."""

LANES = 8
"""Numbers of 4 bytes in an AVX2 vector."""
