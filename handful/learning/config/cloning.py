"""Options of behavioural cloning."""

from __future__ import annotations

import dataclasses

from handful.config import Bound, Config, Count, CountOrZero, NonNegative, Positive


@dataclasses.dataclass(frozen=True)
class CloningConfig(Config):
    """Behavioural cloning: before the first rollout, and as a term of the policy's loss from then on."""

    epochs: CountOrZero = 0
    """Passes over the demonstrations before the first rollout; 0 begins with a policy that moves at random (paper)."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate at first; it falls along a cosine (our choice)."""
    episodes_per_batch: Count = 8
    """Whole episodes in each gradient step (our choice)."""
    auxiliary_weight: NonNegative = 0.3
    """Weight of the squared error of the predicted object positions, in their standard deviations (our choice)."""
    image_shift: CountOrZero = 2
    """Images are shifted at random by at most this much [px] (Yarats et al. 2021: 4 of 84)."""
    max_grad_norm: Bound = 1.0
    """Bound on the norm of the gradient (our choice)."""
    minimum_log_std: float = -2.0
    """Least log standard deviation of an action after cloning (our choice).

    Of the cloned pouring policy 66% of the episodes grasped the mug without noise, 28% with a deviation of 0.14, 3% with the
    0.37 of a policy not cloned."""
    learning_rate_scale: Positive = 0.1
    """Factor on PPO's learning rate for a cloned policy (our choice).

    Its deviations are a third of the others', and the KL divergence of a step goes with their inverse square."""
    weight: NonNegative = 0.1
    """Weight of the error of demonstrated actions in the policy's loss, as if their advantage were this (Rajeswaran et al.
    2018, "DAPG"); 0 leaves them out.

    Without, a cloned pouring policy forgot how to approach the mug while it learned to pour."""
    half_life: Positive | None = 300_000.0
    """Control steps after which that weight is halved, again and again; None keeps it (our choice)."""
    num_segments: Count = 4
    """Segments of demonstrations, as long as a rollout, for that term in each split of a minibatch (our choice).

    With 64 simulations, these are half as many steps again."""
    warmup_steps: CountOrZero = 30_000
    """Control steps after cloning over which the value function and the discriminator learn while the policy is kept as it
    is (our choice).

    So it does not follow values that mean nothing yet."""
