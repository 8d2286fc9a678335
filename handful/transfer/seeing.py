"""From a camera's picture to what a policy sees."""

from __future__ import annotations

import numpy as np


def fitted(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture, uint8 [any, any, 3], cut to the aspect of the policy's image and averaged to its size."""
    from PIL import Image

    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(pixels)
    scale = min(rows / height, columns / width)
    cut_rows, cut_columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (rows - cut_rows) // 2, (columns - cut_columns) // 2
    cut = Image.fromarray(np.ascontiguousarray(pixels[top : top + cut_rows, left : left + cut_columns]))
    return np.asarray(cut.resize((width, height), Image.Resampling.BOX))
