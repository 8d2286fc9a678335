import threading

import pytest
import torch

from handful.learning.models.layers import mlp
from handful.learning.models.normalization import RunningNormalizer
from handful.learning.parallel import ParallelGradient
from handful.workers import Workers


class _Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.normalizer = RunningNormalizer(3)
        self.layers = mlp(3, (8,), 1)

    def forward(self, inputs):
        return self.layers(self.normalizer(inputs))


def _loss_gradient(network, rows):
    loss = network(rows).square().sum()
    loss.backward()
    return float(loss.detach())


def _gradients(network):
    return [parameter.grad.clone() for parameter in network.parameters()]


ROWS = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))


def test_the_gradients_of_the_parts_add_up_to_that_of_the_whole():
    network = _Network()
    whole = _loss_gradient(network, ROWS)
    expected = _gradients(network)
    shared = ParallelGradient(network, num_splits=3, workers=Workers(3))
    parts = shared.accumulate(_loss_gradient, ROWS.chunk(3))
    assert sum(parts) == pytest.approx(whole)
    for gradient, other in zip(_gradients(network), expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-5, atol=1e-6)


def test_bits_do_not_depend_on_the_number_of_threads():
    results = []
    for num_threads in (1, 2, 3):
        network = _Network()
        ParallelGradient(network, num_splits=3, workers=Workers(num_threads)).accumulate(_loss_gradient, ROWS.chunk(3))
        results.append(_gradients(network))
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


def test_replicas_follow_the_networks_parameters_and_buffers():
    network = _Network()
    shared = ParallelGradient(network, num_splits=2, workers=Workers(2))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(3):
        shared.accumulate(_loss_gradient, ROWS.chunk(2))
        optimizer.step()
        network.normalizer.update(ROWS * 3 + 1)
    network.load_state_dict({name: tensor + 0.25 for name, tensor in network.state_dict().items()})
    outputs = shared.accumulate(lambda replica, rows: replica(rows).detach(), [ROWS, ROWS])
    assert torch.equal(outputs[0], outputs[1])


def test_gradients_of_an_earlier_step_do_not_stay():
    network = _Network()
    shared = ParallelGradient(network, num_splits=2, workers=Workers(2))
    shared.accumulate(_loss_gradient, ROWS.chunk(2))
    once = _gradients(network)
    shared.accumulate(_loss_gradient, ROWS.chunk(2))
    assert all(torch.equal(one, other) for one, other in zip(once, _gradients(network), strict=True))
    shared.accumulate(_loss_gradient, [ROWS[:1]])  # fewer shares than replicas
    alone = _gradients(network)
    network.zero_grad()
    _loss_gradient(network, ROWS[:1])
    assert all(torch.equal(one, other) for one, other in zip(alone, _gradients(network), strict=True))


def test_an_error_in_a_part_comes_out_when_all_are_done():
    network, done = _Network(), threading.Event()

    def fail(replica, rows):
        if len(rows) == 1:
            raise ValueError("one row")
        done.set()

    with pytest.raises(ValueError, match="one row"):
        ParallelGradient(network, num_splits=2, workers=Workers(2)).accumulate(fail, [ROWS, ROWS[:1]])
    assert done.is_set()
