import errno
import os
import subprocess
import sys
import textwrap

import pytest

from handful.errors import HandfulError, StorageError
from handful.storage import lock, write_atomically, written_when_complete


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_raises_leaves_the_previous_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "sheet.png"
    path.write_text("earlier")
    with pytest.raises(ValueError, match="half way"), written_when_complete(path) as temporary:
        temporary.write_text("half")
        raise ValueError("half way")
    assert path.read_text() == "earlier" and names(tmp_path) == ["sheet.png"]


def test_the_temporary_file_keeps_the_suffix_and_missing_folders_are_made(tmp_path):
    path = tmp_path / "new" / "sheet.png"
    with written_when_complete(path) as temporary:
        assert temporary.suffix == ".png" and not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole" and names(path.parent) == ["sheet.png"]


def test_what_a_killed_process_left_goes_with_the_next_write_and_files_in_use_stay(tmp_path):
    killed = os.fork()
    if killed == 0:
        os._exit(0)
    os.waitpid(killed, 0)
    for name in (f".run.{killed}.csv", f".run.{os.getppid()}.csv", f".other.{killed}.csv", ".run.notes.csv"):
        (tmp_path / name).touch()
    write_atomically(tmp_path / "run.csv", b"whole")
    assert names(tmp_path) == sorted([f".other.{killed}.csv", ".run.notes.csv", f".run.{os.getppid()}.csv", "run.csv"])


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission denied"), (errno.EFBIG, "File too large")],
)
def test_a_refusal_is_told_in_words(tmp_path, monkeypatch, number, words):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with (
        pytest.raises(StorageError, match=rf"cannot write .*sheet\.png: {words}\."),
        written_when_complete(tmp_path / "sheet.png") as temporary,
    ):
        temporary.touch()
    with pytest.raises(StorageError, match=rf"run\.csv could not be written, because {words}\."):
        write_atomically(tmp_path / "run.csv", b"whole")
    assert names(tmp_path) == []


def test_a_lock_keeps_another_process_out_and_names_this_one_until_it_is_released(tmp_path):
    path = tmp_path / ".lock"
    attempt = f"""
        import pathlib
        from handful.errors import HandfulError
        from handful.storage import lock
        try:
            lock(pathlib.Path({str(path)!r}), what="the run here")
            print("taken")
        except HandfulError as error:
            print(error)
    """

    def other_process() -> str:
        words = [sys.executable, "-c", textwrap.dedent(attempt)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    first, second = lock(path, what="the run here"), lock(path, what="the run here")  # the same process may
    assert other_process().startswith(f"the run here is in use by process {os.getpid()}: ")
    first()
    assert "in use" in other_process()
    second()
    assert not path.exists()
    assert other_process() == "taken"
    lock(path, what="the run here")()  # what a process leaves that ends without a release


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_lock_file_that_is_something_else_is_told_in_words(tmp_path, kind):
    path = tmp_path / ".lock"
    path.symlink_to("/etc/passwd") if kind == "link" else path.mkdir()
    with pytest.raises(HandfulError, match=r"\.lock|in use"):
        lock(path, what="the run here")
