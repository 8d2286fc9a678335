import dataclasses

import mujoco
import numpy as np
import pytest

from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.environment import GROUPS, PIXELS, PROPRIOCEPTION, TIME_LEFT, TOOL_STATE, Start
from handful.errors import ConfigurationError, DataError
from handful.geometry import matrix_from_rotation_vector, multiply_quaternions, yaw_quaternion
from handful.simulation.observable import observe
from handful.simulation.randomization import Level
from handful.tasks.environment import TaskEnvironment
from handful.tasks.episodes import SUSTAINED_STEPS
from handful.tasks.registry import TASKS
from handful.tasks.task import Task

pytestmark = pytest.mark.parametrize("task", sorted(TASKS))


def _environment(task: str, num_envs: int = 3, **settings) -> TaskEnvironment:
    return TaskEnvironment(task, num_envs=num_envs, **{"randomization": "full", "image_size": 32, **settings})


def _actions(num_steps: int, num_envs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (num_steps, num_envs, 9)).astype(np.float32)


def _run(environment: TaskEnvironment, actions: np.ndarray, seeds) -> list:
    steps = [environment.reset(seeds=seeds)]
    return steps + [environment.step(action) for action in actions]


def _assert_same(left, right, rows=slice(None)) -> None:
    for group in left.observation:
        assert (left.observation[group][rows] == right.observation[group][rows]).all(), group
    assert (left.reward[rows] == right.reward[rows]).all()
    assert (left.stage[rows] == right.stage[rows]).all()


def test_the_same_seeds_give_the_same_episodes_whatever_the_threads(task):
    seeds, actions = [[5, i] for i in range(3)], _actions(12, 3)
    one = _run(_environment(task, num_threads=1), actions, seeds)
    two = _run(_environment(task, num_threads=2, seed=99), actions, seeds)
    for left, right in zip(one, two, strict=True):
        _assert_same(left, right)


def test_a_simulation_in_a_batch_equals_one_alone(task):
    actions = _actions(12, 3)
    batch = _run(_environment(task), actions, [[5, i] for i in range(3)])
    alone = _run(_environment(task, num_envs=1), actions[:, 1:2], [[5, 1]])
    for many, one in zip(batch, alone, strict=True):
        for group in one.observation:
            assert (many.observation[group][1] == one.observation[group][0]).all(), group


def test_different_seeds_differ(task):
    first, second = _environment(task, num_envs=2).reset().observation[PIXELS]
    assert (first != second).mean() > 0.1


def test_observations_are_as_the_spec_says(task):
    environment = _environment(task)
    for step in _run(environment, _actions(3, 3), None):
        assert tuple(step.observation) == GROUPS
        for group, spec in environment.spec.observations.items():
            values = step.observation[group]
            assert values.shape == (3, *spec.shape) and values.dtype == spec.dtype
            assert np.isfinite(values).all()
            assert len(spec.names) == (0 if group == PIXELS else spec.shape[0])


def test_an_observable_fills_as_many_entries_as_it_names(task):
    environment = _environment(task, pixels=False)
    environment.reset()
    described = environment.task
    for observable in (*described.object_features, *described.object_positions, *described.object_state):
        assert observable(environment.snapshot).shape == (3, len(observable.names)), observable.names


def _objects_upon_each_other(physics, generator: np.random.Generator) -> np.ndarray:
    """Positions in which some free bodies, and all that slide as a liquid's balls do, stand where another free one does."""
    model, qpos = physics.model, physics.qpos.copy()
    kinds = model.jnt_type
    free = [int(model.jnt_qposadr[k]) for k in np.flatnonzero(kinds == mujoco.mjtJoint.mjJNT_FREE)]
    slides = [int(model.jnt_qposadr[k]) for k in np.flatnonzero(kinds == mujoco.mjtJoint.mjJNT_SLIDE)][::3]
    for env in range(physics.num_envs):
        places = [physics.qpos[env, at : at + 3].copy() for at in free]
        onto = places[generator.integers(len(places))]
        for at in free:
            if generator.random() < 0.5:
                qpos[env, at : at + 3] = places[generator.integers(len(places))]
        for at in slides:
            qpos[env, at : at + 3] = onto
    return qpos


def test_no_observation_is_constant(task):
    environment = _environment(task, num_envs=8)
    environment.reset()
    environment.physics.qvel[:, 9:] = np.random.default_rng(0).normal(0.0, 0.5, environment.physics.qvel[:, 9:].shape)
    rows = {group: [] for group in GROUPS}
    for step in [environment.step(action) for action in _actions(30, 8)]:
        for group in GROUPS:
            rows[group].append(step.observation[group].reshape(8, -1).copy())
    # Flags and shares of objects that are where they should be do not change by themselves: put objects upon each other.
    generator = np.random.default_rng(0)
    for _ in range(16):
        environment.physics.qpos[:] = _objects_upon_each_other(environment.physics, generator)
        environment.physics.forward(np.arange(8))
        for group, values in environment.observe().items():
            rows[group].append(np.asarray(values).reshape(8, -1))
    for group in GROUPS:
        spread = np.concatenate(rows[group]).astype(float).std(axis=0)
        names = environment.spec.observations[group].names or range(len(spread))
        assert (spread > 0).mean() > 0.99, [name for name, s in zip(names, spread, strict=True) if s == 0]


def test_the_reward_is_what_the_stage_pays(task):
    environment = _environment(task)
    for step in _run(environment, _actions(20, 3), None)[1:]:
        expected = np.asarray(environment.spec.stage_rewards, np.float32)[step.stage]
        assert (step.reward == expected).all()


def test_episodes_end_at_the_horizon_by_truncation_and_begin_anew(task):
    environment = _environment(task, num_envs=2, horizon=7)
    steps = _run(environment, _actions(8, 2), None)
    assert all(not step.done.any() for step in steps[:7])
    last = steps[7]
    assert last.truncated.all() and not last.terminated.any()
    assert [summary.length for summary in last.episodes] == [7, 7]
    assert last.final_observation is not None
    assert last.final_observation[TIME_LEFT][:, 0].tolist() == [0.0, 0.0]  # no time left
    assert last.observation[TIME_LEFT][:, 0].tolist() == [1.0, 1.0]
    assert last.pixels_updated.all()
    assert (last.final_observation[PROPRIOCEPTION] != last.observation[PROPRIOCEPTION]).any()


def test_staggered_episodes_are_spread_over_the_horizon(task):
    environment = _environment(task, num_envs=10, horizon=40, staggered=True, pixels=False)
    steps = _run(environment, _actions(80, 10), None)
    ends = np.array([step.truncated.sum() for step in steps])
    assert np.flatnonzero(ends).tolist() == list(range(8, 88, 8)) and set(ends[8::8]) == {2}  # in step with the camera
    lengths = [summary.length for step in steps for summary in step.episodes]
    assert lengths == [40] * 12  # of the first ten, only the two that were not shortened


def test_a_time_step_belongs_to_the_caller(task):
    environment = _environment(task, camera_hz=20)
    first = environment.reset()
    copies = {group: values.copy() for group, values in first.observation.items()}
    for action in _actions(5, 3):
        environment.step(action)
    for group, values in copies.items():
        assert (first.observation[group] == values).all(), group


@pytest.mark.parametrize(("rate", "period"), [(20, 1), (10, 2), (5, 4)])
def test_the_camera_has_a_rate_of_its_own(task, rate, period):
    environment = _environment(task, camera_hz=rate, horizon=10)
    steps = _run(environment, _actions(9, 3), None)
    for number, step in enumerate(steps):
        assert (step.pixels_updated == (number % period == 0)).all()
        if number and number % period:
            assert (step.observation[PIXELS] == steps[number - 1].observation[PIXELS]).all()


def test_a_recorded_state_and_world_are_that_world_again(task):
    environment = _environment(task)
    _run(environment, _actions(6, 3), None)
    parameters = [{name: values[i].copy() for name, values in environment.parameters.items()} for i in range(3)]
    states, image = environment.physics.get_state(), environment.render()
    actions = _actions(5, 3, seed=1)
    expected = [environment.step(action) for action in actions]
    other = _environment(task, seed=77)
    other.reset()
    other.restore(np.arange(3), parameters, states)
    assert (other.render() == image).all()
    for action, step in zip(actions, expected, strict=True):
        again = other.step(action)
        assert (again.observation[PROPRIOCEPTION] == step.observation[PROPRIOCEPTION]).all()
        assert (again.observation["object_features"] == step.observation["object_features"]).all()


def test_a_saved_environment_goes_on_to_the_bit(task):
    environment = _environment(task, horizon=9)
    actions = _actions(30, 3)
    _run(environment, actions[:13], None)
    saved = environment.state_dict()
    expected = [environment.step(action) for action in actions[13:]]
    other = _environment(task, horizon=9, seed=1234)
    other.reset()
    other.load_state_dict(saved)
    for action, step in zip(actions[13:], expected, strict=True):
        again = other.step(action)
        _assert_same(step, again)
        assert [dataclasses.astuple(s) for s in step.episodes] == [dataclasses.astuple(s) for s in again.episodes]


def test_episodes_begin_where_the_start_distribution_says(task):
    source = _environment(task, num_envs=1)
    _run(source, _actions(10, 1), None)
    start = Start(
        state=source.physics.get_state()[0],
        parameters={name: values[0].copy() for name, values in source.parameters.items()},
        cluster=0,
    )

    class Sometimes:
        def report(self, episode, end) -> None:
            pass

        def sample(self, generator: np.random.Generator) -> Start | None:
            return start if generator.random() < 0.5 else None

    environment = _environment(task, num_envs=16, starts=Sometimes(), horizon=3)
    environment.reset()
    same = (environment.physics.get_state() == start.state).all(axis=1)
    assert 2 <= same.sum() <= 14
    steps = [environment.step(np.zeros((16, 9))) for _ in range(3)]
    assert [not summary.random_start for summary in steps[-1].episodes] == same.tolist()


def test_a_diverged_simulation_ends_its_episode_alone_and_is_counted(task):
    environment = _environment(task)
    before = environment.reset()
    environment.physics.qvel[1, 10] = 1e12
    step = environment.step(np.zeros((3, 9)))
    assert step.terminated.tolist() == [False, True, False] and not step.truncated.any()
    assert step.reward[1] == 0.0
    assert [(s.env, s.diverged, s.success) for s in step.episodes] == [(1, True, False)]
    assert environment.num_diverged == 1
    assert step.final_observation is not None
    for group in GROUPS:
        assert np.isfinite(step.final_observation[group]).all() and np.isfinite(step.observation[group]).all()
    assert (step.final_observation[PROPRIOCEPTION][1] == before.observation[PROPRIOCEPTION][1]).all()
    assert not environment.step(np.zeros((3, 9))).done.any()


def test_success_is_the_top_stage_held_for_half_a_second_at_the_end(task):
    environment = _environment(task, num_envs=1, horizon=30, pixels=False)
    top = len(environment.task.stages) - 1
    for held, success in ((SUSTAINED_STEPS, True), (SUSTAINED_STEPS - 1, False)):
        # One for the reset, thirty for the steps, one for the episode that follows.
        stages = iter([0] + [0] * (30 - held) + [top] * held + [0])
        environment.task.stage = lambda snapshot, stages=stages: np.array([next(stages)])  # type: ignore[method-assign]
        environment.reset()
        episodes = [summary for _ in range(30) for summary in environment.step(np.zeros((1, 9))).episodes]
        assert [summary.success for summary in episodes] == [success]


def test_an_episode_ends_with_its_score_and_one_that_diverges_with_none(task):
    environment = _environment(task, horizon=2, pixels=False)
    environment.reset()
    environment.task.score = lambda snapshot, stage: np.array([0.25, 0.5, 0.75])  # type: ignore[method-assign]
    environment.physics.qvel[1, 10] = 1e12
    episodes = [each for _ in range(2) for each in environment.step(np.zeros((3, 9))).episodes]
    assert [(each.env, each.score) for each in episodes] == [(1, 0.0), (0, 0.25), (2, 0.75)]
    top = len(environment.spec.stages) - 1
    score = Task.score(environment.task, environment.snapshot, np.array([0, top - 1, top]))
    assert score.tolist() == [0.0, 0.0, 1.0]  # unless a task counts more


def test_nothing_varies_at_level_none_and_looks_only_at_full(task):
    for level, moving, still in (
        (Level.NONE, (), ("arm.start", "table.color", "arm.gain_scale")),
        (Level.TASK, ("arm.start",), ("table.color", "arm.gain_scale", "camera.offset")),
        (Level.FULL, ("arm.start", "table.color", "arm.gain_scale", "camera.offset"), ()),
    ):
        environment = _environment(task, num_envs=4, randomization=level, pixels=False)
        environment.reset()
        for name in moving:
            assert np.ptp(environment.parameters[name], axis=0).min() > 0, (level, name)
        for name in still:
            assert np.ptp(environment.parameters[name], axis=0).max() == 0, (level, name)


def test_objects_begin_at_rest_and_the_arm_touches_nothing(task):
    environment = _environment(task, num_envs=64, pixels=False, seed=8)
    environment.reset()
    start = observe(environment.task.object_positions, environment.snapshot)
    for _ in range(10):
        environment.step(np.zeros((64, 9)))
    moved = np.abs(observe(environment.task.object_positions, environment.snapshot) - start)
    assert moved.max() < 2e-3


def test_bad_input_gets_one_clear_sentence(task):
    environment = _environment(task)
    environment.reset()
    with pytest.raises(ConfigurationError, match=r"expected an action of shape \(3, 9\)"):
        environment.step(np.zeros((2, 9)))
    with pytest.raises(ConfigurationError, match="finite"):
        environment.step(np.full((3, 9), np.nan))
    with pytest.raises(ConfigurationError, match="expected an action of numbers"):
        environment.step(np.full((3, 9), "left"))
    for seeds in ([1], 3):
        with pytest.raises(ConfigurationError, match="expected 3 seeds"):
            environment.reset(seeds=seeds)
    for seed in (-1, 1.5, "one", [1, -2], True):
        with pytest.raises(ConfigurationError, match="expected a seed, an integer of at least 0"):
            environment.reset(seeds=[seed, 1, 2])
    for settings in ({"num_envs": 0}, {"num_envs": "3"}, {"image_size": 0}, {"num_threads": -1}, {"horizon": 0}):
        with pytest.raises(ConfigurationError, match="an integer of at least 1, got"):
            _environment(task, **settings)
    with pytest.raises(ConfigurationError, match="expected a seed"):
        _environment(task, seed="one")
    with pytest.raises(ConfigurationError, match="the choices are: 20, 10, 5"):
        _environment(task, camera_hz=7)
    with pytest.raises(ConfigurationError, match="did you mean 'full'"):
        _environment(task, randomization="ful")
    parameters = {name: values[0] for name, values in environment.parameters.items()}
    del parameters["arm.start"]
    with pytest.raises(DataError, match=r"lacks the parameter 'arm\.start'"):
        environment.restore(np.arange(1), [parameters], environment.physics.get_state()[:1])
    states = environment.physics.get_state()
    for ids, episodes, state, sentence in (
        ([7], [parameters], states[:1], "simulations from 0 to 2"),
        ([0, 1], [parameters], states[:2], "as many simulations"),
        ([0], [3], states[:1], "expected parameters"),
    ):
        with pytest.raises(DataError, match=sentence):
            environment.restore(np.array(ids), episodes, state)
    with pytest.raises(DataError, match="expected states of numbers"):
        environment.physics.set_state(np.arange(1), np.full((1, 4), "state"))
    with pytest.raises(ConfigurationError, match="before the first step"):
        _environment(task).step(np.zeros((3, 9)))


def test_nothing_touches_the_arm_at_the_start_and_only_the_table_touches_the_objects(task):
    """A liquid touches itself and the mug that it is in."""
    environment = _environment(task, num_envs=24, pixels=False, seed=4)
    environment.reset()
    table = environment.physics.model.geom("table").id
    for i in range(24):
        model = environment.physics._batch.get_model(i)
        data = mujoco.MjData(model)
        data.qpos[:] = environment.physics.qpos[i]
        mujoco.mj_forward(model, data)
        touching = data.contact.geom[data.contact.dist < 0.0]
        bodies = [[model.body(model.geom_bodyid[geom]).name for geom in pair] for pair in touching if table not in pair]
        assert [pair for pair in bodies if not all(name == "mug" or name.startswith("liquid/") for name in pair)] == []


@pytest.mark.slow
def test_the_scripted_operator_reaches_every_stage_and_the_top_one_in_most_simulations(task):
    num_envs = 16
    environment = _environment(task, num_envs=num_envs, randomization="task", pixels=False, seed=3)
    operator = ScriptedActor(environment, seed=3)
    operator.reset(None)
    step, stages = environment.reset(), set()
    reached = np.zeros(num_envs, bool)
    for _ in range(environment.spec.horizon):
        step = environment.step(operator.act(step))
        stages |= set(step.stage.tolist())
        reached |= step.stage == len(environment.spec.stages) - 1
        if not step.done.any():
            assert (step.reward == environment.task.reward(environment.snapshot, step.stage)).all()
        if len(stages) == len(environment.spec.stages) and reached.sum() > num_envs // 2:
            return
    raise AssertionError(f"reached the stages {sorted(stages)}, the top one in {reached.sum()} of {num_envs} episodes")


@pytest.mark.slow
def test_the_random_agent_does_not_succeed(task):
    environment = _environment(task, num_envs=8, pixels=False, seed=6)
    steps = _run(environment, _actions(environment.spec.horizon, 8), None)
    assert [summary.success for summary in steps[-1].episodes] == [False] * 8


def test_what_falls_off_the_table_stays_on_the_floor_and_is_told_at_the_edge_of_what_is_known(task):
    environment = _environment(task, num_envs=2, pixels=False)
    environment.reset()
    qpos = environment.physics.qpos.copy()
    free = np.flatnonzero(environment.physics.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
    for joint in free:
        qpos[0, environment.physics.model.jnt_qposadr[joint]] += 1.5  # beyond the table's far edge
    environment.physics.place(np.array([0]), qpos[:1])
    for _ in range(40):
        step = environment.step(np.zeros((2, 9)))
    heights = environment.physics.xpos[0, environment.physics.model.jnt_bodyid[free], 2]
    assert ((heights < -0.6) & ((heights > -0.79) | (heights < -10.0))).all()  # a task parks absent objects deep below
    positions = step.observation["object_positions"][0].reshape(-1, 3)
    there = positions.any(axis=1)
    assert positions[there] == pytest.approx(np.broadcast_to([1.0, 0.0, -0.1], positions[there].shape), abs=0.71)
    assert (positions[there][:, [0, 2]] == np.float32([1.0, -0.1])).all()
    assert np.abs(step.observation["physical_state"][1]).max() < 10.0


def _turned_about_the_base(physics, angle: float) -> np.ndarray:
    """Positions with the arm's first joint and every free body turned by an angle about that joint's axis, which is z."""
    model, qpos = physics.model, physics.qpos.copy()
    data = mujoco.MjData(model)
    data.qpos[:] = qpos[0]
    mujoco.mj_kinematics(model, data)
    joint = model.joint(0)
    anchor, axis = data.xanchor[joint.id], data.xaxis[joint.id]
    assert abs(axis[2]) == pytest.approx(1.0)
    qpos[:, joint.qposadr[0]] += angle * axis[2]
    turn = yaw_quaternion(np.array(angle))
    matrix = matrix_from_rotation_vector(np.array([0.0, 0.0, angle]))
    for free in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE):
        at = model.jnt_qposadr[free]
        qpos[:, at : at + 3] = (qpos[:, at : at + 3] - anchor) @ matrix.T + anchor
        qpos[:, at + 3 : at + 7] = multiply_quaternions(turn, qpos[:, at + 3 : at + 7])
    return qpos


def test_the_tool_state_of_a_scene_turned_with_its_arm_is_the_same(task):
    environment = _environment(task, num_envs=2, pixels=False, tool_state=True)
    before = environment.reset().observation[TOOL_STATE]
    names = environment.spec.observations[TOOL_STATE].names
    assert before.shape == (2, len(names)) and len(set(names)) == len(names) and np.isfinite(before).all()
    environment.physics.place(np.arange(2), _turned_about_the_base(environment.physics, 0.5))
    after = environment.observe()[TOOL_STATE]
    fixed = [
        name for name, same in zip(names, np.isclose(before, after, atol=2e-4).all(axis=0), strict=True) if not same
    ]
    assert not fixed


def test_an_episode_ends_when_an_object_is_lost_only_where_that_is_asked_for(task):
    for ends in (False, True):
        environment = _environment(task, num_envs=2, pixels=False, end_when_lost=ends)
        environment.reset()
        environment.task.lost = lambda snapshot: np.array([False, True])  # type: ignore[method-assign]
        step = environment.step(np.zeros((2, 9)))
        assert step.terminated.tolist() == [False, ends] and not step.truncated.any()
        assert [(each.env, each.diverged, each.held) for each in step.episodes] == [(1, False, False)] * ends


def test_an_object_below_the_table_is_lost_and_none_is_at_the_start(task):
    environment = _environment(task, num_envs=2, pixels=False)
    environment.reset()
    assert not environment.task.lost(environment.snapshot).any()
    qpos = environment.physics.qpos.copy()
    free = np.flatnonzero(environment.physics.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
    qpos[0, environment.physics.model.jnt_qposadr[free] + 2] -= 0.5
    environment.physics.place(np.array([0]), qpos[:1])
    assert environment.task.lost(environment.snapshot).tolist() == [True, False]


def test_success_held_for_so_many_steps_cuts_an_episode_off_and_counts_as_held(task):
    for held_steps, held in ((SUSTAINED_STEPS, True), (SUSTAINED_STEPS - 1, False)):
        environment = _environment(task, num_envs=1, pixels=False, held_steps=held_steps)
        top, calls = len(environment.task.stages) - 1, iter([0, 0])
        environment.task.stage = lambda snapshot, calls=calls, top=top: np.array([next(calls, top)])  # type: ignore
        environment.reset()
        steps = [environment.step(np.zeros((1, 9))) for _ in range(1 + held_steps)]
        assert [bool(step.truncated[0]) for step in steps] == [False] * held_steps + [True]
        (summary,) = steps[-1].episodes
        assert (summary.held, summary.success, summary.length) == (held, False, 1 + held_steps)


def test_a_start_without_a_state_is_a_random_start_of_a_length_of_its_own(task):
    class Short:
        def report(self, episode, end) -> None:
            pass

        def sample(self, generator: np.random.Generator) -> Start:
            return Start(state=None, parameters={}, cluster=0, max_length=4)

    environment, other = _environment(task, pixels=False, starts=Short()), _environment(task, pixels=False)
    _assert_same(environment.reset(seeds=range(3)), other.reset(seeds=range(3)))
    steps = [environment.step(np.zeros((3, 9))) for _ in range(4)]
    assert not steps[2].done.any() and steps[3].truncated.all()
    assert [(each.random_start, each.demonstration, each.length) for each in steps[3].episodes] == [(True, -1, 4)] * 3
