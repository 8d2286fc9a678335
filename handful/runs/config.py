"""What a training run depends on; its docstrings are the help of ``handful train``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any

import tyro

from handful.errors import ConfigurationError
from handful.learning.config import TrainerConfig

MAY_BE_ZERO = {
    "seed",
    "imitation-weight",
    "curriculum.random-start-probability",
    "curriculum.cut-after-success",
    "ppo.discount",
    "ppo.gae-lambda",
    "ppo.initial-kl-weight",
    "ppo.entropy-weight",
    "ppo.auxiliary-weight",
    "discriminator.gradient-penalty",
    "discriminator.replay-size",
    "cloning.epochs",
    "cloning.auxiliary-weight",
    "cloning.image-shift",
    "cloning.weight",
    "cloning.warmup-steps",
}
"""Numbers that may be 0 and not less. All others must be above 0, but for `ANY_NUMBER`."""

ANY_NUMBER = {"policy.initial-log-std", "cloning.minimum-log-std"}
"""Numbers of either sign."""

MAY_BE_INFINITE = {
    "curriculum.cut-after-success",
    "curriculum.max-seconds",
    "ppo.kl-stop-factor",
    "ppo.max-grad-norm",
    "discriminator.reward-clip",
}
"""Bounds that infinity switches off."""


@dataclasses.dataclass(frozen=True)
class CurriculumConfig:
    """Where training episodes begin, and which part of the demonstrations counts (paper, section III-B)."""

    random_start_probability: float = 0.5
    """Share of the control steps that belong to episodes from random starts, the others to episodes from states of
    demonstrations; where all episodes are equally long, the probability of a random start (eps, not stated in the paper;
    ours). 1 switches the curriculum off."""
    clusters: str = "states"
    """How a demonstration's state is drawn: ``stages`` draws a stage uniformly, then one of its states (paper); ``states``
    draws all alike (ours: three of pouring's five stages last a quarter of a second each, with nothing left to learn)."""
    max_seconds: float = 5.0
    """Longest episode from a demonstration's state [s]; the value function stands in for what would follow. A whole episode
    of a long task spends most of its time where its beginning had gone wrong (ours; infinite: the horizon, as in the
    paper)."""
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
    renderer: str | None = None
    """Who draws the images: rasterizer, raycaster or raycaster-shadows; by default the fastest."""
    backend: str = "cpu"
    """Where the physics runs: cpu or cuda."""
    num_threads: int | None = None
    """Threads for physics, camera and the shares of a minibatch; by default one for every core. They do not change a bit of
    the run."""
    torch_threads: int = 1
    """Threads inside each operation of the networks. These are small: a second thread gains a quarter on an idle machine,
    and where another process wants the core, OpenMP's spinning threads cost half and more. The bits of a run depend on
    it."""
    start_from: str | None = None
    """Folder of a run whose networks and optimisers this one begins with, to train a policy further under other options."""
    curriculum: CurriculumConfig = dataclasses.field(default_factory=CurriculumConfig)
    """Where episodes begin."""
    trainer: Annotated[TrainerConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainerConfig)
    """The learner."""

    def __post_init__(self) -> None:
        """Refuse what cannot be; names of levels, renderers and rates are refused by those who know them.

        Raises:
            ConfigurationError: a number is out of its range.
        """
        for name, value in options_of(self):
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and not isinstance(number, bool):
                    _check_number(name, number)
        if self.curriculum.random_start_probability > 1.0:
            raise ConfigurationError(
                "expected --curriculum.random-start-probability between 0 and 1, got "
                f"{self.curriculum.random_start_probability}."
            )
        if self.trainer.ppo.num_minibatches > self.num_envs:
            raise ConfigurationError(
                f"expected at most as many --ppo.num-minibatches as simulations, {self.num_envs}, got "
                f"{self.trainer.ppo.num_minibatches}: each holds whole sequences."
            )
        device = self.trainer.device
        if device != "cpu" and device.partition(":")[0] != "cuda":
            raise ConfigurationError(f"unknown device '{device}'; the choices are: cpu, cuda.")


def options_of(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names, as the command line has them without their hyphens, and values of all options in a configuration."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from options_of(value, prefix if name == "trainer" else f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _check_number(name: str, number: float) -> None:
    if not math.isfinite(number) and not (number == math.inf and name in MAY_BE_INFINITE):
        raise ConfigurationError(f"expected a finite number for --{name}, got {number}.")
    if name in ANY_NUMBER or number > 0 or (number == 0 and name in MAY_BE_ZERO):
        return
    raise ConfigurationError(f"expected --{name} {'of at least' if name in MAY_BE_ZERO else 'above'} 0, got {number}.")
