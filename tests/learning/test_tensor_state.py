from __future__ import annotations

import pytest
import torch
from torch import nn

from handful.errors import DataError
from handful.learning.persistence.tensor_state import load_module, load_optimizer, module_state, optimizer_state


def stepped(network: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(num_steps):
        optimizer.zero_grad()
        network(images).square().sum().backward()
        optimizer.step()


def fresh(seed: int):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 1)).to(memory_format=torch.channels_last)
    return network, torch.optim.Adam(network.parameters(), lr=0.01, fused=True)


def test_a_fused_optimizer_goes_on_to_the_bit_whatever_the_memory_layout():
    network, optimizer = fresh(0)
    stepped(network, optimizer, 3)
    other, other_optimizer = fresh(1)
    load_module(other, module_state(network))
    load_optimizer(other_optimizer, optimizer_state(optimizer))
    stepped(network, optimizer, 3)
    stepped(other, other_optimizer, 3)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_parameters_of_another_network_are_refused_by_name():
    state = module_state(nn.Linear(3, 2))
    with pytest.raises(DataError, match="'bias'"):
        load_module(nn.Linear(3, 2, bias=False), state)
    with pytest.raises(DataError, match=r"'weight' of shape \(2, 3\)"):
        load_module(nn.Linear(4, 2), state)
