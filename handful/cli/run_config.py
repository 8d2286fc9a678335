"""What a training run depends on; its docstrings are the help of ``handful train``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from handful.learning.config import TrainerConfig


@dataclasses.dataclass(frozen=True)
class CurriculumConfig:
    """Where training episodes begin, and which part of the demonstrations counts (paper, section III-B)."""

    random_start_probability: float = 0.5
    """Probability of a random start, else a state of a demonstration (eps, not stated in the paper; ours). 1 switches the
    curriculum off."""
    include_solved: bool = False
    """Whether episodes may begin in the solved stage too, where nothing is left to be learned."""
    cut_after_success: float = 1.0
    """Time of a demonstration that is kept after its success [s]; the discriminator learns to love standing still from
    the rest."""


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on, beside its demonstrations; kept in ``config.json``."""

    num_envs: int = 64
    """Simulations that step together."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    camera_hz: int = 5
    """Rate of the camera [Hz]: 20, 10 or 5."""
    renderer: str = "rasterizer"
    """Who draws the images: rasterizer or raycaster."""
    num_threads: int | None = None
    """Threads for physics and camera; by default one for every core. They do not change a bit of the run."""
    torch_threads: int = 1
    """Threads for the networks. These are small: a second thread gains a quarter on an idle machine, and where another
    process wants the core, OpenMP's spinning threads cost half and more. The bits of a run depend on it."""
    curriculum: CurriculumConfig = dataclasses.field(default_factory=CurriculumConfig)
    """Where episodes begin."""
    trainer: Annotated[TrainerConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainerConfig)
    """The learner."""
