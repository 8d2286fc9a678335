from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from handful.learning.models import gaussian


def test_log_prob_kl_and_entropy_equal_torchs_own():
    generator = torch.Generator().manual_seed(0)
    mean, old_mean, action = torch.randn(3, 6, 4, 9, generator=generator, dtype=torch.float64)
    log_std, old_log_std = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    new = Independent(Normal(mean, log_std.exp()), 1)
    old = Independent(Normal(old_mean, old_log_std.exp()), 1)
    torch.testing.assert_close(gaussian.log_prob(action, mean=mean, log_std=log_std), new.log_prob(action))
    torch.testing.assert_close(
        gaussian.kl_divergence(old_mean=old_mean, old_log_std=old_log_std, mean=mean, log_std=log_std),
        kl_divergence(old, new),
    )
    torch.testing.assert_close(gaussian.entropy(log_std).expand(6, 4), new.entropy())
