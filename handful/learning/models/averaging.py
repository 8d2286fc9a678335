"""A policy that is the running mean of the policy in training: what is saved and evaluated."""

from __future__ import annotations

import copy
import math

import torch

from handful.learning.models.policy import Policy


class PolicyAverage:
    """Exponential moving average of a policy's parameters (Polyak and Juditsky 1992).

    theta_bar <- theta_bar + (1 - d) (theta - theta_bar),  d = min(exp(-steps / time), i / (i + 9)) in iteration i

    The policy of an iteration stands where noisy gradients have just left it; its mean over the last iterations stands in
    their middle. The second term of d forgets the first iterations soon.
    """

    def __init__(self, policy: Policy, *, time: float | None) -> None:
        """Begin with the policy in training; ``time`` is the time constant [control steps], None takes it as it is."""
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self._source = policy
        self._time = time

    @torch.no_grad()
    def update(self, *, iteration: int, num_steps: int) -> None:
        """Take in the policy after an iteration, the first of which is 1, of ``num_steps`` control steps."""
        decay = 0.0
        if self._time is not None:
            decay = min(math.exp(-num_steps / self._time), iteration / (iteration + 9))
        for mean, parameter in zip(self.policy.parameters(), self._source.parameters(), strict=True):
            mean.lerp_(parameter, 1.0 - decay)
        # Statistics of the inputs are means already.
        for mean, buffer in zip(self.policy.buffers(), self._source.buffers(), strict=True):
            mean.copy_(buffer)

    def restart(self) -> None:
        """Begin again with the policy as it is."""
        self.policy.load_state_dict(self._source.state_dict())
