"""Everything of the learner that a user can choose. Its docstrings are the help of ``handful train``.

Numbers carry where they come from: the paper's text, what is recalled of its lost appendix, or ours.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class PolicyConfig:
    """Sizes of the policy network."""

    image_features: int = 128
    """Outputs of the CNN (recalled, unsure)."""
    proprioception_features: int = 64
    """Outputs of the one layer over proprioception (ours)."""
    hidden_size: int = 100
    """Units of the LSTM (recalled)."""
    recurrent: bool = True
    """Whether the core is an LSTM (paper); off, a linear layer of the same size stands in (the paper's ablation)."""
    initial_log_std: float = -1.0
    """Log standard deviation of every action at the start (recalled; -3 for clearing blocks)."""
    auxiliary_sizes: tuple[int, ...] = (200, 100)
    """Hidden layers of the head that predicts object positions from the image features (recalled, unsure)."""


@dataclasses.dataclass(frozen=True)
class PPOConfig:
    """Policy optimisation."""

    objective: Literal["kl", "clip"] = "kl"
    """Adaptive KL penalty (paper), or the clipped ratio beside it."""
    discount: float = 0.98
    """gamma per control step (ours: a horizon of 2.5 s; a shorter one pays for haste, which misses grasps)."""
    gae_lambda: float = 0.95
    """lambda of GAE (ours); 1 is the paper's K-step estimator."""
    epochs: int = 4
    """Passes over each rollout (ours; recalled: 50 updates in a batch, at a learning rate of 1e-4)."""
    num_minibatches: int = 4
    """Groups of simulations, each with its whole sequences, that a pass is cut into (ours)."""
    num_shares: int = 2
    """Parts of a minibatch whose gradients are computed side by side, where there are cores, and added up. The bits of a run
    depend on it; 1 on a GPU."""
    learning_rate: float = 4e-4
    """Adam step size of the policy (ours; recalled: 1e-4 with 50 updates)."""
    half_life: float | None = 700_000.0
    """Control steps after which the policy's step size and its KL target are halved, and halved again; None keeps them.
    With constant ones, block lifting stood still at 60% success in noisy worlds, where a quarter of the step size, a
    third of the KL and twice the simulations led on to 75% within 0.3 M steps (ours). Counted in steps and not in shares
    of a budget, so that a run which is stopped and goes on with a larger budget is the same run."""
    value_learning_rate: float = 1e-3
    """Adam step size of the value function (recalled, unsure)."""
    value_hidden_sizes: tuple[int, ...] = (128, 128)
    """Hidden layers of the value function (ours)."""
    kl_target: float = 0.015
    """KL divergence that an update should make [nat] (ours: 0.01 to 0.02)."""
    initial_kl_weight: float = 1.0
    """First weight of the KL penalty (ours; it adapts by factors of 2)."""
    kl_stop_factor: float | None = 4.0
    """Passes end early once the KL of one exceeds this many targets (ours); None goes through all."""
    clip_range: float = 0.2
    """Bound on |ratio - 1| of the clipped objective (Schulman et al. 2017)."""
    entropy_weight: float = 0.0
    """Weight of the entropy bonus (ours)."""
    auxiliary_weight: float = 1.0
    """Weight of the squared error of the predicted object positions, in their standard deviations; 0 switches it off (ours:
    block lifting's error fell from 1.8 to 1.4 cm within 0.3 M steps when the weight went from 0.1 to 1)."""
    advantage_scale: Literal["stage", "batch"] = "stage"
    """Over which steps advantages are scaled to mean 0 and deviation 1: over those in the same stage of the task, or over
    the whole batch. Late stages pay a hundred times what early ones do, and so do their errors of value, which drown what
    is to be learned early (ours)."""
    max_grad_norm: float = 0.5
    """Bound on the norm of each network's gradient (ours)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        if self.objective not in ("kl", "clip"):
            raise ConfigurationError(f"unknown objective '{self.objective}'; the choices are: kl, clip.")
        if self.advantage_scale not in ("stage", "batch"):
            raise ConfigurationError(
                f"unknown advantage scale '{self.advantage_scale}'; the choices are: stage, batch."
            )
        for name in ("discount", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")
        if self.half_life is not None and not self.half_life > 0:
            raise ConfigurationError(f"half_life must be above 0 control steps, got {self.half_life}.")
        if self.num_shares < 1:
            raise ConfigurationError(f"num_shares must be at least 1, got {self.num_shares}.")
        if self.epochs < 1 or self.num_minibatches < 1 or self.epochs * self.num_minibatches < 2:
            raise ConfigurationError(
                "at least two gradient steps an update are needed, or the KL that the penalty adapts to is 0: got "
                f"{self.epochs} epochs of {self.num_minibatches} minibatches."
            )


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator and its training."""

    hidden_sizes: tuple[int, ...] = (100, 64)
    """Hidden layers (recalled)."""
    use_actions: bool = False
    """Whether it sees the actions beside the object features (paper: optional, off)."""
    learning_rate: float = 3e-4
    """Adam step size (ours; recalled: 1e-4 for batches of 256 whole episodes)."""
    gradient_penalty: float = 0.1
    """Weight of the penalty on the gradient at expert samples (ours; 0 switches it off)."""
    updates_per_iteration: int = 5
    """Gradient steps in each iteration (recalled, unsure)."""
    batch_size: int = 512
    """Samples of the expert, and as many of the policy, in each gradient step (ours)."""
    reward_clip: float = 10.0
    """Upper bound on the imitation reward (paper)."""
    replay_size: int = 0
    """Old policy samples kept; half of each policy batch is drawn from them (Peng et al. 2021, "AMP"). 0: none."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        if self.updates_per_iteration < 1 or self.batch_size < 2 or self.replay_size < 0:
            raise ConfigurationError(
                "the discriminator needs at least one update per iteration, a batch of at least 2 and a replay of at "
                f"least 0 samples, got {self.updates_per_iteration}, {self.batch_size} and {self.replay_size}."
            )


@dataclasses.dataclass(frozen=True)
class CloningConfig:
    """Behavioural cloning: before the first rollout, and as a term of the policy's loss from then on.

    A run whose imitation weight is 0 learns by reinforcement alone, and clones nothing.
    """

    epochs: int | None = None
    """Passes over the demonstrations; 0 begins with a policy that moves at random (paper). None: 200, less than a minute,
    for tasks that are not begun otherwise (pouring, order-fulfillment), and 0 for the others."""
    learning_rate: float = 1e-3
    """Adam step size at first; it falls along a cosine (ours)."""
    episodes_per_batch: int = 8
    """Whole episodes in each gradient step (ours)."""
    auxiliary_weight: float = 0.3
    """Weight of the squared error of the predicted object positions, in their standard deviations (ours)."""
    image_shift: int = 2
    """Images are shifted at random by at most this much [px] (Yarats et al. 2021: 4 of 84)."""
    max_grad_norm: float = 1.0
    """Bound on the norm of the gradient (ours)."""
    minimum_log_std: float = -2.0
    """Least log standard deviation of an action after cloning (ours): of the cloned pouring policy 66% of the episodes
    grasped the mug without noise, 28% with a deviation of 0.14, 3% with the 0.37 of a policy that was not cloned."""
    step_scale: float = 0.1
    """What a cloned policy's step size is, of the one that PPO is given (ours): its deviations are a third of the others',
    and the KL divergence of a step goes with their inverse square."""
    weight: float = 0.1
    """Weight of the demonstrations' likelihood beside PPO's objective, as if their advantage were this (Rajeswaran et al.
    2018, "DAPG"); 0 leaves them to the beginning. Without, a cloned pouring policy forgot how to approach the mug while it
    learned to pour (ours)."""
    half_life: float | None = 300_000.0
    """Control steps after which that weight is halved, and halved again; None keeps it (ours)."""
    num_pieces: int = 4
    """Pieces of demonstrations, as long as a rollout, for that term in each share of a minibatch (ours: with 64 simulations,
    half as many steps again to go through)."""
    warmup_steps: int = 30_000
    """Control steps after cloning over which the value function and the discriminator learn and the policy stands still,
    so that it does not follow values that mean nothing yet (ours)."""


@dataclasses.dataclass(frozen=True)
class TrainerConfig:
    """Everything that a run's outcome depends on beside the environment and the demonstrations."""

    seed: int = 0
    """Seed of the networks, the action noise, the minibatches and the environments."""
    imitation_weight: float = 0.5
    """lambda of the hybrid reward (paper: 0.5; 0 is reinforcement learning alone, 1 is imitation alone)."""
    average_time: float | None = 150_000.0
    """Time constant of the running mean of the policy's weights, which is what is saved and evaluated [control steps]; None
    saves the weights as they are. Block lifting at full randomisation, 320 episodes: 92% success by the mean of ten
    policies 30 s apart, 88% by the last of them (ours)."""
    rollout_steps: int = 48
    """Length of a rollout and of back-propagation through time [control steps] (recalled, unsure: 50; here a multiple
    of the camera's usual periods)."""
    device: str = "cpu"
    """Where the networks live: ``cpu`` or ``cuda``."""
    policy: PolicyConfig = dataclasses.field(default_factory=PolicyConfig)
    """The policy's network."""
    ppo: PPOConfig = dataclasses.field(default_factory=PPOConfig)
    """Policy optimisation."""
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    """The discriminator."""
    cloning: CloningConfig = dataclasses.field(default_factory=CloningConfig)
    """Behavioural cloning."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        if not 0.0 <= self.imitation_weight <= 1.0:
            raise ConfigurationError(
                f"the imitation weight (lambda) must lie in [0, 1], got {self.imitation_weight}: 0 is reinforcement "
                "learning alone, 1 is imitation alone."
            )
        if self.average_time is not None and not self.average_time > 0:
            raise ConfigurationError(f"average_time must be above 0 control steps, got {self.average_time}.")
        if self.rollout_steps < 1:
            raise ConfigurationError(f"rollout_steps must be at least 1, got {self.rollout_steps}.")
