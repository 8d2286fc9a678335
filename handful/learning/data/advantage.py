"""Advantages from rewards and values, with the two ends of an episode kept apart."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

FULL_GROUP = 64
"""Steps from which a group counts for itself; smaller ones lean on the whole batch for what is missing (ours)."""


def generalized_advantage(
    *,
    reward: Float[Tensor, "time env *stream"],
    value: Float[Tensor, "next_time env *stream"],
    final_value: Float[Tensor, "time env *stream"],
    terminated: Bool[Tensor, "time env *#stream"],
    truncated: Bool[Tensor, "time env *#stream"],
    discount: float,
    gae_lambda: float,
) -> Float[Tensor, "time env *stream"]:
    """GAE(lambda) (Schulman et al. 2016, eq. 16), never across the end of an episode.

        V'_t  = 0 where terminated, final_value_t where truncated, V(s_{t+1}) elsewhere
        d_t   = r_t + gamma V'_t - V(s_t)
        A_t   = d_t + gamma lambda A_{t+1}, where the second term is 0 if an episode ended at t or the rollout ends

    With lambda = 1 this is the paper's K-step estimator (section III-A, with the usual exponent, see the notes)

        A_t = sum_{i=0}^{K-1} gamma^i r_{t+i} + gamma^K V(s_{t+K}) - V(s_t)

    where K reaches to the end of the rollout or of the episode, whichever comes first.

    Args:
        reward: Reward of the transition at t.
        value: V of the observation before action t, and of the one after the last action: one row more than ``reward``.
            After an end it is of the next episode's first observation.
        final_value: V of the final observation; read only where truncated.
        terminated: The episode ended without a future; wins over ``truncated``.
        truncated: The episode ended at its time limit.
        discount: gamma.
        gae_lambda: lambda in [0, 1].

    Returns A_t; A_t + V(s_t) is the target of the value function.
    """
    next_value = torch.where(truncated, final_value, value[1:])
    next_value = torch.where(terminated, torch.zeros_like(next_value), next_value)
    delta = reward + discount * next_value - value[:-1]
    decay = discount * gae_lambda * (~(terminated | truncated)).to(reward.dtype)
    advantage = torch.empty_like(delta)
    accumulated = torch.zeros_like(delta[0])
    for t in range(delta.shape[0] - 1, -1, -1):
        accumulated = delta[t] + decay[t] * accumulated
        advantage[t] = accumulated
    return advantage


def standardized(
    advantage: Float[Tensor, "time env"], group: Int[Tensor, "time env"], *, floor: float = 0.0
) -> Float[Tensor, "time env"]:
    """Advantages less the mean, by the standard deviation, of their group.

        (A - m) / s,  m = (n m_g + (N - n) m_all) / N,  s^2 = (n s_g^2 + (N - n) s_all^2) / N

    with n the group's size and N the larger of n and `FULL_GROUP`. Groups are numbered from 0; one for all steps takes
    mean and deviation over the batch. ``floor`` is the least deviation s, as a fraction of the whole batch's.
    """
    groups = group.flatten()
    count = torch.bincount(groups).to(advantage.dtype)
    full = count.clamp(min=FULL_GROUP)

    def mean_of(values: Tensor) -> Tensor:
        """By group, leaning on all."""
        sums = torch.zeros_like(count).index_add_(0, groups, values.flatten())
        return (sums + (full - count) * values.mean()) / full

    mean = mean_of(advantage)
    centred = advantage - mean[group]
    deviation = mean_of(centred.square()).sqrt().clamp(min=floor * float(advantage.std(correction=0)))
    return centred / (deviation[group] + 1e-8)


def explained_variance(value: Tensor, target: Tensor) -> float:
    """1 - var(target - value) / var(target), over everything; 0 where the target does not vary."""
    variance = float(target.var())
    return 1.0 - float((target - value).var()) / variance if variance > 0 else 0.0
