"""Diagonal Gaussians over actions, by mean and log standard deviation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def log_prob(
    action: Float[Tensor, "*batch action"], *, mean: Float[Tensor, "*batch action"], log_std: Float[Tensor, " action"]
) -> Float[Tensor, "*batch"]:
    """Log density, sum over the entries of -((a - m) / s)^2 / 2 - log s - log(2 pi) / 2."""
    z = (action - mean) * torch.exp(-log_std)
    return -0.5 * z.square().sum(dim=-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * action.shape[-1]


def kl_divergence(
    *,
    old_mean: Float[Tensor, "*batch action"],
    old_log_std: Float[Tensor, " action"],
    mean: Float[Tensor, "*batch action"],
    log_std: Float[Tensor, " action"],
) -> Float[Tensor, "*batch"]:
    """KL(old || new) = sum over the entries of log(s / s_old) + (s_old^2 + (m_old - m)^2) / (2 s^2) - 1 / 2 [nat]."""
    precision = torch.exp(-2 * log_std)
    variance = torch.exp(2 * old_log_std)
    constant = (log_std - old_log_std + 0.5 * variance * precision - 0.5).sum()
    return constant + 0.5 * ((old_mean - mean).square() * precision).sum(dim=-1)


def entropy(log_std: Float[Tensor, " action"]) -> Float[Tensor, ""]:
    """Differential entropy, sum over the entries of log s + (1 + log(2 pi)) / 2 [nat]."""
    return log_std.sum() + 0.5 * (1 + math.log(2 * math.pi)) * log_std.shape[-1]
