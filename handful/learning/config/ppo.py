"""Options of policy optimisation."""

from __future__ import annotations

import dataclasses
from typing import Literal

from handful.config import Bound, Config, Count, Fraction, NonNegative, Positive
from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class PPOConfig(Config):
    """Policy optimisation."""

    objective: Literal["kl", "clip"] = "kl"
    """Adaptive KL penalty (paper), or the clipped ratio of Schulman et al. 2017."""
    discount: Fraction = 0.98
    """gamma per control step (our choice: a horizon of 2.5 s; a shorter one pays for haste, which misses grasps)."""
    gae_lambda: Fraction = 0.95
    """lambda of GAE (our choice); 1 is the paper's K-step estimator."""
    epochs: Count = 4
    """Passes over each rollout (our choice; the paper's are believed to be 50 updates of a batch at a rate of 1e-4)."""
    num_minibatches: Count = 4
    """Groups of simulations, each with its whole sequences, that a pass is divided into (our choice)."""
    num_splits: Count = 2
    """Parts of a minibatch whose gradients are computed side by side on several cores, and summed. The bits of a run
    depend on it; a GPU always takes 1."""
    learning_rate_control: Literal["half-life", "kl"] = "half-life"
    """How the policy's learning rate changes: halved with every ``half_life``, or steered so that the KL of each gradient
    step stays near ``kl_target`` (divided by 1.5 above twice the target, multiplied by 1.5 below half of it, within
    ``learning_rate_range``), which goes on learning however long the run is (our choice)."""
    learning_rate_range: tuple[Positive, ...] = (1e-5, 2e-3)
    """Least and greatest learning rate where the KL steers it (our choice)."""
    learning_rate: Positive = 4e-4
    """Adam's learning rate for the policy (our choice; the paper's is believed to be 1e-4 with 50 updates)."""
    half_life: Positive | None = 700_000.0
    """Control steps after which the policy's learning rate and its KL target are halved, again and again; None keeps them.
    With constant ones block lifting stayed at 60% success at full randomisation, where a quarter of the rate, a third of
    the KL and twice the simulations reached 75% within 0.3 M more steps."""
    value_learning_rate: Positive = 1e-3
    """Adam's learning rate for the value function (believed to be the paper's)."""
    kl_target: Positive = 0.015
    """KL divergence that an update should make [nat] (our choice, usually 0.01 to 0.02)."""
    initial_kl_weight: NonNegative = 1.0
    """First weight of the KL penalty (our choice; it adapts by factors of 2)."""
    kl_stop_factor: Bound | None = 4.0
    """Passes end early once the KL of one exceeds this many targets (our choice); None goes through all."""
    clip_range: Positive = 0.2
    """Bound on |ratio - 1| of the clipped objective (Schulman et al. 2017)."""
    entropy_weight: NonNegative = 0.0
    """Weight of the entropy bonus (our choice)."""
    auxiliary_weight: NonNegative = 1.0
    """Weight of the squared error of the predicted object positions, in their standard deviations; 0 switches it off (our
    choice: block lifting's error fell from 1.8 to 1.4 cm within 0.3 M steps when the weight went from 0.1 to 1)."""
    minimum_stage_scale: Fraction = 0.0
    """Least deviation by which a stage's advantages are divided, as a fraction of the whole batch's: without a floor, the
    noise of a stage where nothing happens weighs as much as the signal of another (our choice)."""
    mean_bound_weight: NonNegative = 0.0
    """Weight of the squared excess of the mean's absolute value over 1: the environment clips actions, so that a mean
    beyond the limit has no gradient back (our choice)."""
    minimum_log_std: float | None = None
    """Least log standard deviation of an action; None: no bound."""
    advantage_scale: Literal["stage", "batch"] = "stage"
    """Over which steps advantages are scaled to mean 0 and deviation 1: those in the same stage of the task, or the whole
    batch. Late stages pay a hundred times what early ones do, and the errors of their values drown what is to be learned
    early (our choice)."""
    max_grad_norm: Bound = 0.5
    """Bound on the norm of each network's gradient (our choice)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs * self.num_minibatches < 2:
            raise ConfigurationError(
                "at least two gradient steps an update are needed, or the KL that the penalty adapts to is 0: got "
                f"{self.epochs} epochs of {self.num_minibatches} minibatches."
            )
