"""Recipes: named configurations of a run, for every task.

A recipe is what a run is made of: algorithms, networks, starts and all their values. Every value stays open to the command
line. A new recipe is a function and a line in `RECIPES`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from handful.environment import PHYSICAL_STATE, TOOL_STATE
from handful.errors import unknown_name
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.config.ppo import PPOConfig
from handful.learning.config.trainer import TrainerConfig
from handful.runs.config import CurriculumConfig, RunConfig

TASKS_BEGUN_BY_CLONING = ("pouring", "order-fulfillment")
"""Tasks whose first reward lies so far off that a policy which begins by moving at random does not find it soon."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A way to train a policy of any task."""

    name: str
    """Name on the command line."""
    summary: str
    """What it is, in a line."""
    config: Callable[[str], RunConfig]
    """The configuration of a run of a task, by the task's name."""


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


@dataclasses.dataclass(frozen=True)
class TeacherValues:
    """What a teacher's recipe has for each task alone. All are our choice, from short runs of each task."""

    discount: float = 0.985
    """Of PPO. What a long task pays lies further ahead."""
    log_std: float = -1.4
    """Log standard deviation of the actions at first, and the least after cloning: a deviation of 0.25. A narrow grasp needs
    less: with 0.25, clearing-blocks lifted in 11% of its episodes, its mean action in 50%."""
    random_start_probability: float = 0.3
    """Fraction of the steps in episodes from random starts, while the frontiers move."""
    variant: str | None = None
    """Variant of the task to begin with."""


TEACHER_VALUES = {
    "block-lifting": TeacherValues(discount=0.98),
    "clearing-blocks": TeacherValues(discount=0.993, log_std=-2.1, random_start_probability=0.25),
    "clearing-box": TeacherValues(discount=0.99),
    "pouring": TeacherValues(discount=0.99, log_std=-1.6, variant="eight-balls"),
    "order-fulfillment": TeacherValues(discount=0.99, log_std=-1.6, variant="one-toy"),
}
"""Tasks whose teachers need values of their own."""


def _teacher(task: str) -> RunConfig:
    """PPO and GAIL from the physical state, cloned first, with a frontier for each demonstration that moves back."""
    own = TEACHER_VALUES.get(task, TeacherValues())
    return RunConfig(
        num_envs=256,
        variant=own.variant,
        curriculum=CurriculumConfig(
            frontiers=True,
            random_start_probability=own.random_start_probability,
            end_when_lost=True,
            max_held_seconds=1.5,
        ),
        trainer=TrainerConfig(
            rollout_steps=32,
            scale_task_reward=True,
            average_time=100_000.0,
            policy=PolicyConfig(
                groups=(PHYSICAL_STATE, TOOL_STATE),
                vector_sizes=(256, 256),
                hidden_size=128,
                recurrent=False,
                activation="elu",
                initial_log_std=own.log_std,
            ),
            value_function=ValueFunctionConfig(
                groups=(PHYSICAL_STATE, TOOL_STATE),
                hidden_sizes=(256, 256, 128),
                activation="elu",
                separate_rewards=True,
                return_memory=300_000.0,
            ),
            ppo=PPOConfig(
                objective="clip",
                discount=own.discount,
                learning_rate_control="kl",
                learning_rate=3e-4,
                kl_target=0.02,
                kl_stop_factor=None,
                half_life=None,
                minimum_stage_scale=0.1,
                mean_bound_weight=0.1,
                minimum_log_std=-2.3,
                max_grad_norm=1.0,
                num_splits=1,
            ),
            discriminator=DiscriminatorConfig(
                gradient_penalty=1.0,
                penalty_at="between",
                solved_reward=1.0,
                updates_per_iteration=8,
                replay_size=200_000,
            ),
            cloning=CloningConfig(
                epochs=1000,
                minimum_log_std=own.log_std,
                learning_rate_scale=1.0,
                weight=0.05,
                half_life=700_000.0,
                num_segments=16,
                warmup_steps=0,
            ),
        ),
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("quick", "PPO and GAIL with short episodes from demonstrations: 20 minutes on two cores", _quick),
        Recipe("teacher", "from the physical state, in simulation: cloned, then PPO and GAIL with frontiers", _teacher),
        Recipe(
            "zhu-2018", "the paper: PPO and GAIL, whole episodes, stages as clusters, the same for all tasks", _zhu_2018
        ),
    )
}
"""Every recipe by its name."""

DEFAULT_RECIPE = "quick"


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; a `ConfigurationError` names those that there are."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
