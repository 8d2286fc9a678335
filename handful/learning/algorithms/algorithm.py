"""What every learning algorithm offers to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import nn

from handful.environment import StateTree
from handful.learning.data.rollout import Rollout
from handful.learning.models.policy import Policy


class Algorithm(Protocol):
    """Updates a policy from its own rollouts.

    A training loop collects a rollout with ``policy`` and calls ``update`` with it, again and again.
    """

    policy: Policy
    """The policy that acts and learns."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Observation groups that a rollout must hold besides the policy's own."""
        ...

    @property
    def sees_outcome_frames(self) -> bool:
        """Whether a rollout must hold the images after each action too."""
        ...

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Networks by the name that an error calls them by."""
        ...

    def prepare(
        self, num_epochs: int | None = None, most_epochs: Callable[[int], float] = ...
    ) -> Iterator[dict[str, float]]:
        """Learn from demonstrations alone before the first rollout, in passes; yields metrics after each.

        ``most_epochs`` says, given how many passes are done, for how many in all there is time.
        """
        ...

    def update(self, rollout: Rollout, *, steps: int) -> dict[str, float]:
        """Learn from a rollout, before which ``steps`` control steps were taken in the run; returns metrics.

        Raises:
            TrainingError: a number is not finite; the algorithm is then of no more use.
        """
        ...

    def state_dict(self) -> StateTree:
        """All that a new one needs to resume to the bit."""
        ...

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken, from that state or one that holds more."""

    def load_networks(self, state: Any) -> None:
        """Begin with the networks of another run, whose trainer's ``state_dict`` this is, and nothing else of it."""
