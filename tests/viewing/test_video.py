import av
import numpy as np
import pytest

from handful.errors import ConfigurationError, DataError, StorageError
from handful.viewing.sheet import BACKGROUND, GAP, LINE_HEIGHT
from handful.viewing.video import BORDER, Cell, EpisodeGridVideo, Outcome, draw_cell


def a_cell(generator, *, size=97, episode=1, outcome=Outcome.RUNNING):
    return Cell(
        view=generator.integers(0, 256, (size, size, 3), dtype=np.uint8),
        pixels=generator.integers(0, 256, (64, 64, 3), dtype=np.uint8),
        episode=episode,
        stage="lifted",
        outcome=outcome,
    )


def write(path, generator, *, num_frames=10):
    with EpisodeGridVideo(path, num_rows=2, num_columns=3, frame_rate=20) as video:
        for _ in range(num_frames):
            video.add_frame([a_cell(generator, episode=episode, outcome=outcome) for episode, outcome in CELLS])


CELLS = [(1, Outcome.SUCCESS), (2, Outcome.RUNNING), (3, Outcome.FAILURE), (4, Outcome.RUNNING)]


def test_a_browser_can_play_the_video(tmp_path):
    path = tmp_path / "grid.mp4"
    write(path, np.random.default_rng(0))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    width, height = 3 * (97 + 2 * BORDER + GAP) + GAP, 2 * (97 + 2 * BORDER + LINE_HEIGHT + GAP) + GAP
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert (stream.width, stream.height) == (width + width % 2, height + height % 2)
    assert (len(frames), stream.average_rate) == (10, 20)
    # The index stands before the pictures, so that playing starts before everything has arrived.
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [file.name for file in tmp_path.iterdir()] == ["grid.mp4"]


def test_cells_beyond_the_episodes_stay_empty(tmp_path):
    write(tmp_path / "grid.mp4", np.random.default_rng(0), num_frames=1)
    with av.open(str(tmp_path / "grid.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    corner = picture[-60:-20, -60:-20].astype(int)
    # Compression and the trip through YUV move colours by a few levels.
    assert np.abs(corner - BACKGROUND).max() < 8


def test_a_cell_shows_view_inset_and_outcome():
    cell = a_cell(np.random.default_rng(0), size=400, outcome=Outcome.SUCCESS)
    picture = draw_cell(cell)
    np.testing.assert_array_equal(picture[0], np.broadcast_to(Outcome.SUCCESS.value, picture[0].shape))
    # The policy's pixels at twice their size, then a line, then the view.
    inset = picture[BORDER : BORDER + 128, BORDER : BORDER + 128]
    np.testing.assert_array_equal(inset[::2, 1::2], cell.pixels)
    view = picture[BORDER : BORDER + 400, BORDER : BORDER + 400]
    np.testing.assert_array_equal(view[129:], cell.view[129:])


def test_outcomes_differ_in_shape_and_not_only_in_colour():
    generator = np.random.default_rng(0)
    bars = []
    for outcome in Outcome:
        bar = draw_cell(a_cell(generator, size=200, outcome=outcome))[BORDER + 200 : -BORDER, BORDER:-BORDER]
        bars.append((bar.astype(int) - BACKGROUND).any(axis=-1))
    assert not any((bars[i] == bars[j]).all() for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_block_that_raises_leaves_the_earlier_video_and_its_own_error(tmp_path):
    path, generator = tmp_path / "grid.mp4", np.random.default_rng(0)
    path.write_bytes(b"earlier")
    with (
        pytest.raises(FileNotFoundError, match="of something else"),
        EpisodeGridVideo(path, num_rows=1, num_columns=1, frame_rate=20) as video,
    ):
        video.add_frame([a_cell(generator)])
        raise FileNotFoundError("of something else")
    assert path.read_bytes() == b"earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["grid.mp4"]


def test_a_video_without_frames_is_refused(tmp_path):
    with (
        pytest.raises(DataError, match="at least one frame"),
        EpisodeGridVideo(tmp_path / "grid.mp4", num_rows=1, num_columns=1, frame_rate=20),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="cannot write"),
        EpisodeGridVideo(tmp_path / "file" / "grid.mp4", num_rows=1, num_columns=1, frame_rate=20),
    ):
        pass


def test_what_does_not_fit_the_grid_is_refused(tmp_path):
    generator = np.random.default_rng(0)
    with pytest.raises(ConfigurationError, match=r"end in \.mp4"):
        EpisodeGridVideo(tmp_path / "grid.gif", num_rows=1, num_columns=1, frame_rate=20)
    with EpisodeGridVideo(tmp_path / "grid.mp4", num_rows=1, num_columns=1, frame_rate=20) as video:
        video.add_frame([a_cell(generator)])
        with pytest.raises(ConfigurationError, match="at most 1 x 1 cells in a frame, got 2"):
            video.add_frame([a_cell(generator)] * 2)
        with pytest.raises(ConfigurationError, match="views of one size"):
            video.add_frame([a_cell(generator, size=32)])
