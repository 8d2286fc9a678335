"""What a training run depends on; its docstrings are the help of ``handful train``."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import tyro
from msgspec import Meta

from handful.config import MAY_BE_INFINITE, Bound, Config, Fraction
from handful.environment import GROUPS, PIXELS, TOOL_STATE
from handful.errors import ConfigurationError, unknown_name
from handful.learning.config.trainer import TrainerConfig, check_device
from handful.tasks.conditions_config import Conditions


@dataclasses.dataclass(frozen=True)
class CurriculumConfig(Config):
    """Where training episodes begin, and which part of the demonstrations counts (paper, section III-B)."""

    random_start_probability: Fraction = 0.5
    """Fraction of the control steps that belong to episodes from random starts, the others to episodes from states of
    demonstrations; where all episodes are equally long, the probability of a random start (eps, not stated in the paper;
    our choice). 1 switches the curriculum off."""
    frontiers: bool = False
    """Whether each demonstration has a frontier that moves back as starts at it succeed, from which on episodes begin. Then
    clusters, max_seconds and include_solved play no part (our choice)."""
    final_random_start_probability: Fraction = 0.9
    """Fraction of the control steps in episodes from random starts once every frontier is at the beginning."""
    retry_fraction: Fraction = 0.0
    """Fraction of the random starts that are replaced by states in which earlier episodes had failed (our choice)."""
    max_random_seconds: Bound = math.inf
    """Longest episode from a random start until half of the frontiers are at the beginning [s] (our choice; infinite: as
    long as any).

    The end of a long task is learned from demonstrations' states by then, its beginning from these."""
    end_when_lost: bool = False
    """Whether episodes end when an object has fallen off the table (our choice)."""
    max_held_seconds: Bound = math.inf
    """Time that success holds after which an episode is cut off, in three simulations of four [s] (our choice; infinite:
    never, as in the paper)."""
    clusters: str = "states"
    """How a demonstration's state is drawn: ``stages`` draws a stage uniformly, then one of its states (paper); ``states``
    draws all alike (our choice).

    Three of pouring's five stages last a quarter of a second each, with nothing left to learn."""
    max_seconds: Bound = 5.0
    """Longest episode from a demonstration's state [s]; the value function stands in for what would follow (our choice;
    infinite: the horizon, as in the paper).

    A whole episode of a long task spends most of its time where its beginning had gone wrong."""
    fresh_looks: bool = False
    """Whether an episode that begins in a demonstration's state draws its looks anew: light, camera, colours.

    Otherwise all such episodes together have as many looks as there are demonstrations."""
    include_solved: bool = False
    """Whether episodes may begin in the solved stage too, where nothing is left to be learned."""
    cut_after_success: Annotated[float, Meta(ge=0), MAY_BE_INFINITE] = 1.0
    """Time of a demonstration that is kept after its success [s].

    The rest teaches the discriminator to reward standing still."""


@dataclasses.dataclass(frozen=True)
class RunConfig(Config):
    """Everything that a run depends on besides its demonstrations; kept in ``config.json``."""

    num_envs: Annotated[int, Meta(ge=1, le=16_384)] = 64
    """Simulations that step together."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    variant: str | None = None
    """Variant of the task to train in, such as one with smaller orders; `handful tasks TASK` lists them. Demonstrations are
    of the task itself. Without this option it is the recipe's; None is the task itself."""
    arm: str = "jaco"
    """The arm: jaco, or panda, whose model is in the package gymnasium-robotics."""
    camera_hz: int = 5
    """Rate of the camera [Hz]: 20, 10 or 5."""
    conditions: Conditions = dataclasses.field(default_factory=Conditions)
    """Conditions of a real robot, from the beginning, or to train a policy further with (`--start-from`)."""
    renderer: str | None = None
    """Who draws the images: rasterizer, raycaster or raycaster-shadows; by default the fastest."""
    backend: str = "cpu"
    """Where the physics runs: cpu or cuda."""
    num_threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    """Threads for physics, camera and the splits of a minibatch; by default one for every core. They do not change a bit of
    the run."""
    torch_threads: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Threads inside each operation of the networks. The bits of a run depend on it.

    The networks are small: a second thread gains a quarter on an idle machine, and costs half and more where another process
    wants the core."""
    start_from: str | None = None
    """Folder of a run whose networks and optimisers this one begins with, to train a policy further under other options; or
    of a policy that ships, such as `policies/TASK` (`--recipe student`)."""
    restart_learning_rate: bool = False
    """Whether a learning rate that the KL steers begins at `--ppo.learning-rate` again, and not where it was when the run
    that `--start-from` names was saved. A run of one phase in which `--ppo.learning-rate` is given switches this on."""
    retries_from: str | None = None
    """Folder of a run, in the same variant of the task, where half of the retries are taken from: states in which its
    episodes had failed (`--curriculum.retry-fraction`). A teacher learns there what to tell a student that fails where
    the teacher itself never was."""
    teacher: str | None = None
    """Folder of a run whose policy sees the physical state and says what it would do (`--algorithm distillation`). For
    reinforcement, its value function and discriminator judge from the start, and `--distillation.weight` holds near it."""
    curriculum: CurriculumConfig = dataclasses.field(default_factory=CurriculumConfig)
    """Where episodes begin."""
    trainer: Annotated[TrainerConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainerConfig)
    """The learner."""

    def __post_init__(self) -> None:
        """Check the fields; names of levels, renderers and rates are checked by `check_settings`."""
        super().__post_init__()
        if self.trainer.ppo.num_minibatches > self.num_envs:
            raise ConfigurationError(
                f"expected at most as many --ppo.num-minibatches as simulations, {self.num_envs}, got "
                f"{self.trainer.ppo.num_minibatches}: each holds whole sequences."
            )
        if self.retries_from is not None and self.curriculum.retry_fraction == 0:
            raise ConfigurationError(
                f"--retries-from {self.retries_from} needs a --curriculum.retry-fraction over 0: with 0 nothing is retried."
            )
        networks = {"policy": self.trainer.policy, "value-function": self.trainer.value_function}
        for name, network in {**networks, "discriminator": self.trainer.discriminator}.items():
            if not network.groups:
                choices = ", ".join((*GROUPS, TOOL_STATE))
                raise ConfigurationError(
                    f"expected --{name}.groups to name a group or more; the choices are: {choices}."
                )
        for group in self.groups:
            if group not in (*GROUPS, TOOL_STATE):
                raise unknown_name("observation group", group, (*GROUPS, TOOL_STATE))

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group that a network reads."""
        trainer = self.trainer
        if self.distills:
            return trainer.policy.groups
        groups = (*trainer.policy.groups, *trainer.value_function.groups, *trainer.discriminator.groups)
        return tuple(dict.fromkeys(groups))

    @property
    def needs_pixels(self) -> bool:
        """Whether a network reads images, and so whether a camera is built."""
        groups = self.trainer.policy.groups
        return PIXELS in (groups if self.distills else (*groups, *self.trainer.value_function.groups))

    @property
    def distills(self) -> bool:
        """Whether the policy learns from a teacher alone."""
        return self.trainer.algorithm == "distillation"


def check_settings(config: RunConfig) -> None:
    """Refuse settings of the environment that do not exist, naming the choices, before anything is made of them."""
    from handful.demonstrations.starts import CLUSTERS
    from handful.simulation.physics.factory import check_backend
    from handful.simulation.randomization import parse_level
    from handful.simulation.rendering.factory import check_renderer
    from handful.tasks.environment import CAMERA_RATES

    if config.teacher is None and (config.distills or config.trainer.distillation.weight > 0):
        wanted = "--algorithm distillation" if config.distills else "--distillation.weight above 0"
        raise ConfigurationError(f"{wanted} needs a teacher: name the folder of its run by --teacher.")
    parse_level(config.randomization)
    if config.camera_hz not in CAMERA_RATES:
        choices = ", ".join(map(str, CAMERA_RATES))
        raise ConfigurationError(f"unknown camera rate {config.camera_hz} Hz; the choices are: {choices}.")
    check_renderer(config.renderer)
    check_backend(config.backend)
    check_device(config.trainer.device)
    if config.curriculum.clusters not in CLUSTERS:
        raise unknown_name("way to draw demonstration states", config.curriculum.clusters, CLUSTERS)
