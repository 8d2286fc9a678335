"""What the tests of the way to a robot share: the shipped policy, exported once."""

from __future__ import annotations

import pathlib
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the tests are imported by path

from rosbridge_server import RosbridgeServer

from handful.runs.policies import read_trained
from handful.simulation.jaco import JACO
from handful.transfer.export import export_policy


@pytest.fixture(scope="session")
def found():
    """The lifting policy that ships."""
    return read_trained("block-lifting")


@pytest.fixture(scope="session")
def exported(tmp_path_factory, found) -> pathlib.Path:
    """The same, exported; not to be written to."""
    path = tmp_path_factory.mktemp("exported") / "lifting.onnx"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    export_policy(found.network, found.manifest, JACO, path)
    torch.set_num_threads(before)
    return path


@pytest.fixture
def server():
    """A rosbridge with an arm behind it."""
    server = RosbridgeServer()
    yield server
    server.close()
