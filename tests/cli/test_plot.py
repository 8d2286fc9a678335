import numpy as np
import pytest
from PIL import Image

from handful.cli.plot import Options, run
from handful.errors import ConfigurationError
from handful.runs.config import RunConfig
from handful.runs.phases import Phase, begin_phases
from handful.viewing.curves import read_whole_curve

METRICS = "steps,seconds,success_rate_random_start\n1,6,0.5\n2,12,0.6\n"
PHASES = (Phase("teacher", RunConfig(), 100, 1.0), Phase("student", RunConfig(), 100, 1.0))


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


def test_runs_of_several_phases_are_compared_with_their_phases_in_a_row(tmp_path, handful):
    folders = []
    for name in ("first", "second"):
        folder = tmp_path / name
        begin_phases(folder, task="block-lifting", recipe="r", phases=PHASES, demonstrations=None)
        for phase in PHASES:
            (folder / phase.name).mkdir()
            (folder / phase.name / "metrics.csv").write_text(METRICS)
        folders.append(folder)
    np.testing.assert_array_equal(read_whole_curve(folders[0]).columns["steps"], [1, 2, 3, 4])
    np.testing.assert_allclose(read_whole_curve(folders[0]).columns["minutes"], [0.1, 0.2, 0.3, 0.4])
    status, out, err = handful("plot", *folders)
    assert (status, out, err) == (0, f"{tmp_path / 'comparison.png'}\n", "")


def test_a_seed_that_has_nothing_to_draw_yet_is_named(write_run, handful):
    folders = write_run("full/seed-0"), write_run("full/seed-1", "steps,seconds\n1,6\n")
    status, out, err = handful("plot", *folders)
    assert (status, err) == (0, "")
    assert out.splitlines()[1] == "Left out, because no episode from a random start has ended yet: full/seed-1."


def test_a_run_that_is_named_twice_is_refused(write_run, handful):
    folder = write_run("full")
    status, out, err = handful("plot", folder, folder.parent / "." / "full")
    assert (status, out, err.count("\n")) == (2, "", 1) and "more than once" in err


def test_runs_of_two_tasks_are_refused(write_run, handful):
    folders = write_run("one"), write_run("two")
    for folder, task in zip(folders, ("pouring", "block-lifting"), strict=True):
        (folder / "config.json").write_text(f'{{"task": "{task}"}}')
    status, out, err = handful("plot", *folders)
    assert (status, out, err.count("\n")) == (2, "", 1) and "expected runs of one task" in err
