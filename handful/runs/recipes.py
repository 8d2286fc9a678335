"""Recipes: named configurations of a run, for every task.

A recipe is what a run is made of: algorithms, networks, starts and all their values. Every value stays open to the command
line. A new recipe is a function and a line in `RECIPES`.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable

from handful.environment import PHYSICAL_STATE, TOOL_STATE
from handful.errors import ConfigurationError, unknown_name
from handful.learning.config.cloning import CloningConfig
from handful.learning.config.distillation import DistillationConfig
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.config.models import PolicyConfig, ValueFunctionConfig
from handful.learning.config.ppo import PPOConfig
from handful.learning.config.trainer import TrainerConfig
from handful.runs.config import CurriculumConfig, RunConfig
from handful.runs.phases import Phase

TASKS_BEGUN_BY_CLONING = ("pouring", "order-fulfillment")
"""Tasks whose first reward lies so far off that a policy which begins by moving at random does not find it soon."""


BUDGETS = {
    "block-lifting": (500_000, 1_500_000, 1_000_000),
    "block-stacking": (4_000_000, 4_000_000, 1_500_000),
    "clearing-box": (3_000_000, 3_000_000, 1_500_000),
    "clearing-blocks": (8_000_000, 5_000_000, 2_000_000),
    "pouring": (3_000_000, 3_000_000, 2_000_000),
    "order-fulfillment": (8_000_000, 6_000_000, 3_000_000),
}
"""Control steps of teacher, student and fine-tuning of each task; another task has those of block stacking."""


def _budget(task: str) -> tuple[int, int, int]:
    return BUDGETS.get(task, BUDGETS["block-stacking"])


STEPS_PER_MINUTE = 100_000, 100_000, 80_000
"""Assumed control steps of each of the three phases on two cores [1/min]; a run with less time is shared out by them."""


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
    max_random_seconds: float = math.inf
    """Longest episode from a random start while the frontiers move [s]."""
    variant: str | None = None
    """Variant of the task to begin with."""


TEACHER_VALUES = {
    "block-lifting": TeacherValues(discount=0.98),
    "clearing-blocks": TeacherValues(
        discount=0.993, log_std=-2.1, random_start_probability=0.35, max_random_seconds=15.0
    ),
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
            max_random_seconds=own.max_random_seconds,
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
                learning_rate=1e-4,
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


def _student(task: str) -> RunConfig:
    """Distillation of a teacher into a policy that sees pixels, at full randomisation."""
    return RunConfig(
        randomization="full",
        curriculum=CurriculumConfig(
            random_start_probability=0.6, end_when_lost=True, max_held_seconds=2.0, fresh_looks=True
        ),
        trainer=TrainerConfig(
            algorithm="distillation",
            policy=PolicyConfig(hidden_size=128, initial_log_std=-2.0),
            distillation=DistillationConfig(half_life=_budget(task)[1] / 3),
        ),
    )


def _fine_tuning(task: str) -> RunConfig:
    """Reinforcement and imitation from pixels for a student, judged and held by its teacher.

    The pull stays: where it faded, with a half-life of 300,000 steps, success rose for a million steps and then fell, in
    block stacking below the student's, as the distance from the teacher grew fourfold.
    """
    teacher, student = _teacher(task), _student(task)  # of the task itself, never of a variant
    curriculum = dataclasses.replace(student.curriculum, random_start_probability=0.7, retry_fraction=0.25)
    return dataclasses.replace(
        student,
        num_envs=128,
        curriculum=curriculum,
        trainer=dataclasses.replace(
            teacher.trainer,
            rollout_steps=48,
            average_time=300_000.0,
            policy=student.trainer.policy,
            ppo=dataclasses.replace(
                teacher.trainer.ppo,
                epochs=3,
                learning_rate=1e-4,
                learning_rate_range=(2e-6, 2e-3),
                kl_target=0.01,
                num_splits=2,
                auxiliary_weight=0.3,
            ),
            cloning=CloningConfig(),
            distillation=DistillationConfig(weight=0.3, weight_half_life=None),
        ),
    )


def _teacher_student(task: str) -> tuple[Phase, ...]:
    """A teacher from the physical state, a student that copies it from pixels, and reinforcement from there.

    A teacher that begins in a variant of the task goes on in the task itself for as long again.
    """
    steps = _budget(task)
    minutes = [count / rate for count, rate in zip(steps, STEPS_PER_MINUTE, strict=True)]
    config = _teacher(task)
    teachers = (Phase("teacher", config, steps[0], minutes[0]),)
    if config.variant is not None:
        teachers = (
            Phase(config.variant, config, steps[0] // 2, minutes[0] / 2),
            Phase(
                "teacher",
                dataclasses.replace(config, variant=None),
                steps[0] // 2,
                minutes[0] / 2,
                start_from=config.variant,
            ),
        )
    return (
        *teachers,
        Phase("student", _student(task), steps[1], minutes[1], teacher="teacher"),
        Phase("fine-tuning", _fine_tuning(task), steps[2], minutes[2], teacher="teacher", start_from="student"),
    )


def _alone(config: Callable[[str], RunConfig]) -> Callable[[str], tuple[Phase, ...]]:
    """The phases of a recipe of one phase, which lasts as long as the user says."""
    return lambda task: (Phase("run", config(task), num_steps=sys.maxsize, minutes=math.inf),)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "quick", "PPO and GAIL with short episodes from demonstrations: 20 minutes on two cores", _alone(_quick)
        ),
        Recipe("teacher-student", "a teacher, then a student that sees pixels, then fine-tuning", _teacher_student),
        Recipe(
            "teacher",
            "from the physical state, in simulation: cloned, then PPO and GAIL with frontiers",
            _alone(_teacher),
        ),
        Recipe("student", "from pixels: copies the teacher that --teacher names", _alone(_student)),
        Recipe(
            "fine-tuning", "from pixels: PPO and GAIL for a student (--start-from, --teacher)", _alone(_fine_tuning)
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
