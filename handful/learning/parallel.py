"""Gradients of a batch, computed in parts that run side by side."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import nn

from handful.workers import Workers

Network = TypeVar("Network", bound=nn.Module)
Part = TypeVar("Part")
Result = TypeVar("Result")


class TorchWorkers(Workers):
    """Workers in whose threads torch runs an operation on as many threads as in the calling one."""

    def __init__(self, num_threads: int) -> None:
        """Start the threads; one is the calling thread alone."""
        super().__init__(num_threads, initializer=functools.partial(torch.set_num_threads, torch.get_num_threads()))


class ParallelGradient(Generic[Network]):
    """Replicas of a network, one for each split, whose parameters and buffers lie in the network's own memory.

    The gradient is the sum over parts in their order, so its bits depend on the number of parts and not on that of
    threads.
    """

    def __init__(self, network: Network, *, num_splits: int, workers: Workers) -> None:
        """Make replicas for at most ``num_splits`` parts; what writes to parameters or buffers must do so in place."""
        self._network = network
        self._workers = workers
        self._replicas = [network, *(_replica(network) for _ in range(num_splits - 1))]

    def accumulate(self, function: Callable[[Network, Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Call ``function`` with a replica and a part, for every part, and add the gradients up in the network.

        The function leaves gradients in the replica's parameters, by a backward pass; what it returns for each part is
        returned.
        """
        assert len(parts) <= len(self._replicas)
        replicas = self._replicas[: len(parts)]
        for replica in replicas:
            replica.zero_grad(set_to_none=True)
        pairs = list(zip(replicas, parts, strict=True))
        results = self._workers.map(lambda pair: function(*pair), pairs)
        for replica in replicas[1:]:
            for own, other in zip(self._network.parameters(), replica.parameters(), strict=True):
                if other.grad is not None:
                    own.grad = other.grad if own.grad is None else own.grad.add_(other.grad)
        return results


def _replica(network: Network) -> Network:
    """A copy whose parameters and buffers share the network's memory; gradients are its own."""
    replica = copy.deepcopy(network)
    for own, other in zip(network.parameters(), replica.parameters(), strict=True):
        other.data = own.data
    for name, buffer in network.named_buffers():
        module, _, last = name.rpartition(".")
        setattr(replica.get_submodule(module), last, buffer)
    return replica
