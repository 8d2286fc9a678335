"""Videos of many episodes in a grid, in a format that browsers play."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import fractions
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from PIL import Image, ImageDraw

from handful.errors import ConfigurationError, DataError, StorageError
from handful.storage import check_file_name, reason, replaced_when_complete
from handful.viewing import sheet
from handful.viewing.sheet import BACKGROUND, INK, LINE_HEIGHT

BORDER = 3
"""Width of the frame around a cell that tells its outcome [px]."""
CONSTANT_RATE_FACTOR = 23
"""Quality of H.264, x264's default."""


class Outcome(enum.Enum):
    """The outcome of an episode so far; its value is the colour of the frame."""

    RUNNING = sheet.RUNNING_COLOR
    SUCCESS = sheet.SUCCESS_COLOR
    FAILURE = sheet.FAILURE_COLOR


@dataclasses.dataclass(frozen=True)
class Cell:
    """One episode at one moment."""

    view: np.ndarray
    """A view for people, uint8 [size, size, 3]."""
    pixels: np.ndarray
    """What the policy sees, uint8 [height, width, 3]."""
    episode: int
    """Number of the episode."""
    stage: str
    """Name of the present stage."""
    outcome: Outcome = Outcome.RUNNING
    """Success while the last stage holds; failure only at the end."""


class EpisodeGridVideo:
    """Writes an MP4 of episodes side by side: H.264, yuv420p, its index at the front.

    The file appears when the ``with`` block ends without an exception::

        with EpisodeGridVideo(path, num_rows=4, num_columns=6, frame_rate=20) as video:
            video.add_frame(cells)
    """

    def __init__(self, path: Path, *, num_rows: int, num_columns: int, frame_rate: float) -> None:
        """Prepare a video; ``frame_rate`` is in frames per second, the control rate for real time.

        Raises:
            ConfigurationError: the path does not end in ``.mp4``, or is a folder.
        """
        check_file_name(path, "video", [".mp4"])
        self._path = path
        self._num_rows, self._num_columns = num_rows, num_columns
        self._rate = fractions.Fraction(frame_rate).limit_denominator(1001)
        self._files = contextlib.ExitStack()
        self._cell_size: int | None = None

    def __enter__(self) -> Self:
        """Open a temporary file in the same folder."""
        with self._storage_errors(), contextlib.ExitStack() as files:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = files.enter_context(replaced_when_complete(self._path))
            temporary.touch()  # FFmpeg notices only at the first frame that it cannot write
            self._container = av.open(str(temporary), "w", options={"movflags": "+faststart"})
            files.callback(self._container.close)
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the file; after an exception, remove it."""
        if error is not None:
            self._files.__exit__(kind, error, traceback)
            return
        with self._storage_errors(), self._files:
            if self._cell_size is None:
                raise DataError(f"{self._path}: a video needs at least one frame.")
            self._container.mux(self._stream.encode(None))

    def add_frame(self, cells: Sequence[Cell | None]) -> None:
        """Append a frame of cells, row by row from the top left; None and missing cells at the end stay empty.

        Raises:
            ConfigurationError: more cells than the grid has, or views of another size than before.
            StorageError: the file cannot be written.
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
            shape = f"{self._num_rows} x {self._num_columns}"
            raise ConfigurationError(f"expected at most {shape} cells in a frame, got {len(cells)}.")
        sizes = {cell.view.shape for cell in cells if cell is not None}
        if self._cell_size is not None:
            sizes.add((self._cell_size, self._cell_size, 3))
        if len(sizes) != 1 or (shape := next(iter(sizes)))[0] != shape[1]:
            raise ConfigurationError(f"expected square views of one size in a video, got {sorted(sizes) or 'none'}.")
        pictures = [None if cell is None else draw_cell(cell) for cell in cells]
        frame = sheet.grid(pictures, num_rows=self._num_rows, num_columns=self._num_columns)
        # yuv420p halves both sides, so they must be even.
        height, width = frame.shape[:2]
        return sheet.padded(frame, height + height % 2, width + width % 2)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            refusal = error if isinstance(error, OSError) else OSError(error.errno, error.strerror)
            raise StorageError(f"cannot write {self._path}: {reason(refusal)}.") from error


def draw_cell(cell: Cell) -> np.ndarray:
    """One cell: the view, the policy's own image in its corner, and a bar with episode, stage and outcome.

    The picture is uint8 [size + LINE_HEIGHT + 2 BORDER, size + 2 BORDER, 3].
    """
    size = cell.view.shape[0]
    picture = np.empty((size + LINE_HEIGHT + 2 * BORDER, size + 2 * BORDER, 3), np.uint8)
    picture[:] = cell.outcome.value
    picture[BORDER : BORDER + size, BORDER:-BORDER] = cell.view

    # Whole multiples keep the policy's pixels square; at most two fifths of the view keeps the scene visible.
    scale = max(1, min(2, int(0.4 * size) // cell.pixels.shape[0]))
    inset = sheet.enlarged(cell.pixels, scale)[: size - 2, : size - 2]
    inset = np.pad(inset, ((0, 1), (0, 1), (0, 0)), constant_values=INK[0])
    picture[BORDER : BORDER + inset.shape[0], BORDER : BORDER + inset.shape[1]] = inset

    picture[BORDER + size : -BORDER, BORDER:-BORDER] = _caption(cell.episode, cell.stage, cell.outcome, size)
    return picture


@functools.lru_cache(maxsize=1024)
def _caption(episode: int, stage: str, outcome: Outcome, width: int) -> np.ndarray:
    """The bar under a view, uint8 [LINE_HEIGHT, width, 3]."""
    bar = Image.fromarray(sheet.text_line(f"{episode}  {stage}", width))
    draw = ImageDraw.Draw(bar)
    # The font has no marks, so they are drawn; they differ in shape as well as in colour.
    right, middle = width - 16, LINE_HEIGHT // 2
    draw.rectangle((right - 5, 0, width, LINE_HEIGHT), fill=BACKGROUND)
    if outcome is Outcome.SUCCESS:
        draw.line([(right, middle), (right + 4, middle + 5), (right + 11, middle - 5)], outcome.value, 3, joint="curve")
    elif outcome is Outcome.FAILURE:
        draw.line([(right, middle - 5), (right + 10, middle + 5)], outcome.value, 3)
        draw.line([(right, middle + 5), (right + 10, middle - 5)], outcome.value, 3)
    return np.asarray(bar)
