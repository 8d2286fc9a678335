"""Videos of many episodes in a grid, which a browser plays."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import fractions
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handful.errors import ConfigurationError, DataError, StorageError
from handful.storage import written_when_complete

BACKGROUND = (24, 24, 27)
INK = (244, 244, 245)
BORDER = 3
"""Width of the frame around a cell that tells its outcome [px]."""
GAP = 4
"""Between cells [px]."""
BAR_HEIGHT = 22
"""Height of the caption under each view [px]."""
CONSTANT_RATE_FACTOR = 23
"""Quality of H.264, x264's default."""


class Outcome(enum.Enum):
    """How an episode stands; the colour is that of its frame."""

    RUNNING = (113, 113, 122)
    SUCCESS = (34, 197, 94)
    FAILURE = (239, 68, 68)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What the grid shows of one episode at one moment."""

    view: np.ndarray
    """A view for people, uint8 [size, size, 3]."""
    pixels: np.ndarray
    """What the policy sees, uint8 [height, width, 3]."""
    episode: int
    """Number of the episode."""
    stage: str
    """Name of the stage that it is in."""
    outcome: Outcome = Outcome.RUNNING
    """How it stands: success is marked while it holds, failure at the end."""


def grid_shape(num_cells: int) -> tuple[int, int]:
    """Rows and columns for a number of cells, about three to two and with the fewest left empty.

    >>> grid_shape(24), grid_shape(1), grid_shape(5)
    ((4, 6), (1, 1), (2, 3))
    """
    num_columns = math.ceil(math.sqrt(1.5 * num_cells)) if num_cells > 1 else 1
    num_rows = math.ceil(num_cells / num_columns)
    return num_rows, math.ceil(num_cells / num_rows)


class _Abandoned(Exception):
    """The block that was to fill a video raised."""


class EpisodeGridVideo:
    """Writes an MP4 of episodes side by side: H.264, yuv420p, its index at the front.

    The file appears under its name when the ``with`` block ends well, and not otherwise::

        with EpisodeGridVideo(path, num_rows=4, num_columns=6, frame_rate=20) as video:
            video.add_frame(cells)
    """

    def __init__(self, path: Path, *, num_rows: int, num_columns: int, frame_rate: float) -> None:
        """Prepare a video.

        Args:
            path: File to write, which ends in ``.mp4``.
            num_rows: Cells from top to bottom.
            num_columns: Cells from left to right.
            frame_rate: Frames per second, the control rate for real time.

        Raises:
            ConfigurationError: the file has another ending, or is a folder.
        """
        if path.suffix != ".mp4":
            raise ConfigurationError(f"expected the name of a video to end in .mp4, got {path}.")
        if path.is_dir():
            raise ConfigurationError(f"expected the name of a video to write, got the folder {path}.")
        self._path = path
        self._num_rows = num_rows
        self._num_columns = num_columns
        self._rate = fractions.Fraction(frame_rate).limit_denominator(1001)
        self._files = contextlib.ExitStack()
        self._cell_size: int | None = None

    def __enter__(self) -> Self:
        """Open a temporary file beside the final one."""
        with contextlib.ExitStack() as files:
            temporary = files.enter_context(written_when_complete(self._path))
            with self._storage_errors():
                temporary.touch()  # FFmpeg finds out with the first frame whether it may write
                self._container = av.open(str(temporary), "w", options={"movflags": "+faststart"})
            files.callback(self._container.close)
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the file and give it its name; after an exception remove it."""
        if error is not None:
            # The exception itself stays out of the stack: it need not be about this file.
            with contextlib.suppress(_Abandoned), self._files:
                raise _Abandoned
            return
        with self._storage_errors(), self._files:
            if self._cell_size is None:
                raise DataError(f"{self._path}: a video needs at least one frame.")
            self._container.mux(self._stream.encode(None))

    def add_frame(self, cells: Sequence[Cell | None]) -> None:
        """Append a frame.

        Args:
            cells: Row by row from the top left; None and those that are missing at the end stay empty.

        Raises:
            ConfigurationError: more cells than the grid has, or views of another size than before.
            StorageError: the disk refused.
        """
        frame = self._compose(cells)
        if self._cell_size is None:
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(CONSTANT_RATE_FACTOR), "preset": "veryfast"}
            self._cell_size = next(cell.view.shape[0] for cell in cells if cell is not None)
        with self._storage_errors():
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def _compose(self, cells: Sequence[Cell | None]) -> np.ndarray:
        """The picture of one frame, uint8 [height, width, 3] of even sizes."""
        if len(cells) > self._num_rows * self._num_columns:
            raise ConfigurationError(
                f"expected at most {self._num_rows} x {self._num_columns} cells in a frame, got {len(cells)}."
            )
        sizes = {cell.view.shape for cell in cells if cell is not None}
        if self._cell_size is not None:
            sizes.add((self._cell_size, self._cell_size, 3))
        if len(sizes) != 1 or (shape := next(iter(sizes)))[0] != shape[1]:
            raise ConfigurationError(f"expected square views of one size in a video, got {sorted(sizes) or 'none'}.")
        width = shape[1] + 2 * BORDER
        height = shape[0] + BAR_HEIGHT + 2 * BORDER
        # yuv420p halves both sides, so they must be even.
        full_height = _even(self._num_rows * (height + GAP) + GAP)
        full_width = _even(self._num_columns * (width + GAP) + GAP)
        frame = np.full((full_height, full_width, 3), BACKGROUND, np.uint8)
        for index, cell in enumerate(cells):
            if cell is not None:
                row, column = divmod(index, self._num_columns)
                top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
                frame[top : top + height, left : left + width] = draw_cell(cell)
        return frame

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}.") from error


def draw_cell(cell: Cell) -> np.ndarray:
    """One cell: the view, the policy's own image in its corner, and a bar with episode, stage and outcome.

    Returns:
        Picture, uint8 [size + BAR_HEIGHT + 2 BORDER, size + 2 BORDER, 3].
    """
    size = cell.view.shape[0]
    picture = np.empty((size + BAR_HEIGHT + 2 * BORDER, size + 2 * BORDER, 3), np.uint8)
    picture[:] = cell.outcome.value
    picture[BORDER : BORDER + size, BORDER:-BORDER] = cell.view

    # Whole multiples keep the policy's pixels square; up to two fifths of the view leaves the scene to be seen.
    scale = max(1, min(2, int(0.4 * size) // cell.pixels.shape[0]))
    inset = cell.pixels.repeat(scale, axis=0).repeat(scale, axis=1)[: size - 2, : size - 2]
    inset = np.pad(inset, ((0, 1), (0, 1), (0, 0)), constant_values=INK[0])
    picture[BORDER : BORDER + inset.shape[0], BORDER : BORDER + inset.shape[1]] = inset

    picture[BORDER + size : -BORDER, BORDER:-BORDER] = _caption(cell.episode, cell.stage, cell.outcome, size)
    return picture


@functools.lru_cache(maxsize=1024)
def _caption(episode: int, stage: str, outcome: Outcome, width: int) -> np.ndarray:
    """The bar under a view, uint8 [BAR_HEIGHT, width, 3]."""
    bar = Image.new("RGB", (width, BAR_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(bar)
    draw.text((5, BAR_HEIGHT // 2), f"{episode}  {stage}", fill=INK, font=ImageFont.load_default(size=13), anchor="lm")
    # Marks are drawn, since the font has none, and differ in shape as well as in colour.
    right, middle = width - 16, BAR_HEIGHT // 2
    draw.rectangle((right - 5, 0, width, BAR_HEIGHT), fill=BACKGROUND)
    if outcome is Outcome.SUCCESS:
        draw.line([(right, middle), (right + 4, middle + 5), (right + 11, middle - 5)], outcome.value, 3, joint="curve")
    elif outcome is Outcome.FAILURE:
        draw.line([(right, middle - 5), (right + 10, middle + 5)], outcome.value, 3)
        draw.line([(right, middle + 5), (right + 10, middle - 5)], outcome.value, 3)
    return np.asarray(bar)


def _even(length: int) -> int:
    return length + length % 2
