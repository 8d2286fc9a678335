"""An LSTM whose state can be reset in the middle of a sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handful.sequences import RecurrentState

GATE_CLOSED = -1e4
"""Pre-activation at which a sigmoid is exactly 0 in float32, whatever the rest of the sum is."""


class ResettableLSTM(nn.LSTM):
    """A fused LSTM of one layer with one input more: the reset gate.

    A fused LSTM knows no resets. So each reset after the first step becomes one extra step in that sequence, with the
    reset gate on, which closes the input, forget and output gates: with i = f = o = 0

        c <- f c + i g = 0,    h <- o tanh(c) = 0,

    exactly, and no gradient passes, neither in time nor into the gate's own weights. Sequences grow by the largest number
    of resets in one of them. Measured against a loop over time with masked states (T = 50, hidden 100, 2 cores): 12 ms
    instead of 21 ms forward and backward at 64 sequences, 31 ms instead of 37 ms at 128.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        """Draw the weights from torch's generator."""
        super().__init__(input_size + 1, hidden_size)
        with torch.no_grad():
            column = self.get_parameter("weight_ih_l0")[:, -1]
            column.fill_(GATE_CLOSED)
            column[2 * hidden_size : 3 * hidden_size] = 0.0

    def step(
        self, inputs: Float[Tensor, "env input"], state: RecurrentState, episode_start: Bool[Tensor, " env"]
    ) -> tuple[Float[Tensor, "env hidden"], RecurrentState]:
        """One step, from a zero state where an episode starts."""
        keep = (~episode_start).to(inputs.dtype)[None, :, None]
        output, (h, c) = self(F.pad(inputs[None], (0, 1)), (state[0] * keep, state[1] * keep))
        return output[0], (h[0], c[0])

    def final_state(self, inputs: Float[Tensor, "time env input"], state: RecurrentState) -> RecurrentState:
        """The state after whole sequences without resets."""
        _, (h, c) = self(F.pad(inputs, (0, 1)), (state[0][None], state[1][None]))
        return h[0], c[0]

    def run(
        self, inputs: Float[Tensor, "time env input"], state: RecurrentState, episode_start: Bool[Tensor, "time env"]
    ) -> Float[Tensor, "time env hidden"]:
        """Whole sequences, with the state zeroed wherever an episode starts."""
        num_steps, num_envs = episode_start.shape
        keep = (~episode_start[0]).to(inputs.dtype)[None, :, None]
        later_start = F.pad(episode_start[1:].long(), (0, 0, 1, 0))  # [time, env]
        num_extra = later_start.cumsum(dim=0)  # extra steps up to and with t
        length = num_steps + int(num_extra[-1].max())
        row = (torch.arange(num_steps, device=inputs.device)[:, None] + num_extra) * num_envs
        row = (row + torch.arange(num_envs, device=inputs.device)).flatten()
        # Where a sequence is shorter than the longest, the gate stays on at its end, which nobody reads.
        gate = inputs.new_ones(length * num_envs).index_fill(0, row, 0.0)
        padded = inputs.new_zeros(length * num_envs, inputs.shape[-1]).index_copy(0, row, inputs.flatten(0, 1))
        padded = torch.cat([padded, gate[:, None]], dim=-1).view(length, num_envs, -1)
        outputs, _ = self(padded, (state[0][None] * keep, state[1][None] * keep))
        return outputs.flatten(0, 1).index_select(0, row).view(num_steps, num_envs, -1)
