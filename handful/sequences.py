"""Sequences of what a policy observed and did: one type for rollouts, demonstrations and all that learns from either."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

RecurrentState = tuple[Tensor, Tensor]
"""Hidden state and cell state of an LSTM, each float32 [sequence, unit]."""


@dataclasses.dataclass
class Sequences:
    """Sequences side by side. Shorter ones are masked at their end; what stands behind the mask means nothing.

    The camera is slower than control, so every image is held once, and an index says which one was seen at each step.
    """

    vectors: dict[str, Float[Tensor, "time sequence entry"]]
    """Observation groups but pixels, before each action."""
    outcomes: dict[str, Float[Tensor, "time sequence entry"]]
    """The same after the action: of the final observation where an episode ended."""
    actions: Float[Tensor, "time sequence action"] | None
    """What was done; None where nobody knows."""
    mask: Bool[Tensor, "time sequence"]
    """Which steps there are."""
    episode_start: Bool[Tensor, "time sequence"]
    """Where an episode begins with this observation."""
    initial_state: RecurrentState | None = None
    """The policy's memory before the first step; None: every sequence begins an episode."""
    frames: UInt8[Tensor, "frame height width channel"] | None = None
    """Every image once; None where there are none."""
    frame_positions: Float[Tensor, "frame coordinate"] | None = None
    """Object positions when the image was taken [m]."""
    frame_index: Int[Tensor, "time sequence"] | None = None
    """The frame seen at each step."""
    outcome_frame_index: Int[Tensor, "time sequence"] | None = None
    """The frame seen after the action; None where nobody asked for it."""

    @property
    def num_steps(self) -> int:
        """Length of the longest sequence [control steps]."""
        return self.mask.shape[0]

    @property
    def num_sequences(self) -> int:
        """Sequences."""
        return self.mask.shape[1]

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.mask.device

    def select(self, sequences: Int[Tensor, " selected"], *, with_frames: bool = True) -> Sequences:
        """Some of the sequences, no longer than the longest of them, with the frames that they see alone, or with none."""
        if not with_frames:
            images = ("frames", "frame_positions", "frame_index", "outcome_frame_index")
            return dataclasses.replace(self, **dict.fromkeys(images)).select(sequences)
        state = self.initial_state
        length = int(self.mask[:, sequences].any(dim=1).sum()) or 1
        return self._with_own_frames(
            {name: values[:length, sequences] for name, values in self._per_step().items()},
            initial_state=None if state is None else (state[0][sequences], state[1][sequences]),
        )

    def segments(self, begin: Int[Tensor, " segment"], sequences: Int[Tensor, " segment"], length: int) -> Sequences:
        """Segments of one length, each from a step of a sequence on; steps past its end are masked.

        The memory before them is not known here: ``initial_state`` is None, and no step but a sequence's first begins an
        episode.
        """
        time = begin + torch.arange(length, device=self.device)[:, None]  # [time, segment]
        inside, time = time < self.num_steps, time.clamp(max=self.num_steps - 1)
        part = self._with_own_frames({name: values[time, sequences] for name, values in self._per_step().items()})
        part.mask &= inside
        return part

    def to(self, device: torch.device | str) -> Sequences:
        """The same on a device."""

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: tensor.to(device) for name, tensor in value.items()}
            if isinstance(value, tuple):
                return tuple(tensor.to(device) for tensor in value)
            return value.to(device) if isinstance(value, Tensor) else value

        return Sequences(**{field.name: moved(getattr(self, field.name)) for field in dataclasses.fields(self)})

    def _per_step(self) -> dict[str, Tensor]:
        """Every tensor [time, sequence, ...], by the name of its field, groups as ``FIELD/GROUP``."""
        tensors = {f"{field}/{name}": value for field in _GROUPED for name, value in getattr(self, field).items()}
        return tensors | {name: value for name in _SINGLE if (value := getattr(self, name)) is not None}

    def _with_own_frames(self, tensors: dict[str, Tensor], initial_state: RecurrentState | None = None) -> Sequences:
        """Sequences of tensors as `_per_step` names them, holding only the frames that they see."""
        fields: dict[str, Any] = {field: {} for field in _GROUPED} | dict.fromkeys(_SINGLE)
        for name, value in tensors.items():
            field, _, group = name.partition("/")
            if group:
                fields[field][group] = value
            else:
                fields[field] = value
        if self.frames is not None:
            names = [name for name in ("frame_index", "outcome_frame_index") if name in tensors]
            used, index = torch.unique(torch.stack([tensors[name] for name in names]), return_inverse=True)
            fields |= dict(zip(names, index, strict=True)) | {"frames": self.frames[used]}
            if self.frame_positions is not None:
                fields["frame_positions"] = self.frame_positions[used]
        return Sequences(**fields, initial_state=initial_state)


_GROUPED = ("vectors", "outcomes")
_SINGLE = ("actions", "mask", "episode_start", "frame_index", "outcome_frame_index")
