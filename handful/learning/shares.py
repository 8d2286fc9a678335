"""The gradient of a loss over simulations, computed in shares that run side by side."""

from __future__ import annotations

import concurrent.futures
import copy
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)
Share = TypeVar("Share")
Result = TypeVar("Result")


class SharedGradient(Generic[Network]):
    """Replicas of a network, one for each share, whose parameters and buffers lie in the network's own memory.

    A thread that runs whole operations on its share of the data needs no other thread until it is done. Threads inside
    each operation would wait for one another hundreds of times in each step, and spin where the machine has other work.

    The gradient is the sum over shares in their order, so its bits depend on the number of shares and not on that of
    threads.
    """

    def __init__(self, network: Network, *, num_shares: int, num_threads: int | None = None) -> None:
        """Make the replicas.

        Args:
            network: The network; what writes to its parameters and buffers must do so in place.
            num_shares: Shares at most.
            num_threads: Threads that work on them, this one among them; None takes one for each share.
        """
        self._network = network
        self._replicas = [network, *(_replica(network) for _ in range(num_shares - 1))]
        num_others = min(num_shares, num_threads or num_shares) - 1
        self._others: concurrent.futures.ThreadPoolExecutor | None = None
        if num_others > 0:
            self._others = concurrent.futures.ThreadPoolExecutor(
                num_others, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
            )

    @property
    def num_shares(self) -> int:
        """Shares at most."""
        return len(self._replicas)

    def accumulate(self, function: Callable[[Network, Share], Result], shares: Sequence[Share]) -> list[Result]:
        """Call ``function`` with a replica and a share, for every share, and add the gradients up in the network.

        Args:
            function: Leaves gradients in the replica's parameters, by a backward pass.
            shares: As many as there are replicas, at most.

        Returns:
            What the function returned for each share.
        """
        assert len(shares) <= len(self._replicas)
        replicas = self._replicas[: len(shares)]
        for replica in replicas:
            replica.zero_grad(set_to_none=True)
        if self._others is None:
            results = [function(replica, share) for replica, share in zip(replicas, shares, strict=True)]
        else:
            waiting = [
                self._others.submit(function, replica, share)
                for replica, share in zip(replicas[1:], shares[1:], strict=True)
            ]
            try:
                first = function(replicas[0], shares[0])
            finally:
                concurrent.futures.wait(waiting)
            results = [first, *(future.result() for future in waiting)]
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
