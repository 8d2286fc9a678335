"""Behavioural cloning: a policy that begins by doing as the demonstrations do (Pomerleau 1989; Bain & Sammut 1995).

The paper's policy begins by moving at random and learns of the demonstrations through its rewards alone, with 256 workers to
find out. One laptop gets further from a policy that has looked at what was done. See docs/decisions/0011.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from handful.errors import TrainingError
from handful.learning.config import CloningConfig
from handful.learning.models.policy import Policy, RecurrentState, SequenceOutput
from handful.learning.parallel import SharedGradient
from handful.trajectory import ExpertSequences
from handful.workers import Workers


class ExpertTensors:
    """Demonstrations on the policy's device."""

    def __init__(self, expert: ExpertSequences, device: torch.device | str) -> None:
        """Copy them there."""
        self.frames = torch.from_numpy(expert.frames).to(device)
        self.frame_positions = torch.from_numpy(expert.frame_positions).to(device)
        self.frame_index = torch.from_numpy(expert.frame_index).to(device)
        self.proprioception = torch.from_numpy(expert.proprioception).to(device)
        self.action = torch.from_numpy(expert.action).to(device)
        self.taken = torch.from_numpy(expert.taken).to(device)

    def select(self, episodes: Tensor) -> ExpertTensors:
        """Some of the episodes, with their frames alone and no step longer than the longest of them."""
        length = int(self.taken[:, episodes].sum(dim=0).max())
        time = torch.arange(length, device=self.taken.device)[:, None]
        return self.at(time.expand(-1, len(episodes)), episodes.expand(length, -1))

    def at(self, time: Tensor, episode: Tensor) -> ExpertTensors:
        """Any steps of any episodes, int64 [time, sequence]; those past the end are not taken."""
        last = self.taken.shape[0] - 1
        part, there, time = copy.copy(self), time <= last, time.clamp(max=last)
        part.taken = self.taken[time, episode] & there
        frames, part.frame_index = torch.unique(self.frame_index[time, episode], return_inverse=True)
        part.frames, part.frame_positions = self.frames[frames], self.frame_positions[frames]
        part.proprioception, part.action = self.proprioception[time, episode], self.action[time, episode]
        return part

    def evaluate(
        self, policy: Policy, state: RecurrentState | None = None, *, shift: tuple[int, int] | None = None
    ) -> SequenceOutput:
        """What a policy says of them.

        Args:
            policy: The policy.
            state: What it remembers before the first step; None at the beginning of episodes.
            shift: How far to shift the images, as `shifted` takes it.
        """
        first = torch.zeros_like(self.taken)
        if state is None:
            first[0], state = True, policy.initial_state(self.taken.shape[1])
        frames = self.frames if shift is None else shifted(self.frames, shift)
        return policy.evaluate_sequence(frames, self.frame_index, self.proprioception, state, first)


class ExpertPieces:
    """Demonstrations cut into pieces of one length, with what the policy remembers where each begins.

    A policy in the middle of an episode remembers its beginning, and must do well with that.
    """

    @torch.no_grad()
    def __init__(self, data: ExpertTensors, policy: Policy, *, length: int) -> None:
        """Go over all demonstrations once.

        Args:
            data: The demonstrations.
            policy: Who remembers.
            length: Control steps of a piece.
        """
        self._data, self._length = data, length
        state = policy.initial_state(data.taken.shape[1])
        everyone = torch.arange(data.taken.shape[1], device=data.taken.device)
        states = []
        for begin in range(0, data.taken.shape[0], length):
            states.append(state)
            piece = data.at(self._steps(begin), everyone.expand(length, -1))
            state = policy.remember(piece.frames, piece.frame_index, piece.proprioception, state)
        self._states = (
            torch.stack([h for h, _ in states]),
            torch.stack([c for _, c in states]),
        )  # [piece, episode, unit]
        self._begun = data.taken[::length].cpu().nonzero()  # rows of piece, episode

    def draw(self, count: int, *, generator: torch.Generator) -> tuple[ExpertTensors, RecurrentState]:
        """Pieces drawn uniformly, with what the policy remembered before them; the generator is one on the CPU."""
        drawn = torch.randint(len(self._begun), (count,), generator=generator)
        piece, episode = self._begun[drawn].to(self._data.taken.device).T
        state = self._states[0][piece, episode], self._states[1][piece, episode]
        return self._data.at(self._steps(piece * self._length), episode.expand(self._length, -1)), state

    def _steps(self, begin: Tensor | int) -> Tensor:
        """Steps from each beginning on, [time, sequence]."""
        return begin + torch.arange(self._length, device=self._data.taken.device)[:, None]


def negative_log_likelihood(policy: Policy, expert: ExpertTensors, state: RecurrentState | None = None) -> Tensor:
    """Mean of |mean - a|^2 / (2 std^2), summed over the actions, the deviations taken as they are.

    Args:
        policy: Whose mean and deviations.
        expert: Whose actions a.
        state: What the policy remembers before the first of them; None at the beginning of episodes.
    """
    mean = expert.evaluate(policy, state).mean
    variance = torch.exp(2.0 * policy.log_std.detach())
    return 0.5 * ((mean - expert.action)[expert.taken].square() / variance).sum(dim=-1).mean()


class _Share(NamedTuple):
    """What one thread does of a minibatch."""

    episodes: Tensor
    shift: tuple[int, int]
    batch_steps: int
    """Steps in the whole minibatch."""


def clone(
    policy: Policy,
    data: ExpertTensors,
    *,
    config: CloningConfig,
    num_epochs: int,
    generator: torch.Generator,
    workers: Workers,
    num_shares: int,
) -> Iterator[dict[str, float]]:
    """Let the policy's mean come near the demonstrated actions, whole episodes at a time.

        L = E[|mean - a|^2] / Var[a] + weight * error of the predicted object positions

    Images are shifted by a few pixels, each minibatch otherwise (Yarats et al. 2021, "DrQ"). At the end the policy's
    deviations become the root mean square of what is left between it and the demonstrations, in each action, but not less
    than ``config.minimum_log_std`` says and not more than they were.

    Args:
        policy: Changed in place, statistics of its inputs too.
        data: The demonstrations.
        config: The options.
        num_epochs: Passes over the demonstrations.
        generator: On the CPU; draws minibatches and shifts.
        workers: Who works on the shares of a minibatch. No bit depends on it.
        num_shares: Parts of a minibatch whose gradients are computed side by side.

    Yields:
        ``cloning_epoch`` and ``cloning_error``, the root mean square of mean - a, after each pass.

    Raises:
        TrainingError: a loss is not finite.
    """
    policy.proprioception_normalizer.update(data.proprioception[data.taken])
    policy.position_normalizer.update(data.frame_positions)
    variance = data.action[data.taken].var(dim=0, correction=0).mean()
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)
    shares = SharedGradient(policy, num_shares=num_shares, workers=workers)

    def share_of_gradient(policy: Policy, share: _Share) -> Tensor:
        """Leave the gradient of a share in the policy; returns its sum of squares in each action."""
        batch = data.select(share.episodes)
        output = batch.evaluate(policy, shift=share.shift)
        squares = (output.mean - batch.action)[batch.taken].square()
        positions = policy.position_normalizer(batch.frame_positions)
        auxiliary = (output.object_positions - positions).square().mean()
        weight = len(squares) / share.batch_steps
        loss = weight * (squares.mean() / variance + config.auxiliary_weight * auxiliary)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss of behavioural cloning is {float(loss.detach())}: it must be finite.")
        loss.backward()
        return squares.detach().sum(dim=0)

    reach = config.image_shift
    square = torch.zeros_like(policy.log_std)
    for epoch in range(num_epochs):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (0.02 + 0.49 * (1.0 + math.cos(math.pi * epoch / num_epochs)))
        square = torch.zeros_like(square)
        for episodes in torch.randperm(data.taken.shape[1], generator=generator).split(config.episodes_per_batch):
            episodes = episodes.to(data.taken.device)
            num_steps = int(data.taken[:, episodes].sum())
            parts = episodes.chunk(num_shares)
            shifts = torch.randint(-reach, reach + 1, (len(parts), 2), generator=generator).tolist()
            pairs = zip(parts, shifts, strict=True)
            sums = shares.accumulate(
                share_of_gradient, [_Share(part, (down, right), num_steps) for part, (down, right) in pairs]
            )
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            optimizer.step()
            square += torch.stack(sums).sum(dim=0)
        square /= int(data.taken.sum())
        yield {"cloning_epoch": float(epoch + 1), "cloning_error": float(square.mean().sqrt())}
    with torch.no_grad():
        deviation = square.sqrt().log().clamp(min=config.minimum_log_std)
        policy.log_std.copy_(torch.minimum(policy.log_std, deviation))


def shifted(
    images: UInt8[Tensor, "frame height width channel"], shift: tuple[int, int]
) -> UInt8[Tensor, "frame height width channel"]:
    """Images moved down and to the right by so many pixels; edges are repeated."""
    height, width = images.shape[1:3]
    rows = (torch.arange(height, device=images.device) - shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - shift[1]).clamp(0, width - 1)
    return images[:, rows][:, :, columns]
