"""Proximal policy optimisation over sequences, with the adaptive KL penalty or with clipping."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from handful.environment import StateTree
from handful.errors import TrainingError
from handful.learning.algorithms.cloning import ExpertPieces, negative_log_likelihood
from handful.learning.config import PPOConfig
from handful.learning.data.advantage import standardized
from handful.learning.data.rollout import Rollout
from handful.learning.models import gaussian
from handful.learning.models.policy import Policy, ValueFunction
from handful.learning.parallel import SharedGradient
from handful.learning.persistence.tensor_state import load_module, load_optimizer, module_state, optimizer_state
from handful.profiling import span
from handful.workers import Workers

KL_WEIGHT_RANGE = (1e-4, 1e4)
"""Bounds of the penalty's weight (ours): without them it would underflow where the policy stands still."""


@dataclasses.dataclass(frozen=True)
class PolicyLoss:
    """Terms of the loss on one minibatch."""

    total: Float[Tensor, ""]
    """What is descended."""
    kl: Float[Tensor, ""]
    """Mean KL(old || new) [nat]."""
    ratio: Float[Tensor, "time env"]
    """pi_new(a) / pi_old(a)."""
    auxiliary: Float[Tensor, ""]
    """Mean squared error of the predicted positions [square standard deviations]."""


@dataclasses.dataclass(frozen=True)
class DemonstrationTerm:
    """A term of the policy's loss: the negative log-likelihood of demonstrated actions (Rajeswaran et al. 2018)."""

    pieces: ExpertPieces
    """What to draw from."""
    count: int
    """Pieces for each share of a minibatch."""
    weight: float
    """Weight of the term."""


def policy_loss(
    policy: Policy, batch: Rollout, advantage: Float[Tensor, "time env"], *, config: PPOConfig, kl_weight: float
) -> PolicyLoss:
    """The loss of a minibatch (Schulman et al. 2017, eq. 7 or 8).

        L_kl   = -E[ratio A] + beta E[KL(old || new)]
        L_clip = -E[min(ratio A, clip(ratio, 1 - eps, 1 + eps) A)]

    less the entropy bonus, plus the auxiliary error of the predicted object positions (paper, section III-B).
    """
    output = policy.evaluate_sequence(
        batch.frames, batch.frame_index, batch.proprioception, batch.initial_state, batch.episode_start
    )
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
    targets = policy.position_normalizer(batch.frame_positions)
    auxiliary = (output.object_positions - targets).square().mean()
    total = -objective - config.entropy_weight * gaussian.entropy(output.log_std)
    if config.auxiliary_weight > 0:
        total = total + config.auxiliary_weight * auxiliary
    return PolicyLoss(total=total, kl=kl, ratio=ratio, auxiliary=auxiliary)


def adapted_kl_weight(kl_weight: float, *, kl: float, kl_target: float) -> float:
    """Twice the weight if KL > 1.5 target, half if KL < target / 1.5 (Schulman et al. 2017, section 4)."""
    if kl > 1.5 * kl_target:
        kl_weight *= 2
    elif kl < kl_target / 1.5:
        kl_weight /= 2
    return min(max(kl_weight, KL_WEIGHT_RANGE[0]), KL_WEIGHT_RANGE[1])


def decay_after(steps: int, *, config: PPOConfig) -> float:
    """What is left of the policy's step size and KL target after a number of control steps: half with every half-life."""
    return 0.5 ** (steps / config.half_life) if config.half_life is not None else 1.0


class PPO:
    """Updates a policy and a value function, each with its own optimiser, from rollouts."""

    def __init__(
        self,
        config: PPOConfig,
        policy: Policy,
        value_function: ValueFunction,
        *,
        generator: torch.Generator,
        workers: Workers | None = None,
    ) -> None:
        """Begin with fresh optimisers.

        Args:
            config: The options.
            policy: The policy.
            value_function: The value function.
            generator: Draws the minibatches.
            workers: Who works on the shares of a minibatch; None leaves them to the calling thread. No bit depends on it.
        """
        self.config = config
        self.policy = policy
        self.value_function = value_function
        self.generator = generator
        self.kl_weight = config.initial_kl_weight
        # A GPU works on a minibatch whole; shares are for the cores of a CPU.
        self.num_shares = config.num_shares if policy.log_std.device.type == "cpu" else 1
        self._shares = SharedGradient(policy, num_shares=self.num_shares, workers=workers or Workers(1))
        self.policy_optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)
        self.value_optimizer = torch.optim.Adam(value_function.parameters(), lr=config.value_learning_rate, fused=True)

    def update(
        self,
        rollout: Rollout,
        *,
        advantage: Float[Tensor, "time env"],
        value_target: Float[Tensor, "time env"],
        steps: int = 0,
        policy_stands: bool = False,
        step_scale: float = 1.0,
        demonstrations: DemonstrationTerm | None = None,
    ) -> dict[str, float]:
        """Epochs of minibatches over one rollout.

        Args:
            rollout: What happened.
            advantage: A of each step.
            value_target: What V should have said before each step.
            steps: Control steps of the run so far, by which step size and KL target fall.
            policy_stands: Whether the value function learns alone.
            step_scale: What the policy's step size is multiplied with.
            demonstrations: What the policy shall not forget.

        Returns:
            Metrics. ``kl`` is the mean over the last epoch, each minibatch just before its own step; the weight of the
            penalty adapts to it.

        Raises:
            TrainingError: a loss or a gradient is not finite; the parameters may already have changed.
        """
        decay = decay_after(steps, config=self.config)
        kl_target = self.config.kl_target * decay
        for group in self.policy_optimizer.param_groups:
            group["lr"] = self.config.learning_rate * decay * step_scale
        groups = rollout.stage if self.config.advantage_scale == "stage" else torch.zeros_like(rollout.stage)
        advantage = standardized(advantage, groups)
        self.policy.position_normalizer.update(rollout.frame_positions)
        self.value_function.return_normalizer.update(value_target[..., None])
        totals = _Mean()
        kl, num_epochs = _Mean(), 0
        for _ in range(self.config.epochs):
            kl = _Mean()
            num_epochs += 1
            permutation = torch.randperm(rollout.num_envs, generator=self.generator)
            for envs in permutation.chunk(self.config.num_minibatches):
                envs = envs.to(advantage.device)
                if not policy_stands:
                    with span("policy"):
                        kl.add(kl=self._step_policy(rollout, envs, advantage, totals, demonstrations))
                with span("value"):
                    self._step_value(rollout.physical_state[:-1, envs], value_target[:, envs], totals)
            stop = self.config.kl_stop_factor
            if stop is not None and not policy_stands and kl.value("kl") > stop * kl_target:
                break
        if policy_stands:
            return totals.values()
        mean_kl = kl.value("kl")
        metrics = {**totals.values(), "kl": mean_kl, "kl_weight": self.kl_weight, "epochs": float(num_epochs)}
        if self.config.objective == "kl":
            self.kl_weight = adapted_kl_weight(self.kl_weight, kl=mean_kl, kl_target=kl_target)
        return metrics

    def _step_policy(
        self,
        rollout: Rollout,
        envs: Tensor,
        advantage: Tensor,
        totals: _Mean,
        demonstrations: DemonstrationTerm | None,
    ) -> float:
        """One step on the sequences of the simulations ``envs``; each share of them weighs as many as it holds."""

        def share_of_gradient(policy: Policy, drawn: tuple[Tensor, Any]) -> dict[str, float]:
            share, pieces = drawn
            weight = len(share) / len(envs)
            with span("select"):
                batch = rollout.select(share)
            with span("forward"):
                loss = policy_loss(policy, batch, advantage[:, share], config=self.config, kl_weight=self.kl_weight)
            with span("backward"):
                (weight * loss.total).backward()
            outside = ((loss.ratio.detach() - 1).abs() > self.config.clip_range).float().mean()
            terms = {
                "policy_loss": loss.total.detach(),
                "auxiliary_loss": loss.auxiliary.detach(),
                "clip_fraction": outside,
                "kl": loss.kl.detach(),
            }
            if demonstrations is not None:
                with span("demonstrations"):
                    unlikelihood = negative_log_likelihood(policy, *pieces)
                    (weight * demonstrations.weight * unlikelihood).backward()
                terms["demonstration_loss"] = unlikelihood.detach()
            # In one go, since whoever asks a GPU for a number waits for all that it was told before.
            numbers = torch.stack(list(terms.values())).tolist()
            return {name: weight * number for name, number in zip(terms, numbers, strict=True)}

        shares = [
            (share, demonstrations and demonstrations.pieces.draw(demonstrations.count, generator=self.generator))
            for share in envs.chunk(self.num_shares)
        ]
        parts = self._shares.accumulate(share_of_gradient, shares)
        sums = {name: sum(part[name] for part in parts) for name in parts[0]}
        kl = sums.pop("kl")
        norm = self._descend(self.policy_optimizer, sums["policy_loss"], "policy")
        totals.add(**sums, policy_gradient_norm=norm)
        return kl

    def _step_value(self, physical_state: Tensor, target: Tensor, totals: _Mean) -> None:
        with span("forward"):
            scaled = self.value_function.return_normalizer(target[..., None])[..., 0]
            loss = (self.value_function.normalized(physical_state) - scaled).square().mean()
        self.value_optimizer.zero_grad(set_to_none=True)
        with span("backward"):
            loss.backward()
        value_loss = float(loss.detach())
        norm = self._descend(self.value_optimizer, value_loss, "value function")
        totals.add(value_loss=value_loss, value_gradient_norm=norm)

    def _descend(self, optimizer: torch.optim.Optimizer, loss: float, name: str) -> float:
        """Take a step along the gradients that lie in the parameters; returns their norm."""
        parameters = optimizer.param_groups[0]["params"]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        if not (math.isfinite(norm) and math.isfinite(loss)):
            raise TrainingError(
                f"the loss of the {name} is {loss} and the norm of its gradient {norm}: both must be finite."
            )
        with span("adam"):
            optimizer.step()
        return norm

    def state_dict(self) -> StateTree:
        """Networks with their normalisers, optimisers, weight of the KL penalty. The generator is its owner's."""
        return {
            "policy": module_state(self.policy),
            "value_function": module_state(self.value_function),
            "policy_optimizer": optimizer_state(self.policy_optimizer),
            "value_optimizer": optimizer_state(self.value_optimizer),
            "kl_weight": self.kl_weight,
        }

    def load_state_dict(self, state: Any) -> None:
        """Go on where ``state_dict`` was taken."""
        load_module(self.policy, state["policy"])
        load_module(self.value_function, state["value_function"])
        load_optimizer(self.policy_optimizer, state["policy_optimizer"])
        load_optimizer(self.value_optimizer, state["value_optimizer"])
        self.kl_weight = state["kl_weight"]


class _Mean:
    """Means of named numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[float]] = {}

    def add(self, **numbers: float) -> None:
        for name, number in numbers.items():
            self._numbers.setdefault(name, []).append(number)

    def value(self, name: str) -> float:
        return float(np.mean(self._numbers[name]))

    def values(self) -> dict[str, float]:
        return {name: self.value(name) for name in self._numbers}
