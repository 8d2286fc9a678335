"""Proximal policy optimisation over sequences, with the adaptive KL penalty or with clipping."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from handful.environment import StateTree
from handful.errors import TrainingError
from handful.learning.algorithms.policy_loss import LossTerm, OutputTerm, policy_loss
from handful.learning.config.ppo import PPOConfig
from handful.learning.data.advantage import standardized
from handful.learning.data.rollout import Rollout
from handful.learning.models.policy import Policy
from handful.learning.models.value_function import ValueFunction
from handful.learning.parallel import ParallelGradient
from handful.learning.persistence.tensor_state import load_module, load_optimizer, module_state, optimizer_state
from handful.profiling import span
from handful.workers import Workers

KL_WEIGHT_RANGE = (1e-4, 1e4)
"""Bounds of the penalty's weight (our choice): without them it would underflow where the policy does not change."""


def adapted_kl_weight(kl_weight: float, *, kl: float, kl_target: float) -> float:
    """Twice the weight if KL > 1.5 target, half if KL < target / 1.5 (Schulman et al. 2017, section 4)."""
    if kl > 1.5 * kl_target:
        kl_weight *= 2
    elif kl < kl_target / 1.5:
        kl_weight /= 2
    return min(max(kl_weight, KL_WEIGHT_RANGE[0]), KL_WEIGHT_RANGE[1])


def steered_learning_rate(rate: float, *, kl: float, config: PPOConfig) -> float:
    """A learning rate that follows the KL of a minibatch before its own step, see `PPOConfig.learning_rate_control`."""
    low, high = config.learning_rate_range
    if kl > 2.0 * config.kl_target:
        return max(low, rate / 1.5)
    return min(high, rate * 1.5) if kl < 0.5 * config.kl_target else rate


def decay_after(steps: int, *, config: PPOConfig) -> float:
    """Factor on the policy's learning rate and KL target after some control steps: half with every half-life."""
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

        The generator draws the minibatches. ``workers`` compute the splits of a minibatch; None leaves them to the calling
        thread. No bit depends on it.
        """
        self.config = config
        self.policy = policy
        self.value_function = value_function
        self.generator = generator
        self.kl_weight = config.initial_kl_weight
        self.learning_rate = config.learning_rate
        # A GPU takes a minibatch whole; splits are for the cores of a CPU.
        self.num_splits = config.num_splits if policy.log_std.device.type == "cpu" else 1
        self._gradient = ParallelGradient(policy, num_splits=self.num_splits, workers=workers or Workers(1))
        self.policy_optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)
        self.value_optimizer = torch.optim.Adam(value_function.parameters(), lr=config.value_learning_rate, fused=True)

    def update(
        self,
        rollout: Rollout,
        *,
        advantage: Float[Tensor, "time env"],
        value_target: Float[Tensor, "time env stream"],
        steps: int = 0,
        terms: Sequence[LossTerm] = (),
        output_terms: Sequence[OutputTerm] = (),
        freeze_policy: bool = False,
        learning_rate_scale: float = 1.0,
    ) -> dict[str, float]:
        """Epochs of minibatches over one rollout.

        Args:
            rollout: What happened.
            advantage: A of each step.
            value_target: What V should have said before each step.
            steps: Control steps of the run so far, by which learning rate and KL target fall.
            terms: Extra terms of the policy's loss, on data of their own.
            output_terms: Extra terms on the policy's output at the rollout's steps.
            freeze_policy: Whether only the value function learns.
            learning_rate_scale: Factor on a learning rate that the KL does not steer.

        Returns metrics. ``kl`` is the mean over the last epoch, each minibatch just before its own step; the weight of the
        penalty adapts to it.

        Raises:
            TrainingError: a loss or a gradient is not finite; the parameters may already have changed.
        """
        config = self.config
        steered = config.learning_rate_control == "kl"
        decay = 1.0 if steered else decay_after(steps, config=config)
        kl_target = config.kl_target * decay
        self._set_learning_rate(self.learning_rate if steered else config.learning_rate * decay * learning_rate_scale)
        stages = rollout.stage if config.advantage_scale == "stage" else torch.zeros_like(rollout.stage)
        advantage = standardized(advantage, stages, floor=config.minimum_stage_scale)
        if self.policy.sees_pixels and rollout.sequences.frame_positions is not None:
            self.policy.position_normalizer.update(rollout.sequences.frame_positions)
        self.value_function.return_normalizer.update(value_target)

        minibatches, num_epochs, kl = [], 0, 0.0
        for _ in range(config.epochs):
            epoch, num_epochs = [], num_epochs + 1
            permutation = torch.randperm(rollout.num_envs, generator=self.generator).to(advantage.device)
            for envs in permutation.chunk(config.num_minibatches):
                metrics = {}
                if not freeze_policy:
                    with span("policy"):
                        metrics = self._step_policy(rollout, envs, advantage, terms, output_terms)
                with span("value"):
                    metrics |= self._step_value(rollout, envs, value_target[:, envs])
                epoch.append(metrics)
            minibatches += epoch
            kl = 0.0 if freeze_policy else _mean(epoch)["kl"]
            if config.kl_stop_factor is not None and kl > config.kl_stop_factor * kl_target:
                break

        metrics = _mean(minibatches)
        if freeze_policy:
            return metrics
        learning_rate = self.policy_optimizer.param_groups[0]["lr"]
        metrics |= {"kl": kl, "kl_weight": self.kl_weight, "epochs": float(num_epochs), "learning_rate": learning_rate}
        if config.objective == "kl":
            self.kl_weight = adapted_kl_weight(self.kl_weight, kl=kl, kl_target=kl_target)
        return metrics

    def _step_policy(
        self,
        rollout: Rollout,
        envs: Tensor,
        advantage: Tensor,
        terms: Sequence[LossTerm],
        output_terms: Sequence[OutputTerm],
    ) -> dict[str, float]:
        """One gradient step on the sequences of the simulations ``envs``; returns metrics."""
        splits = [
            _Split(
                *(rollout, part, advantage, len(part) / len(envs)),
                terms=[(term, term.draw(self.generator)) for term in terms],
                output_terms=output_terms,
            )
            for part in envs.chunk(self.num_splits)
        ]
        parts = self._gradient.accumulate(self._policy_gradient, splits)
        sums = {name: sum(part[name] for part in parts) for name in parts[0]}
        if self.config.learning_rate_control == "kl":
            self.learning_rate = steered_learning_rate(self.learning_rate, kl=sums["kl"], config=self.config)
            self._set_learning_rate(self.learning_rate)
        norm = self._descend(self.policy_optimizer, sums["policy_loss"], "policy")
        if self.config.minimum_log_std is not None:
            with torch.no_grad():
                self.policy.log_std.clamp_(min=self.config.minimum_log_std)
        return {**sums, "policy_gradient_norm": norm}

    def _policy_gradient(self, policy: Policy, split: _Split) -> dict[str, float]:
        """Leave the weighted gradient of one split in a replica of the policy; returns its weighted metrics."""
        with span("select"):
            batch, advantage = split.rollout.select(split.envs), split.advantage[:, split.envs]
        with span("forward"):
            options = {"config": self.config, "kl_weight": self.kl_weight, "terms": split.output_terms}
            loss = policy_loss(policy, batch, advantage, **options)
        with span("backward"):
            (split.weight * loss.total).backward()
        values = {
            "policy_loss": loss.total.detach(),
            "clip_fraction": ((loss.ratio.detach() - 1).abs() > self.config.clip_range).float().mean(),
            "kl": loss.kl.detach(),
            **{name: value.detach() for name, value in loss.terms.items()},
        }
        if policy.sees_pixels:
            values["auxiliary_loss"] = loss.auxiliary.detach()
        for term, data in split.terms:
            with span(term.name):
                value = term.loss(policy, data)
                (split.weight * term.weight * value).backward()
            values[term.name] = value.detach()
        # All at once, since each number asked of a GPU waits for all that it was told before.
        numbers = torch.stack(list(values.values())).tolist()
        return {name: split.weight * number for name, number in zip(values, numbers, strict=True)}

    def _step_value(self, rollout: Rollout, envs: Tensor, target: Tensor) -> dict[str, float]:
        """One gradient step of the value function; returns metrics."""
        batch = rollout.sequences.select(envs, with_frames=self.value_function.sees_pixels)
        with span("forward"):
            scaled = self.value_function.return_normalizer(target)
            loss = (self.value_function.normalized(batch) - scaled).square().mean()
        self.value_optimizer.zero_grad(set_to_none=True)
        with span("backward"):
            loss.backward()
        value_loss = float(loss.detach())
        norm = self._descend(self.value_optimizer, value_loss, "value function")
        return {"value_loss": value_loss, "value_gradient_norm": norm}

    def _set_learning_rate(self, rate: float) -> None:
        for group in self.policy_optimizer.param_groups:
            group["lr"] = rate

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
            "learning_rate": self.learning_rate,
        }

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken."""
        load_module(self.policy, state["policy"])
        load_optimizer(self.policy_optimizer, state["policy_optimizer"])
        self.load_value_function(state)
        self.kl_weight = state["kl_weight"]
        self.learning_rate = state["learning_rate"]

    def restart_learning_rate(self) -> None:
        """Begin with the configuration's learning rate again, wherever the KL has steered it to."""
        self.learning_rate = self.config.learning_rate

    def load_value_function(self, state: Any) -> None:
        """Take the value function and its optimiser alone from where ``state_dict`` was taken."""
        load_module(self.value_function, state["value_function"])
        load_optimizer(self.value_optimizer, state["value_optimizer"])


@dataclasses.dataclass(frozen=True)
class _Split:
    """A part of a minibatch, for one thread."""

    rollout: Rollout
    envs: Tensor
    advantage: Tensor
    weight: float
    """Its part of the minibatch's simulations."""
    terms: list[tuple[LossTerm, Any]]
    """Extra terms with the data drawn for them."""
    output_terms: Sequence[OutputTerm]
    """Extra terms on the policy's output."""


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means of numbers by name."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
