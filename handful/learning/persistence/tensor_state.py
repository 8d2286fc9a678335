"""Modules, optimisers and generators as trees of named arrays, and back: what a checkpoint holds instead of pickles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from handful.environment import StateTree
from handful.errors import DataError


def module_state(module: nn.Module) -> StateTree:
    """Parameters and buffers by name, copied to the CPU."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, state: Any, *, only_check: bool = False) -> None:
    """Put parameters and buffers back, or ``only_check`` that they fit.

    Raises:
        DataError: a name, a shape or a type differs from the module's, or a number is not finite.
    """
    own = module.state_dict()
    if not isinstance(state, dict) or not all(isinstance(array, np.ndarray) for array in state.values()):
        raise DataError(f"the saved {type(module).__name__} is no set of named arrays.")
    if own.keys() != state.keys():
        odd = sorted(own.keys() ^ state.keys())
        raise DataError(
            f"the saved {type(module).__name__} has other parameters than this one, for example '{odd[0]}'."
        )
    for name, tensor in own.items():
        if tuple(tensor.shape) != tuple(state[name].shape):
            raise DataError(
                f"the saved {type(module).__name__} has '{name}' of shape {tuple(state[name].shape)}, "
                f"this one of {tuple(tensor.shape)}."
            )
        if str(tensor.dtype).removeprefix("torch.") != str(state[name].dtype):
            raise DataError(f"the saved '{name}' has numbers of type {state[name].dtype}, this one of {tensor.dtype}.")
        if not np.isfinite(state[name]).all():
            raise DataError(f"the saved '{name}' holds a number that is not finite.")
    if only_check:
        return
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})


def optimizer_state(optimizer: torch.optim.Optimizer) -> StateTree:
    """Per-parameter statistics by the parameter's number; step sizes are the configuration's and not saved."""
    return {
        str(index): {name: value.detach().cpu().numpy().copy() for name, value in statistics.items()}
        for index, statistics in optimizer.state_dict()["state"].items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, state: Any) -> None:
    """Put the statistics back, each in the memory layout of its parameter.

    A fused optimiser walks through parameter and statistics as they lie in memory: those of a convolution with its
    channels last, put back with them first, would meet the wrong weights.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    own = optimizer.state_dict()
    for index, statistics in state.items():
        shape = tuple(parameters[int(index)].shape) if str(index).isdecimal() and int(index) < len(parameters) else None
        for name, array in statistics.items():  # a fused optimiser would read beyond the end of others
            expected = () if name == "step" else shape
            if expected is None or array.shape != expected or array.dtype != np.float32 or not np.isfinite(array).all():
                raise DataError(f"the optimiser's '{index}/{name}' does not fit its parameter.")
    own["state"] = {
        int(index): {name: _laid_out_as(parameters[int(index)], array) for name, array in statistics.items()}
        for index, statistics in state.items()
    }
    optimizer.load_state_dict(own)


def _laid_out_as(parameter: torch.Tensor, array: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(array))
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor) if tensor.shape == parameter.shape else tensor
