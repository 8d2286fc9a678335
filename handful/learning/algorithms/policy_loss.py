"""The policy's loss on a minibatch: the surrogate objective, and extra terms that an algorithm may add to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from handful.learning.config.ppo import PPOConfig
from handful.learning.data.rollout import Rollout
from handful.learning.models import gaussian
from handful.learning.models.policy import Policy, SequenceOutput


class LossTerm(Protocol):
    """An extra term of the policy's loss, on data of its own."""

    name: str
    """The metric under which its value is reported, before it is weighted."""
    weight: float
    """Its weight in the loss."""

    def draw(self, generator: torch.Generator) -> Any:
        """Draw the data of one gradient; the generator is on the CPU."""
        ...

    def loss(self, policy: Policy, data: Any) -> Float[Tensor, ""]:
        """The term on data that `draw` gave."""
        ...


class OutputTerm(Protocol):
    """An extra term of the policy's loss, on what it says of the minibatch itself."""

    name: str
    """The metric under which its value is reported, before it is weighted."""
    weight: float
    """Its weight in the loss."""

    def loss(self, output: SequenceOutput, batch: Rollout) -> Float[Tensor, ""]:
        """The term, given the policy's output at every step of the minibatch."""
        ...


@dataclasses.dataclass(frozen=True)
class PolicyLoss:
    """The loss on one minibatch, and its parts."""

    total: Float[Tensor, ""]
    """What is descended."""
    kl: Float[Tensor, ""]
    """Mean KL(old || new) [nat]."""
    ratio: Float[Tensor, "time env"]
    """pi_new(a) / pi_old(a)."""
    auxiliary: Float[Tensor, ""]
    """Mean squared error of the predicted positions [square standard deviations]; 0 without pixels."""
    terms: dict[str, Float[Tensor, ""]] = dataclasses.field(default_factory=dict)
    """Values of the extra terms, by name."""


def policy_loss(
    policy: Policy,
    batch: Rollout,
    advantage: Float[Tensor, "time env"],
    *,
    config: PPOConfig,
    kl_weight: float,
    terms: Sequence[OutputTerm] = (),
) -> PolicyLoss:
    """The surrogate objective, negated.

        L_kl   = -E[ratio A] + beta E[KL(old || new)]
        L_clip = -E[min(ratio A, clip(ratio, 1 - eps, 1 + eps) A)]

    less the entropy bonus, plus the auxiliary error of the predicted object positions (paper, section III-B), plus the
    squared excess of |mean| over 1, plus ``terms``.
    """
    output = policy.evaluate_sequence(batch.sequences)
    new = gaussian.log_prob(batch.action, mean=output.mean, log_std=output.log_std)
    old = gaussian.log_prob(batch.action, mean=batch.mean, log_std=batch.log_std)
    ratio = torch.exp(new - old)
    kl = gaussian.kl_divergence(
        old_mean=batch.mean, old_log_std=batch.log_std, mean=output.mean, log_std=output.log_std
    ).mean()
    if config.objective == "kl":
        objective = (ratio * advantage).mean() - kl_weight * kl
    else:
        clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
        objective = torch.minimum(ratio * advantage, clipped * advantage).mean()
    total = -objective - config.entropy_weight * gaussian.entropy(output.log_std)
    if config.mean_bound_weight > 0:
        total = total + config.mean_bound_weight * (output.mean.abs() - 1).clamp(min=0).square().sum(dim=-1).mean()
    auxiliary = torch.zeros_like(kl)
    if output.object_positions is not None:
        assert batch.sequences.frame_positions is not None
        targets = policy.position_normalizer(batch.sequences.frame_positions)
        auxiliary = (output.object_positions - targets).square().mean()
        if config.auxiliary_weight > 0:
            total = total + config.auxiliary_weight * auxiliary
    values = {}
    for term in terms:
        value = term.loss(output, batch)
        total, values[term.name] = total + term.weight * value, value
    return PolicyLoss(total=total, kl=kl, ratio=ratio, auxiliary=auxiliary, terms=values)
