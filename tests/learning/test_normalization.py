from __future__ import annotations

import numpy as np
import pytest
import torch

from handful.learning.models.normalization import RunningNormalizer


def test_batches_of_any_size_give_numpys_mean_and_variance():
    generator = np.random.default_rng(0)
    samples = generator.normal([5.0, -300.0, 0.0], [2.0, 0.1, 1.0], size=(1000, 3)).astype(np.float32)
    normalizer = RunningNormalizer(3)
    for batch in np.split(samples, [1, 7, 400, 401]):
        normalizer.update(torch.from_numpy(batch))
    # Both sum in float64; the order of the sums differs.
    np.testing.assert_allclose(normalizer.mean, samples.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(normalizer.var, samples.astype(np.float64).var(axis=0), rtol=1e-9)
    assert normalizer.count == 1000


def test_a_fresh_normalizer_changes_nothing_and_an_empty_batch_neither():
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.zeros(0, 2))
    samples = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(normalizer(samples), samples)


def test_outliers_are_clipped_and_constant_entries_do_not_blow_up():
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.tensor([[0.0, 0.3], [1.0, 0.3]]))
    out = normalizer(torch.tensor([[1e6, 0.3], [-1e6, 0.3]]))
    assert out[:, 0].tolist() == [10.0, -10.0]
    # float32 rounding of 0.3 over the floor of 1e-4
    assert out[:, 1].abs().max() < 1e-3


def test_inverse_undoes_the_normalization():
    generator = torch.Generator().manual_seed(0)
    normalizer = RunningNormalizer(3)
    samples = 4 * torch.randn(50, 3, generator=generator) - 2
    normalizer.update(samples)
    torch.testing.assert_close(normalizer.inverse(normalizer(samples)), samples)


def test_with_a_memory_old_samples_are_forgotten():
    forgetful, faithful = RunningNormalizer(1, memory=100.0), RunningNormalizer(1)
    for level, batches in ((0.0, 50), (1.0, 10)):
        for _ in range(batches):
            for each in (forgetful, faithful):
                each.update(torch.full((50, 1), level))
    assert forgetful.count == 100.0
    # Each batch of 50 leaves 100 / 150 of what was.
    assert float(forgetful.mean) == pytest.approx(1.0 - (100 / 150) ** 10)
    assert float(faithful.mean) == pytest.approx(10 / 60)
