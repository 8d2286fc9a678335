"""The policy: by default it sees pixels and proprioception, and remembers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from handful.environment import OBJECT_POSITIONS, PIXELS, EnvironmentSpec
from handful.errors import unknown_name
from handful.learning.config.models import PolicyConfig
from handful.learning.models.layers import activation_layer, encode, hidden_layers, image_encoder, mlp
from handful.learning.models.lstm import ResettableLSTM
from handful.learning.models.normalization import RunningNormalizer
from handful.sequences import RecurrentState, Sequences


@dataclasses.dataclass(frozen=True)
class PolicySizes:
    """Sizes of the policy's inputs and outputs."""

    image: tuple[int, int, int] | None
    """Height, width, channels [px]; None where the policy sees no pixels."""
    vector: int
    """Entries of the other groups that it sees, joined."""
    action: int
    """Entries of the action."""
    object_positions: int
    """Entries that the auxiliary head predicts [m]; 0 where the policy sees no pixels."""

    @classmethod
    def of(cls, spec: EnvironmentSpec, config: PolicyConfig) -> PolicySizes:
        """Sizes for an environment."""
        image = image_shape(spec, config.groups)
        return cls(
            image=image,
            vector=vector_size(spec, config.groups),
            action=spec.action.shape[0],
            object_positions=spec.observations[OBJECT_POSITIONS].shape[0] if image else 0,
        )


@dataclasses.dataclass
class SequenceOutput:
    """What the policy says of a batch of sequences."""

    mean: Float[Tensor, "time env action"]
    """Means of the actions."""
    log_std: Float[Tensor, " action"]
    """Log standard deviations, the same for all."""
    object_positions: Float[Tensor, "frame coordinate"] | None
    """Predicted object positions per frame [standard deviations], see ``Policy.position_normalizer``; None without
    pixels."""


class Policy(nn.Module):
    """pi(a | observations, history): image encoder and layers over vectors, LSTM, Gaussian (paper, section III-A, Fig. 2).

    The camera is slower than control, so images are encoded apart (``encode``) and their features are held until the next
    image. ``act`` advances many simulations by one step, ``evaluate_sequence`` goes over whole rollouts; both compute the
    same function.
    """

    def __init__(self, config: PolicyConfig, sizes: PolicySizes, *, seed: int) -> None:
        """Draw the weights from ``seed``; the global generator is left as it was."""
        super().__init__()
        self.config = config
        self.sizes = sizes
        vector_sizes = config.vector_sizes if sizes.vector else ()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = (
                image_encoder(sizes.image, config.image_features, channels=config.image_channels)
                if sizes.image
                else None
            )
            self.vector_layers = hidden_layers(sizes.vector, vector_sizes, activation=config.activation)
            core_size = (sizes.vector, *vector_sizes)[-1] + (config.image_features if sizes.image else 0)
            core = ResettableLSTM if config.recurrent else nn.Linear
            self.core: ResettableLSTM | nn.Linear = core(core_size, config.hidden_size)
            self.activation = activation_layer(config.activation)
            self.mean_layer = nn.Linear(config.hidden_size, sizes.action)
            nn.init.orthogonal_(self.mean_layer.weight, gain=0.01)
            nn.init.zeros_(self.mean_layer.bias)
            if sizes.image:
                self.auxiliary_head = mlp(config.image_features, config.auxiliary_sizes, sizes.object_positions)
        self.log_std = nn.Parameter(torch.full((sizes.action,), config.initial_log_std))
        self.vector_normalizer = RunningNormalizer(sizes.vector)
        # A floor of 1 cm: a coordinate that hardly moves must not weigh as much as one that does.
        self.position_normalizer = RunningNormalizer(sizes.object_positions, minimum_std=0.01)

    @property
    def sees_pixels(self) -> bool:
        """Whether it reads images."""
        return self.encoder is not None

    def initial_state(self, num_envs: int) -> RecurrentState:
        """The state at the start of an episode: zeros."""
        zeros = self.log_std.new_zeros(num_envs, self.config.hidden_size)
        return zeros, zeros.clone()

    def join(self, vectors: Mapping[str, Tensor]) -> Float[Tensor, "*batch vector"]:
        """The vector groups that the policy reads, joined in the order of its configuration."""
        return join_groups(vectors, self.config.groups)

    def encode(self, images: UInt8[Tensor, "frame height width channel"]) -> Float[Tensor, "frame feature"]:
        """Image features."""
        assert self.encoder is not None, "the policy sees no pixels"
        return encode(self.encoder, images)

    def act(
        self,
        features: Float[Tensor, "env feature"] | None,
        vector: Float[Tensor, "env vector"],
        state: RecurrentState,
        episode_start: Bool[Tensor, " env"],
    ) -> tuple[Float[Tensor, "env action"], RecurrentState]:
        """One control step of many simulations: mean of the action, and the new state.

        Features are of the last image, None for a policy without pixels; the vector is what `join` gives. Where an episode
        begins with this observation, the state is zeroed first.
        """
        inputs = self._core_inputs(features, vector)
        if isinstance(self.core, ResettableLSTM):
            hidden, state = self.core.step(inputs, state, episode_start)
        else:
            hidden = self.activation(self.core(inputs))
        return self.mean_layer(hidden), state

    def evaluate_sequence(self, sequences: Sequences) -> SequenceOutput:
        """Whole sequences at once, for training."""
        features, inputs = self._sequence_inputs(sequences)
        if isinstance(self.core, ResettableLSTM):
            state = sequences.initial_state or self.initial_state(sequences.num_sequences)
            hidden = self.core.run(inputs, state, sequences.episode_start)
        else:
            hidden = self.activation(self.core(inputs))
        return SequenceOutput(
            mean=self.mean_layer(hidden),
            log_std=self.log_std,
            object_positions=None if features is None else self.auxiliary_head(features),
        )

    @torch.no_grad()
    def position_error(self, sequences: Sequences, *, num_frames: int) -> float:
        """Root mean squared error of a predicted coordinate [m], on a sample of about so many frames."""
        frames, positions = sequences.frames, sequences.frame_positions
        assert frames is not None and positions is not None
        stride = max(1, len(frames) // num_frames)
        predicted = self.auxiliary_head(self.encode(frames[::stride]))
        error = self.position_normalizer.inverse(predicted) - positions[::stride]
        return float(error.square().mean().sqrt())

    def final_state(self, sequences: Sequences) -> RecurrentState:
        """The state after whole sequences in which no episode begins after the first step."""
        state = sequences.initial_state or self.initial_state(sequences.num_sequences)
        if not isinstance(self.core, ResettableLSTM):
            return state
        return self.core.final_state(self._sequence_inputs(sequences)[1], state)

    def _sequence_inputs(self, sequences: Sequences) -> tuple[Tensor | None, Tensor]:
        """Features of the frames, and the core's inputs at every step."""
        vector = self.join(sequences.vectors)
        if not self.sees_pixels:
            return None, self._core_inputs(None, vector)
        assert sequences.frames is not None and sequences.frame_index is not None
        features = self.encode(sequences.frames)
        # An embedding is an index whose backward pass is fast and, on the CPU, deterministic.
        return features, self._core_inputs(F.embedding(sequences.frame_index, features), vector)

    def _core_inputs(self, features: Tensor | None, vector: Tensor) -> Tensor:
        body = self.vector_layers(self.vector_normalizer(vector))
        return body if features is None else torch.cat([features, body], dim=-1)


def image_shape(spec: EnvironmentSpec, groups: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Height, width and channels of the images, if pixels are among the groups, which are checked."""
    check_groups(spec, groups)
    if PIXELS not in groups:
        return None
    height, width, channels = spec.observations[PIXELS].shape
    return height, width, channels


def check_groups(spec: EnvironmentSpec, groups: tuple[str, ...]) -> None:
    """Refuse a group that the environment does not deliver, by a `ConfigurationError` that names those that there are."""
    for group in groups:
        if group not in spec.observations:
            raise unknown_name("observation group", group, spec.observations)


def vector_size(spec: EnvironmentSpec, groups: tuple[str, ...]) -> int:
    """Entries of the groups but pixels, joined."""
    return sum(spec.observations[group].shape[0] for group in groups if group != PIXELS)


def join_groups(vectors: Mapping[str, Tensor], groups: tuple[str, ...]) -> Float[Tensor, "*batch vector"]:
    """Vector groups in a given order, joined; pixels are left out, and there may be nothing else."""
    parts = [vectors[group] for group in groups if group != PIXELS]
    if not parts:
        return next(iter(vectors.values()))[..., :0]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
