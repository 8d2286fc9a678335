"""Shared set-up of the learner's tests."""

from __future__ import annotations

import pathlib
import sys

import pytest
import torch

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: the figures that follow are to the bit, and the tests share their machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
