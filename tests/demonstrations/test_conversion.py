"""Demonstrations of a task serve in its variants, whose states may have another size."""

import numpy as np
import pytest

from handful.demonstrations.conversion import converted, state_columns
from handful.environment import OBJECT_FEATURES, PROPRIOCEPTION
from handful.errors import DataError
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.tasks.task import compile_task
from handful.trajectory import Demonstrations, Trajectory

STEPS = 6


def _environment(task: str, variant: str | None = None, arm: str = "jaco") -> TaskEnvironment:
    environment = TaskEnvironment(make_task(task, variant, arm), num_envs=2, pixels=False, num_threads=1)
    environment.reset(seeds=[3, 4])
    return environment


def _demonstrations(environment: TaskEnvironment, *, solved: bool = True) -> Demonstrations:
    """One episode of no motion in the first simulation, at the end of which all balls are put into the box."""
    states, observations, stages, rewards = [], [], [], []
    for step in range(STEPS + 1):
        if step == STEPS - 1 and solved:
            box = environment.snapshot.position("box")
            environment.task.liquid.positions(environment.physics)[:] = box[:, None]
        time_step = environment.step(np.zeros((2, 9)))
        states.append(environment.physics.get_state()[0])
        observations.append(
            {group: values[0] for group, values in time_step.observation.items() if group != "time_left"}
        )
        stages.append(int(time_step.stage[0]))
        rewards.append(time_step.reward[0])
    trajectory = Trajectory(
        observations={group: np.stack([each[group] for each in observations]) for group in observations[0]},
        actions=np.zeros((STEPS, 9), np.float32),
        states=np.stack(states),
        rewards=np.asarray(rewards[1:], np.float32),
        stages=np.asarray(stages),
        parameters={name: values[0].copy() for name, values in environment.parameters.items()},
        success_step=STEPS - 1,
    )
    top = len(environment.task.stages) - 1
    return Demonstrations(environment.task.name, (trajectory,), top_stage=top, control_timestep=0.05)


@pytest.fixture(scope="module")
def demonstrations():
    return _demonstrations(_environment("pouring"))


def test_a_state_keeps_arm_mug_and_box_and_the_lowest_balls(demonstrations):
    few, many = _environment("pouring", "eight-balls"), _environment("pouring")
    (before,), (after,) = demonstrations.trajectories, converted(demonstrations, few).trajectories
    assert after.states.shape == (STEPS + 1, few.physics.state_size)
    for environment, trajectory in ((many, before), (few, after)):
        environment.restore(np.arange(2), [trajectory.parameters] * 2, trajectory.states[[0, 3]])
    rigid = [
        *range(9),
        *range(few.physics.model.joint("mug").qposadr[0], few.physics.model.joint("mug").qposadr[0] + 7),
    ]
    assert (few.physics.qpos[:, rigid] == many.physics.qpos[:, rigid]).all()
    for quantity in ("positions", "velocities"):
        eight, all_balls = (getattr(each.task.liquid, quantity)(each.physics) for each in (few, many))
        assert (eight == all_balls[:, :8]).all()
    assert (few.snapshot.position("box") == many.snapshot.position("box")).all()
    assert few.task.balls_in_mug(few.snapshot).all()


def test_observations_stages_and_rewards_are_those_of_the_variant(demonstrations):
    few = _environment("pouring", "eight-balls")
    (before,), (after,) = demonstrations.trajectories, converted(demonstrations, few).trajectories
    assert set(after.observations) == set(before.observations)
    np.testing.assert_allclose(after.observations[PROPRIOCEPTION], before.observations[PROPRIOCEPTION], atol=1e-6)
    names = few.spec.observations[OBJECT_FEATURES].names
    share = after.observations[OBJECT_FEATURES][:, names.index("share_in_box")]
    assert (share[: STEPS - 1] == 0.0).all() and share[-1] >= 7 / 8
    assert after.stages[-1] == len(few.task.stages) - 1 and after.rewards[-1] == share[-1]
    assert (after.stages[after.success_step :] == after.stages[-1]).all()
    assert after.stages[after.success_step - 1] < after.stages[-1]
    assert (after.actions == before.actions).all() and len(after.rewards) == STEPS


def test_the_demonstrations_of_another_arm_serve_in_its_variants():
    few, many = _environment("pouring", "eight-balls", "panda"), _environment("pouring", arm="panda")
    (before,), (after,) = (
        (demonstrated := _demonstrations(many)).trajectories,
        converted(demonstrated, few).trajectories,
    )
    many.restore(np.arange(2), [before.parameters] * 2, before.states[[0, 3]])
    few.restore(np.arange(2), [after.parameters] * 2, after.states[[0, 3]])
    assert (few.physics.qpos[:, :9] == many.physics.qpos[:, :9]).all()
    assert (few.task.liquid.positions(few.physics) == many.task.liquid.positions(many.physics)[:, :8]).all()
    np.testing.assert_allclose(after.observations[PROPRIOCEPTION], before.observations[PROPRIOCEPTION], atol=1e-6)


def test_a_simulation_goes_on_from_a_converted_state(demonstrations):
    few = _environment("pouring", "eight-balls")
    (after,) = converted(demonstrations, few).trajectories
    few.restore(np.arange(2), [after.parameters] * 2, after.states[:2])
    mug = few.snapshot.position("mug").copy()
    for _ in range(10):
        assert not few.step(np.zeros((2, 9))).terminated.any()
    assert np.abs(few.snapshot.position("mug") - mug).max() < 2e-3
    assert few.task.balls_in_mug(few.snapshot).all()


def test_demonstrations_without_success_are_left_out_and_some_must_be_left():
    failed = _demonstrations(_environment("pouring"), solved=False)
    with pytest.raises(DataError, match="none of 1 demonstrations succeeds in the variant of pouring"):
        converted(failed, _environment("pouring", "eight-balls"))


def test_a_variant_with_the_tasks_own_bodies_takes_demonstrations_as_they_are(demonstrations):
    assert converted(demonstrations, _environment("pouring")) is demonstrations


def test_the_columns_of_a_model_for_itself_are_all_columns():
    for task in ("pouring", "order-fulfillment"):
        model = compile_task(make_task(task))
        assert state_columns(model, model).tolist() == list(range(1 + model.nq + 2 * model.nv + model.nu))
