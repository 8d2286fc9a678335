"""Behavioural cloning: a policy that begins by doing as the demonstrations do (Pomerleau 1989; Bain & Sammut 1995).

The paper's policy begins by moving at random and learns from the demonstrations through its rewards alone. See
docs/decisions/0011 for what cloning adds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from handful.errors import TrainingError
from handful.learning.config.cloning import CloningConfig
from handful.learning.models.policy import Policy
from handful.learning.parallel import ParallelGradient
from handful.sequences import Sequences
from handful.workers import Workers


class DemonstrationLoss:
    """A term of the policy's loss: the scaled error of demonstrated actions (Rajeswaran et al. 2018, "DAPG").

    Demonstrations are cut into segments of one length, with the policy's memory where each begins: a policy in the middle
    of an episode remembers its beginning, and must do well with that.
    """

    name = "demonstration_loss"

    @torch.no_grad()
    def __init__(
        self, demonstrations: Sequences, policy: Policy, *, length: int, num_segments: int, weight: float
    ) -> None:
        """Go over whole episodes once; each gradient draws ``num_segments`` segments of ``length`` control steps."""
        self.weight = weight
        self._demonstrations, self._length, self._num_segments = demonstrations, length, num_segments
        everyone = torch.arange(demonstrations.num_sequences, device=demonstrations.device)
        state = policy.initial_state(len(everyone))
        states = []
        for begin in range(0, demonstrations.num_steps, length):
            states.append(state)
            segments = demonstrations.segments(torch.full_like(everyone, begin), everyone, length)
            state = policy.final_state(dataclasses.replace(segments, initial_state=state))
        # [segment, episode, unit]
        self._states = torch.stack([h for h, _ in states]), torch.stack([c for _, c in states])
        self._existing = demonstrations.mask[::length].cpu().nonzero()  # rows of segment, episode

    def draw(self, generator: torch.Generator) -> Sequences:
        """Segments drawn uniformly; the generator is on the CPU."""
        drawn = torch.randint(len(self._existing), (self._num_segments,), generator=generator)
        segment, episode = self._existing[drawn].to(self._demonstrations.device).T
        state = self._states[0][segment, episode], self._states[1][segment, episode]
        segments = self._demonstrations.segments(segment * self._length, episode, self._length)
        return dataclasses.replace(segments, initial_state=state)

    def loss(self, policy: Policy, data: Sequences) -> Float[Tensor, ""]:
        """See `scaled_action_error`."""
        return scaled_action_error(policy, data)


def scaled_action_error(policy: Policy, demonstrations: Sequences) -> Float[Tensor, ""]:
    """Mean of |mean - a|^2 / (2 std^2), summed over the entries of the demonstrated action a; no gradient into std."""
    assert demonstrations.actions is not None
    mean = policy.evaluate_sequence(demonstrations).mean
    variance = torch.exp(2.0 * policy.log_std.detach())
    return 0.5 * ((mean - demonstrations.actions)[demonstrations.mask].square() / variance).sum(dim=-1).mean()


def clone(
    policy: Policy,
    demonstrations: Sequences,
    *,
    config: CloningConfig,
    num_epochs: int,
    generator: torch.Generator,
    workers: Workers,
    num_splits: int,
    most_epochs: Callable[[int], float] = lambda done: math.inf,
) -> Iterator[dict[str, float]]:
    """Bring the policy's mean near the demonstrated actions, whole episodes at a time.

        L = E[|mean - a|^2] / Var[a] + weight * error of the predicted object positions

    Images are shifted by a few pixels, differently in each minibatch (Yarats et al. 2021, "DrQ"). At the end the policy's
    deviations become the root mean square of what is left between it and the demonstrations, in each action, but not less
    than ``config.minimum_log_std`` and not more than they were.

    Demonstrations are whole episodes with actions. The policy is changed in place, statistics of its inputs too. The
    generator, on the CPU, draws minibatches and shifts. ``workers`` compute the ``num_splits`` parts of a minibatch side by
    side; no bit depends on them. ``most_epochs`` says, given how many passes are done, for how many in all there is time;
    where these are fewer than ``num_epochs``, the learning rate falls faster.

    Yields:
        ``cloning_epoch``, ``cloning_epochs``, which is how many there will be, and ``cloning_error``, the root mean square
        of mean - a, after each pass.
    """
    assert demonstrations.actions is not None
    mask = demonstrations.mask
    policy.vector_normalizer.update(policy.join(demonstrations.vectors)[mask])
    if demonstrations.frame_positions is not None:
        policy.position_normalizer.update(demonstrations.frame_positions)
    variance = demonstrations.actions[mask].var(dim=0, correction=0).mean()
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)
    gradient = ParallelGradient(policy, num_splits=num_splits, workers=workers)
    reach, square = config.image_shift, torch.zeros_like(policy.log_std)
    epoch, asked = 0, num_epochs
    while epoch < num_epochs:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (0.02 + 0.49 * (1.0 + math.cos(math.pi * epoch / num_epochs)))
        square = torch.zeros_like(square)
        permutation = torch.randperm(demonstrations.num_sequences, generator=generator)
        for episodes in permutation.split(config.episodes_per_batch):
            episodes = episodes.to(mask.device)
            parts = episodes.chunk(num_splits)
            shifts = torch.randint(-reach, reach + 1, (len(parts), 2), generator=generator).tolist()
            splits = [
                _Split(demonstrations, part, (down, right), int(mask[:, episodes].sum()), variance, config)
                for part, (down, right) in zip(parts, shifts, strict=True)
            ]
            sums = gradient.accumulate(_split_gradient, splits)
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            optimizer.step()
            square += torch.stack(sums).sum(dim=0)
        square /= int(mask.sum())
        epoch += 1
        num_epochs = max(epoch, int(min(asked, most_epochs(epoch))))
        yield {
            "cloning_epoch": float(epoch),
            "cloning_epochs": float(num_epochs),
            "cloning_error": float(square.mean().sqrt()),
        }
    with torch.no_grad():
        deviation = square.sqrt().log().clamp(min=config.minimum_log_std)
        policy.log_std.copy_(torch.minimum(policy.log_std, deviation))


@dataclasses.dataclass(frozen=True)
class _Split:
    """A part of a minibatch, for one thread."""

    demonstrations: Sequences
    episodes: Int[Tensor, " episode"]
    shift: tuple[int, int]
    batch_steps: int
    """Steps in the whole minibatch."""
    variance: Tensor
    """Of the demonstrated actions."""
    config: CloningConfig


def _split_gradient(policy: Policy, split: _Split) -> Float[Tensor, " action"]:
    """Leave the gradient of a split in a replica of the policy; returns its sum of squared errors in each action."""
    batch = split.demonstrations.select(split.episodes)
    if batch.frames is not None:
        batch.frames = shifted(batch.frames, split.shift)
    output = policy.evaluate_sequence(batch)
    assert batch.actions is not None
    squares = (output.mean - batch.actions)[batch.mask].square()
    loss = squares.mean() / split.variance
    if output.object_positions is not None:
        assert batch.frame_positions is not None
        targets = policy.position_normalizer(batch.frame_positions)
        loss = loss + split.config.auxiliary_weight * (output.object_positions - targets).square().mean()
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss of behavioural cloning is {float(loss.detach())}: it must be finite.")
    (len(squares) / split.batch_steps * loss).backward()
    return squares.detach().sum(dim=0)


def shifted(
    images: UInt8[Tensor, "frame height width channel"], shift: tuple[int, int]
) -> UInt8[Tensor, "frame height width channel"]:
    """Images moved down and to the right by so many pixels; edges are repeated."""
    height, width = images.shape[1:3]
    rows = (torch.arange(height, device=images.device) - shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - shift[1]).clamp(0, width - 1)
    return images[:, rows][:, :, columns]
