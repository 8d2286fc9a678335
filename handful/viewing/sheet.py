"""Pictures made of pictures: grids, captions, and the colours of all that people look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (24, 24, 27)
"""Behind pictures and text."""
INK = (244, 244, 245)
"""Text."""
RUNNING_COLOR, SUCCESS_COLOR, FAILURE_COLOR = (113, 113, 122), (34, 197, 94), (239, 68, 68)
"""The outcome of an episode so far."""
LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Lines of a plot: Okabe and Ito's palette, whose colours stay apart for the colour-blind and in grey."""

VIEW_SIZE = 192
"""Side of a view for people [px]."""
GAP = 4
"""Between pictures [px]."""
LINE_HEIGHT = 22
"""Height of a line of text [px]."""
FONT_SIZE = 13
"""Size of text [px]."""


def grid_shape(num_cells: int) -> tuple[int, int]:
    """Rows and columns for a number of cells, about three to two and with the fewest left empty.

    >>> grid_shape(24), grid_shape(1), grid_shape(5)
    ((4, 6), (1, 1), (2, 3))
    """
    num_columns = math.ceil(math.sqrt(1.5 * num_cells)) if num_cells > 1 else 1
    num_rows = math.ceil(num_cells / num_columns)
    return num_rows, math.ceil(num_cells / num_rows)


def grid(pictures: Sequence[np.ndarray | None], *, num_columns: int, num_rows: int | None = None) -> np.ndarray:
    """Put pictures of one size side by side, row by row from the top left, with gaps between and around them.

    Pictures and sheet are uint8 [height, width, 3]; None leaves a cell empty. Without ``num_rows`` there are as many as the
    pictures need.
    """
    height, width = next(picture.shape[:2] for picture in pictures if picture is not None)
    rows = -(-len(pictures) // num_columns) if num_rows is None else num_rows
    sheet = _background(rows * (height + GAP) + GAP, num_columns * (width + GAP) + GAP)
    for index, picture in enumerate(pictures):
        if picture is not None:
            row, column = divmod(index, num_columns)
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def text_line(text: str, width: int | None = None) -> np.ndarray:
    """A line of text, uint8 [LINE_HEIGHT, width, 3]; as wide as it needs if no width is given."""
    font = ImageFont.load_default(size=FONT_SIZE)
    line = Image.new("RGB", (width or 2 * GAP + int(font.getlength(text)) + 1, LINE_HEIGHT), BACKGROUND)
    ImageDraw.Draw(line).text((GAP, LINE_HEIGHT // 2), text, fill=INK, font=font, anchor="lm")
    return np.asarray(line)


def captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    """The picture with a line of text below it."""
    return np.concatenate([picture, text_line(caption, picture.shape[1])])


def enlarged(pictures: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel repeated ``scale`` times in both directions; uint8 [..., height, width, 3]."""
    return pictures.repeat(scale, axis=-3).repeat(scale, axis=-2)


def padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture in the top left corner of a background of this size."""
    sheet = _background(height, width)
    sheet[: picture.shape[0], : picture.shape[1]] = picture
    return sheet


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Parts of any width below each other, on the left."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([padded(part, len(part), width) for part in parts])


def _background(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)
