from __future__ import annotations

import pytest
import torch


@pytest.fixture
def one_thread():
    """One thread inside each operation of the networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
