from __future__ import annotations

import numpy as np
import pytest

from handful.demonstrations.retries import RetryStarts
from handful.environment import EpisodeSummary, Start
from handful.errors import ConfigurationError
from handful.learning.persistence.checkpoint import save_checkpoint
from handful.runs.folder import CHECKPOINT_FILE
from handful.runs.starts import failures_in
from handful.tasks.environment import TaskEnvironment


class Random:
    """Begins every episode in a random start."""

    def sample(self, generator):
        return None

    def report(self, episode, end): ...

    def metrics(self):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state): ...


@pytest.fixture(scope="module")
def environment() -> TaskEnvironment:
    environment = TaskEnvironment("block-lifting", num_envs=2, pixels=False)
    environment.reset()
    return environment


def write_run(folder, environment: TaskEnvironment, *, num_failures: int) -> str:
    """A folder with the checkpoint of a run in which some episodes failed."""
    model, states = environment.physics.model, environment.physics.get_state()
    starts = RetryStarts(Random(), fraction=0.3, nq=model.nq, nv=model.nv)
    for _ in range(num_failures):
        parameters = {name: values[1] for name, values in environment.parameters.items()}
        summary = EpisodeSummary(
            env=1,
            task_return=0.0,
            length=300,
            random_start=True,
            success=False,
            highest_stage=0,
            final_stage=0,
            diverged=False,
            held=False,
            demonstration=-1,
            start_step=-1,
        )
        starts.report(summary, Start(states[1], parameters, cluster=0))
    folder.mkdir()
    save_checkpoint(folder / CHECKPOINT_FILE, {"environment": {"starts": starts.state_dict()}})
    return str(folder)


def test_failures_of_another_run_are_found_in_its_checkpoint(environment, tmp_path):
    found = failures_in(write_run(tmp_path / "run", environment, num_failures=3), environment)
    assert len(found) == 3
    np.testing.assert_array_equal(found[2].state, environment.physics.get_state()[1])
    assert found[0].parameters.keys() == environment.parameters.keys()
    environment.restore(np.array([0]), [found[0].parameters], found[0].state[None])  # fits
    np.testing.assert_array_equal(environment.physics.qpos[0], environment.physics.qpos[1])


def test_a_run_without_failures_or_of_another_task_is_refused(environment, tmp_path):
    with pytest.raises(ConfigurationError, match=r"kept no failures: expected one with a --curriculum.retry-fraction"):
        failures_in(write_run(tmp_path / "none", environment, num_failures=0), environment)
    folder = write_run(tmp_path / "lifting", environment, num_failures=1)
    stacking = TaskEnvironment("block-stacking", num_envs=1, pixels=False)
    with pytest.raises(ConfigurationError, match=r"of another task or variant than block-stacking\.$"):
        failures_in(folder, stacking)
    save_checkpoint(tmp_path / "none" / CHECKPOINT_FILE, {"environment": {"starts": None}})
    with pytest.raises(ConfigurationError, match="kept no failures"):
        failures_in(str(tmp_path / "none"), environment)
