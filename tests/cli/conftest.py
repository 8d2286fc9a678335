"""What the tests of the command line share: one small recording, and one short run never stopped."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import torch

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from command_line import NUM_STEPS, TASK, TINY

from handful.cli.main import run_command_line


@pytest.fixture(autouse=True)
def threads_as_before():
    """Commands choose torch's threads; other tests are not to notice."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def handful(capfd):
    """Run a command in this process; returns its exit status, standard output and standard error."""

    def run(*words) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run_command_line([str(word) for word in words])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def start_process():
    """Start a command in a process of its own, which ends with the test."""
    processes = []

    def start(*words, **options) -> subprocess.Popen:
        program = "from handful.cli.main import main; main()"
        environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory) -> pathlib.Path:
    """Two demonstrations; not to be written to."""
    path = tmp_path_factory.mktemp("demonstrations") / "two.hdf5"
    assert run_command_line(["demonstrate", TASK, "--num-episodes", "2", "--output", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, demonstrations) -> pathlib.Path:
    """A run of ``NUM_STEPS`` steps that was never stopped; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    words = ["train", TASK, "--run", str(folder), "--demonstrations", str(demonstrations), *TINY]
    assert run_command_line([*words, "--num-steps", str(NUM_STEPS)]) == 0
    return folder
