"""The public API, as the README shows it."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np
import pytest

import handful
from handful.demonstrations.operators.scripted.script import make_scripted_operator
from handful.errors import ConfigurationError

TASK = "block-lifting"
README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_readmes_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"The same from Python:\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(README), "exec"), {})
    assert float(capsys.readouterr().out) > 0.5
    assert (tmp_path / "runs" / "api" / "run" / "policy.safetensors").is_file()


def test_a_shipped_policy_acts_step_by_step_and_is_evaluated():
    environment = handful.make(TASK, num_envs=3)
    policy = handful.load_policy(TASK)
    assert policy.manifest.task == TASK and policy.manifest.deployable
    step = environment.reset(seeds=range(3))
    for _ in range(5):
        action = policy.act(step)
        assert action.shape == (3, 9) and np.isfinite(action).all()
        step = environment.step(action)
        policy.reset(step.done)
    environment.close()
    result = handful.evaluate(policy, TASK, num_episodes=4)
    assert result.num_episodes == 4 and 0.0 <= result.success_rate <= 1.0
    with pytest.raises(ConfigurationError, match="at least 1 episode"):
        handful.evaluate(policy, TASK, num_episodes=0)


class CountingOperator:
    """The script, and how often it was asked."""

    def __init__(self) -> None:
        self._script = make_scripted_operator(TASK, 1)
        self.num_commands = 0

    def reset(self, ids, seeds) -> None:
        self._script.reset(ids, seeds)

    def command(self, snapshot):
        self.num_commands += 1
        return self._script.command(snapshot)


def test_an_operator_of_ones_own_demonstrates_and_a_run_starts_from_a_config_object(tmp_path: pathlib.Path):
    operator, path = CountingOperator(), tmp_path / "demonstrations.hdf5"
    assert handful.record(TASK, path, operator=operator, num_episodes=2).num_recorded == 2
    assert operator.num_commands > 40
    config = handful.recipe(TASK, "quick")
    ppo = dataclasses.replace(config.trainer.ppo, num_minibatches=2, epochs=2)
    trainer = dataclasses.replace(config.trainer, rollout_steps=8, ppo=ppo)
    config = dataclasses.replace(config, num_envs=4, num_threads=1, trainer=trainer)
    with pytest.raises(ConfigurationError, match="expected a budget"):
        handful.train(TASK, config, demonstrations=path, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    metrics: list[dict[str, float]] = []
    for num_steps in (32, 64):  # the second call resumes
        run = handful.train(
            TASK, config, demonstrations=path, run=tmp_path / "run", num_steps=num_steps, on_iteration=metrics.append
        )
        run.close()
    assert [each["steps"] for each in metrics] == [32, 64]
    assert handful.load_policy(tmp_path / "run").manifest.training["steps"] == 64
    other = dataclasses.replace(config, num_envs=5)
    with pytest.raises(ConfigurationError, match="with another configuration"):
        handful.train(TASK, other, demonstrations=path, run=tmp_path / "run", num_steps=96)


def test_a_policy_that_does_not_exist_is_told_with_the_choices():
    with pytest.raises(ConfigurationError, match="unknown policy 'nowhere'"):
        handful.load_policy("nowhere")
    with pytest.raises(ConfigurationError, match="no policy ships for order-fulfillment"):
        handful.load_policy("order-fulfillment")
    assert handful.__version__
