"""The value function, which by default sees the physical state."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from handful.environment import EnvironmentSpec
from handful.learning.config.models import ValueFunctionConfig
from handful.learning.models.layers import encode, image_encoder, mlp
from handful.learning.models.normalization import RunningNormalizer
from handful.learning.models.policy import image_shape, join_groups, vector_size
from handful.sequences import Sequences


class ValueFunction(nn.Module):
    """V(s) of each stream of reward, with no weights of the policy's (paper, section III-B).

    The network speaks in standard deviations of the returns seen so far; ``forward`` gives V in units of reward.
    """

    def __init__(self, config: ValueFunctionConfig, spec: EnvironmentSpec, *, seed: int, num_streams: int = 1) -> None:
        """Draw the weights from ``seed``; the global generator is left as it was."""
        super().__init__()
        self.config = config
        image, size = image_shape(spec, config.groups), vector_size(spec, config.groups)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = image_encoder(image, config.image_features) if image else None
            inputs = size + (config.image_features if image else 0)
            self.network = mlp(inputs, config.hidden_sizes, num_streams, activation=config.activation)
        self.state_normalizer = RunningNormalizer(size)
        memory = config.return_memory or float("inf")
        self.return_normalizer = RunningNormalizer(num_streams, clip=float("inf"), memory=memory)

    @property
    def sees_pixels(self) -> bool:
        """Whether it reads images."""
        return self.encoder is not None

    def forward(self, sequences: Sequences) -> Float[Tensor, "time sequence stream"]:
        """V before each action, in units of reward."""
        return self.return_normalizer.inverse(self.normalized(sequences))

    def after(self, sequences: Sequences) -> Float[Tensor, "time sequence stream"]:
        """V after each action, of the final observation where an episode ended, in units of reward."""
        value = self._normalized(sequences, sequences.outcomes, sequences.outcome_frame_index)
        return self.return_normalizer.inverse(value)

    def normalized(self, sequences: Sequences) -> Float[Tensor, "time sequence stream"]:
        """V before each action in standard deviations of the returns, about their mean."""
        return self._normalized(sequences, sequences.vectors, sequences.frame_index)

    def observe(self, sequences: Sequences) -> None:
        """Take the vectors before each action into the statistics of the inputs."""
        self.state_normalizer.update(join_groups(sequences.vectors, self.config.groups)[sequences.mask])

    def _normalized(self, sequences: Sequences, vectors: Mapping[str, Tensor], index: Tensor | None) -> Tensor:
        inputs = self.state_normalizer(join_groups(vectors, self.config.groups))
        if self.encoder is not None:
            assert sequences.frames is not None and index is not None, "the value function sees pixels"
            inputs = torch.cat([F.embedding(index, encode(self.encoder, sequences.frames)), inputs], dim=-1)
        return self.network(inputs)
