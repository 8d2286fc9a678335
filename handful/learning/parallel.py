"""Work over simulations in parts that run side by side."""

from __future__ import annotations

import concurrent.futures
import copy
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)
Part = TypeVar("Part")
Result = TypeVar("Result")


class Workers:
    """Threads, the calling one among them, that each run whole operations on a part of the data.

    Such a thread needs no other until it is done, and sleeps then. Threads inside each operation would wait for one another
    hundreds of times in each step, and spin where the machine has other work.
    """

    def __init__(self, num_threads: int) -> None:
        """Start them; one is the calling thread alone."""
        self._others: concurrent.futures.ThreadPoolExecutor | None = None
        if num_threads > 1:
            self._others = concurrent.futures.ThreadPoolExecutor(
                num_threads - 1, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
            )

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """What ``function`` returns for each part; an error comes out when all are done."""
        if self._others is None:
            return [function(share) for share in parts]
        waiting = [self._others.submit(function, share) for share in parts[1:]]
        try:
            first = function(parts[0])
        finally:
            concurrent.futures.wait(waiting)
        return [first, *(future.result() for future in waiting)]


class ParallelGradient(Generic[Network]):
    """Replicas of a network, one for each split, whose parameters and buffers lie in the network's own memory.

    The gradient is the sum over parts in their order, so its bits depend on the number of parts and not on that of
    threads.
    """

    def __init__(self, network: Network, *, num_splits: int, workers: Workers) -> None:
        """Make the replicas.

        Args:
            network: The network; what writes to its parameters and buffers must do so in place.
            num_splits: Shares at most.
            workers: Who works on them.
        """
        self._network = network
        self._workers = workers
        self._replicas = [network, *(_replica(network) for _ in range(num_splits - 1))]

    def accumulate(self, function: Callable[[Network, Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Call ``function`` with a replica and a part, for every part, and add the gradients up in the network.

        Args:
            function: Leaves gradients in the replica's parameters, by a backward pass.
            parts: As many as there are replicas, at most.

        Returns:
            What the function returned for each part.
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
