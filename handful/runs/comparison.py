"""The four methods of the paper's Fig. 4, as changes to one common configuration."""

from __future__ import annotations

import dataclasses
import pathlib

from handful.runs.config import RunConfig

METHODS: dict[str, dict[str, float]] = {
    "full": {"imitation_weight": 0.5},
    "rl": {"imitation_weight": 0.0},
    "gail": {"imitation_weight": 1.0},
    "rl-no-curriculum": {"imitation_weight": 0.0, "random_start_probability": 1.0},
}
"""What each method changes (paper, section IV-C): reinforcement and imitation; reward alone; imitation alone; reward alone
from random starts."""


def method_config(common: RunConfig, method: str, seed: int) -> RunConfig:
    """The configuration of one method's run: the common one but for what the method changes."""
    changes = METHODS[method]
    trainer = dataclasses.replace(common.trainer, seed=seed, imitation_weight=changes["imitation_weight"])
    probability = changes.get("random_start_probability", common.curriculum.random_start_probability)
    curriculum = dataclasses.replace(common.curriculum, random_start_probability=probability)
    return dataclasses.replace(common, trainer=trainer, curriculum=curriculum)


def run_folder(folder: pathlib.Path, method: str, seed: int) -> pathlib.Path:
    """The folder of one run of a comparison."""
    return folder / method / f"seed-{seed}"
