"""A learner on a GPU does what it does on the CPU, but for rounding."""

import dataclasses

import numpy as np
import pytest
import torch
from test_trainer import EXPERT, SMALL, everything, small_trainer
from toy import ToyEnvironment

from handful.learning.actors import PolicyActor
from handful.learning.config.models import PolicyConfig
from handful.learning.evaluation import evaluate_policy
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.trainer import Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]

LOSSES = ("policy_loss", "value_loss", "auxiliary_loss", "discriminator_loss", "kl", "reward", "policy_gradient_norm")


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_losses_on_a_gpu_are_those_on_the_cpu(recurrent):
    """Weights, noise and minibatches are drawn on the CPU in both; sums in another order are what differs.

    A hundredth: float32 with other kernels, over the steps of three iterations.
    """
    on_cpu, on_gpu = (small_trainer(policy=PolicyConfig(recurrent=recurrent), device=d) for d in ("cpu", "cuda"))
    for _ in range(3):
        expected, metrics = on_cpu.iterate(), on_gpu.iterate()
        for name in LOSSES:
            np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-2, atol=1e-4, err_msg=name)


class ImagesOnGpu(ToyEnvironment):
    """The toy with its images on the GPU, where a ray caster would have drawn them."""

    def _observation(self):
        observation = super()._observation()
        return {**observation, "pixels": torch.from_numpy(observation["pixels"]).cuda()}


def test_images_that_are_on_the_gpu_stay_there():
    trainers = [
        Trainer(dataclasses.replace(SMALL, device="cuda"), kind(4, camera_period=3, staggered=True), EXPERT)
        for kind in (ToyEnvironment, ImagesOnGpu)
    ]
    expected, metrics = (trainer.iterate() for trainer in trainers)
    for name in LOSSES:
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-3, atol=1e-5, err_msg=name)
    environment = ImagesOnGpu(4)
    result = evaluate_policy(PolicyActor(trainers[1].average.policy), environment, num_episodes=4, seed=0)
    assert result.num_episodes == 4


def test_a_run_goes_on_from_the_checkpoint_of_another_device(tmp_path):
    on_gpu = small_trainer(device="cuda")
    on_gpu.iterate()
    save_checkpoint(tmp_path / "c", everything(on_gpu) | {"seconds": 0.0})
    for device in ("cpu", "cuda"):
        trainer = small_trainer(device=device)
        trainer.load_state_dict(load_checkpoint(tmp_path / "c"))
        assert np.isfinite(trainer.iterate()["policy_loss"])
