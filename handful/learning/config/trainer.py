"""Everything of the learner that a user can choose. Its docstrings are the help of ``handful train``."""

from __future__ import annotations

import dataclasses
from typing import Literal

from handful.config import Config, Count, CountOrZero, Fraction, Positive
from handful.errors import ConfigurationError
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.distillation import DistillationConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.config.ppo import PPOConfig


@dataclasses.dataclass(frozen=True)
class TrainerConfig(Config):
    """Everything that a run's outcome depends on besides the environment and the demonstrations."""

    seed: CountOrZero = 0
    """Seed of the networks, the action noise, the minibatches and the environments."""
    algorithm: Literal["reinforcement", "distillation"] = "reinforcement"
    """What learns: ``reinforcement`` is PPO on the hybrid reward (paper), ``distillation`` copies a teacher."""
    imitation_weight: Fraction = 0.5
    """lambda of the hybrid reward (paper: 0.5; 0 is reinforcement learning alone, 1 is imitation alone)."""
    scale_task_reward: bool = False
    """Whether task rewards are divided by that of the best stage, so that every task pays 1 at best and weighs the same
    beside imitation (our choice)."""
    average_time: Positive | None = 150_000.0
    """Time constant of the running mean of the policy's weights, which is what is saved and evaluated [control steps];
    None saves the weights as they are (our choice).

    Block lifting at full randomisation, 320 episodes: 92% success by the mean of ten policies 30 s apart, 88% by the last of
    them."""
    rollout_steps: Count = 48
    """Length of a rollout and of back-propagation through time [control steps] (the paper's is believed to be 50; this is
    a multiple of the camera's usual periods)."""
    device: str = "cpu"
    """Where the networks live: ``cpu`` or ``cuda``."""
    policy: PolicyConfig = dataclasses.field(default_factory=PolicyConfig)
    """The policy's network."""
    value_function: ValueFunctionConfig = dataclasses.field(default_factory=ValueFunctionConfig)
    """The value function's network."""
    ppo: PPOConfig = dataclasses.field(default_factory=PPOConfig)
    """Policy optimisation."""
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    """The discriminator."""
    cloning: CloningConfig = dataclasses.field(default_factory=CloningConfig)
    """Behavioural cloning."""
    distillation: DistillationConfig = dataclasses.field(default_factory=DistillationConfig)
    """Learning from a teacher."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device != "cpu" and self.device.partition(":")[0] != "cuda":
            raise ConfigurationError(f"unknown device '{self.device}'; the choices are: cpu, cuda.")


def check_device(name: str) -> None:
    """Refuse a device of the networks that this machine does not have, by a `ConfigurationError`."""
    if name == "cpu":
        return
    import torch  # which takes seconds

    here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if name not in here and not (name == "cuda" and len(here) > 1):
        raise ConfigurationError(f"the device '{name}' is not there; the choices here are: {', '.join(here)}.")
