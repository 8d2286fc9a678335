import pytest
from PIL import Image

from handful.cli.plot import Options, run
from handful.errors import ConfigurationError

METRICS = "steps,seconds,success_rate_random_start\n1,6,0.5\n2,12,0.6\n"


@pytest.fixture
def write_run(tmp_path):
    def write(name, text=METRICS):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(text)
        return folder

    return write


def test_plot_writes_beside_the_run_and_says_where(write_run, capsys):
    first, second = write_run("full/seed-0"), write_run("full/seed-1")
    run(Options(runs=(first,)))
    run(Options(runs=(first, second)))
    written = capsys.readouterr().out.split()
    assert written == [str(first / "curves.png"), str(first.parent / "comparison.png")]
    assert all(first.joinpath(path).exists() for path in written)


def test_plot_without_a_run_is_refused():
    with pytest.raises(ConfigurationError, match="at least one run"):
        run(Options(runs=()))


def test_a_run_that_has_nothing_to_draw_yet_is_named(write_run, handful):
    folders = write_run("full"), write_run("rl", "steps,seconds\n1,6\n")
    status, out, err = handful("plot", *folders)
    assert (status, err) == (0, "")
    assert out.splitlines()[1] == "Left out, because no episode from a random start has ended yet: rl."


def test_a_run_is_drawn(whole_run, tmp_path, handful):
    path = tmp_path / "curves.png"
    assert handful("plot", whole_run, "--output", path) == (0, f"{path}\n", "")
    with Image.open(path) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("nowhere",), 1, "nowhere is not a run: expected a folder with metrics.csv, there is none."),
        (("RUN", "--output", "/proc/curves.png"), 1, "cannot write /proc/curves.png"),
        (("RUN", "--output", "curves.doc"), 2, "expected the name of a picture to end in"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(words, status, sentence, whole_run, handful):
    returned, out, err = handful("plot", *(whole_run if word == "RUN" else word for word in words))
    assert (returned, out) == (status, "")
    assert sentence in err and err.count("\n") == 1
