"""Options of adversarial imitation."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from msgspec import Meta

from handful.config import Bound, Config, Count, CountOrZero, NonNegative, Positive
from handful.environment import OBJECT_FEATURES
from handful.learning.config.models import Width


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig(Config):
    """The discriminator and its training."""

    groups: tuple[str, ...] = (OBJECT_FEATURES,)
    """Observation groups that it reads: object features alone (paper). With proprioception it sees the arm as well, the
    ablation "no discriminator mask" of the paper's Fig. 5."""
    use_actions: bool = False
    """Whether it sees the actions as well (paper: optional, off)."""
    hidden_sizes: tuple[Width, ...] = (100, 64)
    """Hidden layers (believed to be the paper's)."""
    learning_rate: Positive = 3e-4
    """Adam's learning rate (our choice; the paper's is believed to be 1e-4 for batches of 256 whole episodes)."""
    gradient_penalty: NonNegative = 0.1
    """Weight of the penalty on the gradient at expert samples (our choice); 0 switches it off."""
    penalty_at: Literal["expert", "between"] = "expert"
    """Where the gradient is penalised: at expert samples (Mescheder et al. 2018), or on lines between expert and policy
    samples, towards zero (Gulrajani et al. 2017, with a target of 0)."""
    solved_reward: NonNegative = 0.0
    """Least imitation reward of a solved state (our choice).

    Demonstrations end soon after success while policies run on to the horizon, so a good discriminator calls solved states
    the policy's and would pay for not finishing."""
    updates_per_iteration: Count = 5
    """Gradient steps in each iteration (believed to be the paper's)."""
    batch_size: Annotated[int, Meta(ge=2)] = 512
    """Samples of the expert, and as many of the policy, in each gradient step (our choice)."""
    reward_clip: Bound = 10.0
    """Upper bound on the imitation reward (paper)."""
    replay_size: CountOrZero = 0
    """Size of the replay buffer of old policy samples, from which half of each policy batch is drawn (Peng et al. 2021,
    "AMP"); 0: none."""
