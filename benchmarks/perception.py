"""How well an image encoder learns to tell where objects are, apart from any policy.

    python benchmarks/perception.py block-stacking --channels 16 32
    python benchmarks/perception.py block-stacking --channels 32 64

A teacher acts, with noise, from its committed folder; each image at randomisation ``full`` is kept with the positions of the
objects. The encoder and the auxiliary head of a policy learn them, and are asked about images of other episodes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from handful.environment import OBJECT_POSITIONS, PIXELS
from handful.learning.models.layers import encode, image_encoder, mlp
from handful.runs.policies import load_actor, read_policy
from handful.tasks.environment import TaskEnvironment

NOISE = 0.3
"""Standard deviation of the noise on the teacher's actions, so that it is seen elsewhere than on its way."""

EPISODE_STEPS = 100
"""Looks are drawn anew after so many control steps."""

BATCH_SIZE = 208
LEARNING_RATE = 1e-3


def main() -> None:
    """Collect, train and print a row for each number of passes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task")
    parser.add_argument("--channels", type=int, nargs=2, default=(16, 32))
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=80_000)
    parser.add_argument("--passes", type=int, nargs="+", default=(4, 8))
    options = parser.parse_args()
    torch.set_num_threads(1)
    images, positions = collect(options.task, options.num_images, options.image_size, seed=1)
    unseen = collect(options.task, 4_000, options.image_size, seed=2)
    print("channels  image  passes  error, root mean square and median [cm]  ms for 208 images, forward and backward")
    for passes in options.passes:
        root, median, milliseconds = train(images, positions, *unseen, tuple(options.channels), passes)
        channels = "x".join(map(str, options.channels))
        print(
            f"{channels:>8} {options.image_size:6} {passes:7} {root:22.2f} {median:16.2f} {milliseconds:14.1f}",
            flush=True,
        )


def collect(task: str, num_images: int, image_size: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Images, uint8 [image, height, width, 3], and the positions of the objects in them [m], [image, coordinate]."""
    policy = read_policy(task, str(Path("policies") / task / "teacher"))
    environment = TaskEnvironment(
        task,
        num_envs=64,
        seed=seed,
        randomization="full",
        image_size=image_size,
        horizon=EPISODE_STEPS,
        staggered=True,
        tool_state=True,
    )
    actor, generator = load_actor(policy, environment, seed=seed), np.random.default_rng(seed)
    step, images, positions = environment.reset(), [], []
    while sum(map(len, images)) < num_images:
        new = step.pixels_updated
        images.append(np.asarray(step.observation[PIXELS])[new])
        positions.append(step.observation[OBJECT_POSITIONS][new])
        action = actor.act(step)
        step = environment.step((action + NOISE * generator.standard_normal(action.shape)).astype(np.float32))
        actor.reset(step.terminated | step.truncated)
    environment.close()
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(positions))


def train(
    images: Tensor,
    positions: Tensor,
    unseen_images: Tensor,
    unseen_positions: Tensor,
    channels: tuple[int, int],
    passes: int,
) -> tuple[float, float, float]:
    """Root mean squared and median error on unseen images [cm], and the time of a gradient [ms]."""
    torch.manual_seed(0)
    encoder = image_encoder(tuple(images.shape[1:]), 128, channels=channels)
    network = nn.ModuleList([encoder, mlp(128, (200, 100), positions.shape[1])])
    optimizer = torch.optim.Adam(network.parameters())
    mean, std = positions.mean(dim=0), positions.std(dim=0).clamp(min=0.01)
    num_steps, step, seconds = passes * (len(images) // BATCH_SIZE), 0, 0.0
    for _ in range(passes):
        for batch in torch.randperm(len(images)).split(BATCH_SIZE)[: len(images) // BATCH_SIZE]:
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - step / num_steps)
            begun = time.perf_counter()
            loss = (network[1](encode(encoder, images[batch])) - (positions[batch] - mean) / std).square().mean()
            optimizer.zero_grad()
            loss.backward()
            seconds += time.perf_counter() - begun
            optimizer.step()
            step += 1
    with torch.no_grad():
        predicted = torch.cat([network[1](encode(encoder, part)) for part in unseen_images.split(500)])
    error = 100.0 * (predicted * std + mean - unseen_positions)
    return float(error.square().mean().sqrt()), float(error.abs().median()), 1000.0 * seconds / step


if __name__ == "__main__":
    main()
