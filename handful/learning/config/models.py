"""Sizes of the networks, and which observation groups they read."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from msgspec import Meta

from handful.config import Config, Positive
from handful.environment import PHYSICAL_STATE, POLICY_GROUPS, TIME_LEFT

Activation = Literal["relu", "elu"]

Width = Annotated[int, Meta(ge=1, le=8192)]
"""Units of a layer."""


@dataclasses.dataclass(frozen=True)
class PolicyConfig(Config):
    """The policy network: an image encoder and a layer over the other groups, a core, a Gaussian over actions."""

    groups: tuple[str, ...] = POLICY_GROUPS
    """Observation groups that the policy reads. A robot has pixels and proprioception (paper); a teacher in simulation
    may read physical_state."""
    image_features: Width = 128
    """Outputs of the image encoder. The paper's appendix is not public; this value is believed to be its own."""
    image_channels: tuple[Width, Width] = (16, 32)
    """Channels of the image encoder's two convolutions (believed to be the paper's). What more of them buy and cost,
    `benchmarks/perception.py` measures."""
    vector_sizes: tuple[Width, ...] = (64,)
    """Layers over the groups other than pixels, which are joined (our choice)."""
    hidden_size: Width = 100
    """Units of the core (believed to be the paper's)."""
    recurrent: bool = True
    """Whether the core is an LSTM (paper) or a linear layer of the same size (the paper's ablation)."""
    activation: Activation = "relu"
    """Between the layers over vectors, and after a core that is a linear layer."""
    initial_log_std: float = -1.0
    """Log standard deviation of every action at first (believed to be the paper's, with -3 for clearing-blocks)."""
    auxiliary_sizes: tuple[Width, ...] = (200, 100)
    """Hidden layers of the head that predicts object positions from the image features (believed to be the paper's)."""


@dataclasses.dataclass(frozen=True)
class ValueFunctionConfig(Config):
    """The value function's network, which shares no weight with the policy (paper)."""

    groups: tuple[str, ...] = (PHYSICAL_STATE, TIME_LEFT)
    """Observation groups that it reads: the physical state (paper) and the share of the episode that is left. pixels and
    proprioception instead are an ablation of the paper's Fig. 5."""
    hidden_sizes: tuple[Width, ...] = (128, 128)
    """Hidden layers (our choice)."""
    image_features: Width = 128
    """Outputs of the image encoder, where it reads pixels."""
    activation: Activation = "relu"
    """Between the layers."""
    separate_rewards: bool = False
    """Whether task and imitation reward have a value head each, with statistics of their own, and are mixed as advantages;
    otherwise there is one head for their mixture (paper)."""
    return_memory: Positive | None = None
    """Samples after which the statistics of the returns forget; None: never (our choice)."""
