import numpy as np
import pytest
from PIL import Image

from handful.viewing.sheet import LINE_HEIGHT


def test_draws_starts_and_a_scripted_episode(handful, tmp_path):
    path = tmp_path / "lifting.png"
    status, output, error = handful("preview", "block-lifting", "--output", path, "--num-starts", "12")
    assert (status, error) == (0, "") and str(path) in output
    picture = np.asarray(Image.open(path))
    rows = 2 * (128 + 4) + 4
    starts = picture[LINE_HEIGHT : LINE_HEIGHT + rows]
    assert (starts[:, : 10 * 132].reshape(rows, -1, 3).std(axis=(0, 2)) > 0).mean() > 0.9  # no empty column
    assert picture[LINE_HEIGHT + rows :].std() > 10
    again = tmp_path / "again.png"
    handful("preview", "block-lifting", "--output", again, "--num-starts", "12")
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--num-starts", "0"), "expected --num-starts of at least 1, got 0"),
        (("--output", "starts.gif"), "to end in .png, .jpg, .webp, got starts.gif"),
        (("--randomization", "ful"), "did you mean 'full'"),
        (("--seed", "-1"), "expected --seed of at least 0"),
        (("--arm", "pandas"), "unknown arm 'pandas': did you mean 'panda'? The choices are: panda, jaco."),
    ],
)
def test_bad_input_gets_one_clear_sentence(handful, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    status, _, error = handful("preview", "block-lifting", *words)
    assert status == 2 and message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
