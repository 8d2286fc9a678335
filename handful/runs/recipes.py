"""Recipes: named configurations of a run, for every task.

A recipe is what a run is made of: algorithms, networks, starts and all their values. Every value stays open to the command
line. A new recipe is a function and a line in `RECIPES`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable

from handful.errors import ConfigurationError, unknown_name
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.ppo import PPOConfig
from handful.learning.config.trainer import TrainerConfig
from handful.runs.config import CurriculumConfig, RunConfig
from handful.runs.phases import Phase
from handful.runs.teacher_student import fine_tuning_config, student_config, teacher_config, teacher_student_phases

TASKS_BEGUN_BY_CLONING = ("pouring", "order-fulfillment")
"""Tasks whose first reward lies so far off that a policy which begins by moving at random does not find it soon."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A way to train a policy of any task."""

    name: str
    """Name on the command line."""
    summary: str
    """What it is, in a line."""
    phases: Callable[[str], tuple[Phase, ...]]
    """The phases of a run of a task, by the task's name; the budget of a single phase is the user's."""

    def config(self, task: str) -> RunConfig:
        """The configuration of the only phase; a `ConfigurationError` says that there are several."""
        first, *others = self.phases(task)
        if others:
            names = ", ".join(phase.name for phase in (first, *others))
            raise ConfigurationError(f"expected a recipe of one phase, got {self.name}, whose phases are: {names}.")
        return first.config


def _zhu_2018(task: str) -> RunConfig:
    """The paper. What it does not state is believed to be its appendix's or, where nothing is known, a common choice."""
    return RunConfig(
        camera_hz=20,  # an image at every control step
        curriculum=CurriculumConfig(
            clusters="stages", max_seconds=math.inf, include_solved=True, cut_after_success=math.inf
        ),
        trainer=TrainerConfig(
            imitation_weight=0.5,
            average_time=None,
            rollout_steps=50,
            ppo=PPOConfig(
                objective="kl",
                discount=0.99,  # not stated
                gae_lambda=1.0,  # the K-step estimator
                epochs=10,
                num_minibatches=5,  # 50 updates of a batch
                learning_rate=1e-4,
                half_life=None,
                value_learning_rate=1e-3,
                kl_stop_factor=None,
                advantage_scale="batch",
            ),
            discriminator=DiscriminatorConfig(
                learning_rate=1e-4, gradient_penalty=0.0, updates_per_iteration=5, replay_size=0
            ),
            cloning=CloningConfig(epochs=0),
        ),
    )


def _quick(task: str) -> RunConfig:
    """Twenty minutes on two cores, see docs/decisions/0011 and 0012."""
    epochs = 200 if task in TASKS_BEGUN_BY_CLONING else 0  # less than a minute
    return RunConfig(trainer=TrainerConfig(cloning=CloningConfig(epochs=epochs)))


def _alone(config: Callable[[str], RunConfig]) -> Callable[[str], tuple[Phase, ...]]:
    """The phases of a recipe of one phase, which lasts as long as the user says."""
    return lambda task: (Phase("run", config(task), num_steps=sys.maxsize, minutes=math.inf),)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "quick", "PPO and GAIL with short episodes from demonstrations: 20 minutes on two cores", _alone(_quick)
        ),
        Recipe(
            "teacher-student", "a teacher, then a student that sees pixels, then fine-tuning", teacher_student_phases
        ),
        Recipe(
            "teacher",
            "from the physical state, in simulation: cloned, then PPO and GAIL with frontiers",
            _alone(teacher_config),
        ),
        Recipe("student", "from pixels: copies the teacher that --teacher names", _alone(student_config)),
        Recipe(
            "fine-tuning",
            "from pixels: PPO and GAIL for a student (--start-from, --teacher)",
            _alone(fine_tuning_config),
        ),
        Recipe(
            "zhu-2018",
            "the paper: PPO and GAIL, whole episodes, stages as clusters, the same for all tasks",
            _alone(_zhu_2018),
        ),
    )
}
"""Every recipe by its name."""

DEFAULT_RECIPE = "teacher-student"


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; a `ConfigurationError` names those that there are."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
