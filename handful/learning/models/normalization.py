"""Running mean and variance of a stream of vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RunningNormalizer(nn.Module):
    """Shifts and scales each entry of a vector by the mean and standard deviation of all that came so far.

    With n samples of mean m and summed squared deviation M, and a batch of n', m', M' (Chan et al. 1983, eq. 2.1):

        d = m' - m,    m <- m + d n' / (n + n'),    M <- M + M' + d^2 n n' / (n + n')

    The variance is M / n. Before the first update the normaliser is the identity, up to its clipping. The statistics
    are buffers in float64, so that they travel with the weights and do not drift over 10^8 samples.
    """

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(
        self, size: int, *, clip: float = 10.0, minimum_std: float = 1e-4, memory: float = float("inf")
    ) -> None:
        """Begin with no samples.

        What comes out is clipped at ``clip`` [standard deviations]. Entries that hardly vary are divided by ``minimum_std``
        [unit of the entry], so that a constant one plus rounding does not become noise of the size of a signal. The count
        stays at ``memory`` samples, so that older ones are forgotten.
        """
        super().__init__()
        self.memory = memory
        self.clip = clip
        self.minimum_std = minimum_std
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @property
    def std(self) -> Float[Tensor, " size"]:
        """Standard deviation, not less than ``minimum_std``, float32."""
        return self.var.sqrt().clamp(min=self.minimum_std).float()

    @torch.no_grad()
    def update(self, samples: Float[Tensor, "*batch size"]) -> None:
        """Take samples into the statistics."""
        samples = samples.detach().reshape(-1, samples.shape[-1]).double()
        num_samples = samples.shape[0]
        if num_samples == 0:
            return
        mean = samples.mean(dim=0)
        deviation = (samples - mean).square().sum(dim=0)
        delta = mean - self.mean
        total = self.count + num_samples
        deviation += self.var * self.count + delta.square() * self.count * num_samples / total
        self.mean += delta * num_samples / total
        self.var.copy_(deviation / total)
        self.count.copy_(total.clamp(max=self.memory))

    def forward(self, samples: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
        """Standard deviations from the mean, clipped."""
        return ((samples - self.mean.float()) / self.std).clamp(-self.clip, self.clip)

    def inverse(self, normalized: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
        """Back to the unit of the samples (exact where nothing was clipped)."""
        return normalized * self.std + self.mean.float()
