"""What the networks are made of: perceptrons, and the encoder of images."""

from __future__ import annotations

import itertools
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from handful.errors import ConfigurationError
from handful.learning.config.models import Activation


def activation_layer(activation: Activation) -> nn.Module:
    """The activation of that name."""
    return nn.ELU() if activation == "elu" else nn.ReLU()


def mlp(
    input_size: int, hidden_sizes: tuple[int, ...], output_size: int, *, activation: Activation = "relu"
) -> nn.Sequential:
    """Linear layers with an activation between them."""
    layers = hidden_layers(input_size, hidden_sizes, activation=activation)
    return layers.append(nn.Linear((input_size, *hidden_sizes)[-1], output_size))


def hidden_layers(input_size: int, sizes: tuple[int, ...], *, activation: Activation = "relu") -> nn.Sequential:
    """Linear layers, each followed by an activation."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise((input_size, *sizes)):
        layers += [nn.Linear(fan_in, fan_out), activation_layer(activation)]
    return nn.Sequential(*layers)


def image_encoder(
    shape: tuple[int, int, int], num_features: int, *, channels: tuple[int, int] = (16, 32)
) -> nn.Sequential:
    """Two convolutions and a linear layer over images of a shape (height, width, channels); see `encode`.

    ``channels`` are the convolutions' outputs.
    """
    height, width = (((n - 8) // 4 + 1 - 4) // 2 + 1 for n in shape[:2])
    if height < 1 or width < 1:
        raise ConfigurationError(f"the networks' images must be at least 20 x 20 pixels, got {shape[:2]}.")
    encoder = nn.Sequential(
        nn.Conv2d(shape[2], channels[0], kernel_size=8, stride=4),
        nn.ReLU(inplace=True),
        nn.Conv2d(*channels, kernel_size=4, stride=2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(channels[1] * height * width, num_features),
        nn.ReLU(inplace=True),
    )
    # Measured on 2 cores, forward and backward: 8.4 ms instead of 9.0 for 208 frames, 16 instead of 27 for 400.
    return encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def encode(
    encoder: nn.Sequential, images: UInt8[Tensor, "frame height width channel"]
) -> Float[Tensor, "frame feature"]:
    """Image features, from pixels scaled to [-0.5, 0.5].

    w * (x / 255 - 1/2) + b = (w / 255) * x + (b - sum(w) / 2): scaling the first layer's few weights instead of all pixels
    saves two passes over them.
    """
    first = cast(nn.Conv2d, encoder[0])
    assert first.bias is not None
    pixels = images.permute(0, 3, 1, 2).to(first.weight.dtype, memory_format=torch.channels_last)
    bias = first.bias - 0.5 * first.weight.sum(dim=(1, 2, 3))
    return encoder[1:](F.conv2d(pixels, first.weight / 255, bias, stride=first.stride))
