"""Shared set-up of the learner's tests."""

from __future__ import annotations

import pathlib
import sys

import pytest

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(autouse=True)
def in_one_thread(one_thread):
    """The figures that follow are to the bit, and the tests share their machine."""
