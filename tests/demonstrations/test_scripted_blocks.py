import pytest

from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.learning.evaluation import evaluate_policy
from handful.tasks.environment import TaskEnvironment


@pytest.mark.slow
@pytest.mark.parametrize("task", ["block-stacking", "clearing-blocks"])
def test_the_script_succeeds_within_the_horizon(task):
    # Over 90% of 200 episodes were measured; 25 of 32 leave room for chance (p < 1% at 90%).
    environment = TaskEnvironment(task, num_envs=32, randomization="full", pixels=False)
    report = evaluate_policy(ScriptedActor(environment), environment, num_episodes=32, seed=5)
    assert report.success_rate >= 25 / 32
    assert all(not episode.diverged for episode in report.episodes)
