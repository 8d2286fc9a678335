from __future__ import annotations

import json

import pytest

from handful.cli.main import run_command_line
from handful.config import from_json, options_of, to_json, with_options
from handful.errors import ConfigurationError
from handful.runs.config import RunConfig
from handful.runs.recipes import RECIPES, find_recipe
from handful.runs.teacher_student import TEACHER_VALUES
from handful.tasks.registry import TASKS, make_task


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_is_a_configuration_of_every_task_and_survives_its_file(recipe, task):
    for phase in find_recipe(recipe).phases(task):
        assert from_json(RunConfig, json.loads(json.dumps(to_json(phase.config)))) == phase.config


def test_a_recipe_of_several_phases_is_no_single_configuration():
    with pytest.raises(ConfigurationError, match="whose phases are: teacher, student, fine-tuning"):
        find_recipe("teacher-student").config("block-lifting")


def test_options_are_changed_by_the_names_of_the_command_line():
    config = find_recipe("teacher").config("block-lifting")
    changes = {"num-envs": 8, "ppo.discount": 0.5, "curriculum.frontiers": False, "seed": 3}
    changed = with_options(config, changes, inline=("trainer",))
    values = dict(options_of(changed, inline=("trainer",)))
    expected = dict(options_of(config, inline=("trainer",))) | changes
    assert values == expected


def test_options_are_changed_at_once_in_whatever_order_they_are_named():
    config = find_recipe("zhu-2018").config("block-lifting")
    changes = {"num-envs": 2, "ppo.num-minibatches": 2}  # fewer simulations alone would be refused
    for names in (changes, reversed(changes)):
        changed = with_options(config, {name: changes[name] for name in names}, inline=("trainer",))
        assert (changed.num_envs, changed.trainer.ppo.num_minibatches) == (2, 2)
    with pytest.raises(ConfigurationError, match="at most as many --ppo.num-minibatches"):
        with_options(config, {"num-envs": 2}, inline=("trainer",))


def test_the_papers_recipe_is_the_same_for_all_tasks_and_adds_nothing():
    configs = [find_recipe("zhu-2018").config(task) for task in TASKS]
    assert all(config == configs[0] for config in configs)
    trainer, curriculum = configs[0].trainer, configs[0].curriculum
    assert trainer.cloning.epochs == 0 and trainer.average_time is None
    assert (curriculum.clusters, curriculum.max_seconds) == ("stages", float("inf"))
    assert (trainer.imitation_weight, trainer.ppo.objective, trainer.ppo.gae_lambda) == (0.5, "kl", 1.0)
    assert trainer.ppo.epochs * trainer.ppo.num_minibatches == 50
    assert (trainer.ppo.half_life, trainer.ppo.kl_stop_factor, trainer.ppo.advantage_scale) == (None, None, "batch")
    assert trainer.discriminator.groups == ("object_features",) and not trainer.discriminator.use_actions


def test_the_quick_recipe_clones_the_tasks_that_pay_late():
    cloned = {task for task in TASKS if find_recipe("quick").config(task).trainer.cloning.epochs}
    assert cloned == {"pouring", "order-fulfillment"}


def test_a_teacher_has_values_of_its_own_where_its_task_needs_them():
    configs = {task: find_recipe("teacher").config(task) for task in TASKS}
    assert {task: config.variant for task, config in configs.items() if config.variant} == {
        "pouring": "eight-balls",
        "order-fulfillment": "one-toy",
    }
    assert set(TEACHER_VALUES) <= set(TASKS)
    for task, config in configs.items():
        make_task(task, config.variant)  # which exists
        trainer = config.trainer
        assert trainer.policy.initial_log_std == trainer.cloning.minimum_log_std  # cloning changes the deviation
        phases = {phase.name: phase for phase in find_recipe("teacher-student").phases(task)}
        lessons = [phase for phase in phases.values() if phase.config.trainer.algorithm == "reinforcement"][:-1]
        assert lessons[-1].name == "teacher" and lessons[0].config == config
        assert [phase.start_from for phase in lessons] == [None, *(phase.name for phase in lessons[:-1])]
        assert phases["student"].config.variant == phases["fine-tuning"].config.variant
        for phase in phases.values():
            make_task(task, phase.config.variant)
    blocks = configs["clearing-blocks"]
    assert (blocks.trainer.ppo.discount, blocks.curriculum.random_start_probability) == (0.993, 0.35)
    assert configs["block-lifting"].trainer.ppo.discount == 0.98


def test_an_unknown_recipe_is_told_with_the_choices():
    with pytest.raises(ConfigurationError, match="unknown recipe 'fast'; the choices are: "):
        find_recipe("fast")


def test_the_command_lists_recipes_and_the_values_of_one(capsys):
    assert run_command_line(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert run_command_line(["recipes", "zhu-2018"]) == 0
    shown = capsys.readouterr().out
    assert "--ppo.gae-lambda 1.0    (otherwise 0.95)" in shown and "--curriculum.clusters stages" in shown
    assert "imitation-weight" not in shown  # it is the default
    assert run_command_line(["recipes", "zhu"]) == 2
