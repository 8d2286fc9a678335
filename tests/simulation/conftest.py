"""Fixtures of the simulation's tests."""

from __future__ import annotations

import pathlib
import sys

import pytest

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(
    scope="session",
    params=[pytest.param("cpu", marks=pytest.mark.warp), pytest.param("cuda", marks=pytest.mark.gpu)],
)
def device(request) -> str:
    """Warp's device: the same tests run on its CPU, slowly, and on a GPU."""
    from handful.errors import ConfigurationError
    from handful.simulation.physics.warp_runtime import find_device

    try:
        find_device(request.param)
    except ConfigurationError as error:
        pytest.skip(str(error))
    return request.param
