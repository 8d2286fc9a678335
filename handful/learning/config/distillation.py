"""Options of distillation: a policy that learns to act as a teacher would."""

from __future__ import annotations

import dataclasses

from handful.config import Bound, Config, Count, CountOrZero, NonNegative, Positive


@dataclasses.dataclass(frozen=True)
class DistillationConfig(Config):
    """A student that acts by itself and learns what the teacher would have done (Ross et al. 2011, "DAgger")."""

    learning_rate: Positive = 1e-3
    """Adam's learning rate (our choice)."""
    half_life: Positive | None = None
    """Control steps after which the learning rate is halved, again and again; None keeps it."""
    buffer_size: Count = 12
    """Latest rollouts from which batches are drawn (our choice)."""
    updates_per_iteration: Count = 8
    """Gradient steps after each rollout (our choice)."""
    batch_size: Count = 32
    """Sequences in each gradient step, all of one rollout (our choice)."""
    num_splits: Count = 2
    """Parts of a batch whose gradients are computed side by side. The bits of a run depend on it."""
    auxiliary_weight: NonNegative = 0.3
    """Weight of the squared error of the predicted object positions, in their standard deviations (our choice)."""
    image_shift: CountOrZero = 0
    """Images are shifted at random by at most this much [px]; a shift by one is a centimetre and more on the table."""
    max_grad_norm: Bound = 1.0
    """Bound on the norm of the gradient (our choice)."""
    weight: NonNegative = 0.0
    """Weight of the same error in the loss of reinforcement, for a policy that has learned from a teacher and goes on by
    itself; 0 leaves it out."""
    weight_half_life: Positive | None = 300_000.0
    """Control steps after which that weight is halved, again and again; None keeps it (our choice)."""
