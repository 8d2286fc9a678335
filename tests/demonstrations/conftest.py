from __future__ import annotations

import pathlib
import shutil
import sys

import pytest

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from recording import TASK, make_environment, record

from handful.demonstrations.dataset import load_demonstrations


@pytest.fixture(scope="session")
def recorded_path(tmp_path_factory) -> pathlib.Path:
    """Three demonstrations with pixels; not to be written to."""
    path = tmp_path_factory.mktemp("demonstrations") / "lifting.hdf5"
    record(path, 3, environment=make_environment(num_envs=3, pixels=True))
    return path


@pytest.fixture(scope="session")
def demonstrations(recorded_path):
    return load_demonstrations(recorded_path, TASK)


@pytest.fixture
def copy_path(recorded_path, tmp_path) -> pathlib.Path:
    """A copy that a test may break."""
    return pathlib.Path(shutil.copy(recorded_path, tmp_path / "broken.hdf5"))
