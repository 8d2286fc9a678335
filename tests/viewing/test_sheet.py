import numpy as np
import pytest

from handful.viewing.sheet import BACKGROUND, GAP, LINE_HEIGHT, captioned, enlarged, grid, grid_shape, stack, text_line


@pytest.mark.parametrize(("num_cells", "shape"), [(1, (1, 1)), (2, (1, 2)), (5, (2, 3)), (24, (4, 6)), (25, (4, 7))])
def test_the_grid_holds_every_cell(num_cells, shape):
    assert grid_shape(num_cells) == shape


def test_pictures_stand_row_by_row_with_gaps_and_empty_cells_are_background():
    pictures = [np.full((3, 5, 3), value, np.uint8) for value in (1, 2, 3)]
    sheet = grid([pictures[0], None, pictures[1], pictures[2]], num_columns=3)
    assert sheet.shape == (2 * (3 + GAP) + GAP, 3 * (5 + GAP) + GAP, 3)
    cell = {
        (row, column): sheet[GAP + row * (3 + GAP) :, GAP + column * (5 + GAP) :][:3, :5]
        for row in (0, 1)
        for column in (0, 1, 2)
    }
    assert [(cell[place] == picture).all() for place, picture in zip([(0, 0), (0, 2), (1, 0)], pictures, strict=True)]
    empty = [(0, 1), (1, 1), (1, 2)]
    assert all((cell[place] == BACKGROUND).all() for place in empty)
    assert (sheet[:GAP] == BACKGROUND).all() and (sheet[:, :GAP] == BACKGROUND).all()


def test_parts_of_a_stack_keep_their_places_and_a_caption_its_picture():
    picture = np.zeros((4, 60, 3), np.uint8)
    below = captioned(picture, "0.5 s")
    sheet = stack([text_line("a title that is wider than the picture below it"), below])
    assert sheet.shape[0] == LINE_HEIGHT + 4 + LINE_HEIGHT
    np.testing.assert_array_equal(sheet[LINE_HEIGHT:, :60], below)
    assert (sheet[LINE_HEIGHT:, 60:] == BACKGROUND).all()
    assert (below[4:] != BACKGROUND).any()  # the words


def test_an_enlarged_picture_repeats_its_pixels():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarged(picture[None], 3)[0]
    assert large.shape == (6, 6, 3) and (large[::3, 1::3] == picture).all() and (large[2::3, ::3] == picture).all()
