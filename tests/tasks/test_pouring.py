import numpy as np
import pytest
from poses import moved, pose

from handful.geometry import multiply_quaternions, quaternion_from_rotation_vector
from handful.simulation.props.liquid import NUM_BALLS
from handful.tasks.environment import TaskEnvironment
from handful.tasks.pouring import BOX, MUG, Pouring
from handful.tasks.registry import make_task

START, GRASP, OVER, FIRST, QUARTER, HALF, POURED = range(7)


@pytest.fixture
def environment():
    environment = TaskEnvironment(Pouring(), num_envs=4, randomization="full", pixels=False, seed=4)
    environment.reset()
    return environment


def _balls(environment):
    """Live positions of the balls, [env, ball, 3]."""
    return environment.task.liquid.positions(environment.physics)


def _move(environment, name, place):
    """Put a body, and the balls that are in it if it is the mug, at a place [m], [env, 3]."""
    by = place - pose(environment, name)[:, :3]
    pose(environment, name)[:, :3] += by
    if name == MUG:
        _balls(environment)[:] += by[:, None]


def _stage_and_reward(environment):
    snapshot = moved(environment)
    stage = environment.task.stage(snapshot)
    return stage.tolist(), environment.task.reward(snapshot, stage).tolist()


def test_a_mug_in_the_hand_is_grasped_and_one_on_the_table_is_not(environment):
    assert _stage_and_reward(environment) == ([START] * 4, [0.0] * 4)
    tool = environment.snapshot.tcp_position.copy()
    _move(environment, MUG, tool)
    assert _stage_and_reward(environment) == ([GRASP] * 4, pytest.approx([0.125] * 4))
    _move(environment, MUG, tool - np.array([0.0, 0.0, 0.08]))  # in the air, but not in the hand
    assert _stage_and_reward(environment)[0] == [START] * 4


def test_a_mug_held_over_the_box_pays_more_than_one_held_elsewhere_and_less_than_most_balls(environment):
    tool = environment.snapshot.tcp_position.copy()
    _move(environment, MUG, tool)
    pose(environment, BOX)[:, :2] = tool[:, :2]
    assert _stage_and_reward(environment) == ([OVER] * 4, pytest.approx([0.25] * 4))
    _balls(environment)[:, :4] = pose(environment, BOX)[:, None, :3]
    assert _stage_and_reward(environment) == ([FIRST] * 4, pytest.approx([0.25] * 4))
    _balls(environment)[:, :10] = pose(environment, BOX)[:, None, :3]
    assert _stage_and_reward(environment) == ([QUARTER] * 4, pytest.approx([10 / 32] * 4))


def test_every_ball_in_the_box_pays_and_the_stages_are_milestones_of_their_share(environment):
    balls, box = _balls(environment), pose(environment, BOX)[:, :3].copy()
    milestones = {1: FIRST, 8: QUARTER, 16: HALF, 26: POURED}
    for count in range(1, NUM_BALLS + 1):
        balls[:, count - 1] = box
        stage, reward = _stage_and_reward(environment)
        assert reward == pytest.approx([count / NUM_BALLS] * 4)
        assert stage == [max(stage for milestone, stage in milestones.items() if count >= milestone)] * 4
        assert reward[0] <= environment.spec.stage_rewards[stage[0]]
        score = environment.task.score(environment.snapshot, np.array(stage))
        assert score == pytest.approx(reward)
    assert (stage, reward) == ([POURED] * 4, [1.0] * 4)


def test_a_liquid_of_eight_balls_looks_the_same_to_a_policy(environment):
    few = TaskEnvironment(make_task("pouring", "eight-balls"), num_envs=8, pixels=False, seed=2)
    few.reset()
    for group in ("physical_state", "object_features", "object_positions"):
        assert few.spec.observations[group] == environment.spec.observations[group]
    assert (few.spec.stages, few.spec.stage_rewards) == (environment.spec.stages, environment.spec.stage_rewards)
    assert _balls(few).shape == (8, 8, 3) and few.physics.num_substeps == 5
    before = _balls(few).copy()
    for _ in range(10):
        few.step(np.zeros((8, 9)))
    assert np.abs(_balls(few) - before).max() < 4e-3  # the heap is at rest; contacts yield twice as much as at 5 ms
    assert few.task.balls_in_mug(few.snapshot).all()
    _balls(few)[:, :7] = pose(few, BOX)[:, None, :3]
    assert _stage_and_reward(few) == ([POURED] * 8, pytest.approx([7 / 8] * 8))


def test_balls_in_a_mug_that_stands_in_the_box_do_not_count(environment):
    _move(environment, MUG, pose(environment, BOX)[:, :3] + np.array([0.0, 0.0, 0.03]))
    snapshot = moved(environment)
    assert environment.task.balls_in_mug(snapshot).all()
    assert _stage_and_reward(environment) == ([START] * 4, [0.0] * 4)


def test_balls_over_the_box_or_beside_it_do_not_count(environment):
    box, parameters = pose(environment, BOX)[:, :3], environment.parameters
    for offset in (
        np.stack([[0.0, 0.0, 1.0]] * 4) * (parameters["box.height"] / 2 + 0.02)[:, None],
        np.stack([[1.0, 0.0, 0.0]] * 4) * (parameters["box.inner_half_size"][:, 0] + 0.05)[:, None],
    ):
        _balls(environment)[:] = (box + offset)[:, None]
        assert not environment.task.balls_in_box(moved(environment)).any()


def test_a_mug_holds_its_balls_however_it_is_turned(environment):
    assert environment.task.balls_in_mug(environment.snapshot).all()
    mug = pose(environment, MUG)
    lean = quaternion_from_rotation_vector(np.array([1.2, 0.0, 0.0]))
    before = moved(environment).rotation(MUG).copy()
    mug[:, 3:] = multiply_quaternions(lean, mug[:, 3:])
    offset = _balls(environment) - mug[:, None, :3]
    turn = moved(environment).rotation(MUG) @ before.transpose(0, 2, 1)
    _balls(environment)[:] = mug[:, None, :3] + offset @ turn.transpose(0, 2, 1)
    assert environment.task.balls_in_mug(moved(environment)).all()


def test_mug_and_box_begin_apart_on_opposite_sides_with_every_ball_in_the_mug():
    many = TaskEnvironment(Pouring(), num_envs=128, randomization="full", pixels=False, seed=1)
    many.reset()
    mug, box = pose(many, MUG), pose(many, BOX)
    assert (np.sign(mug[:, 1]) == -np.sign(box[:, 1])).all()
    assert 0.3 < (mug[:, 1] > 0).mean() < 0.7
    assert many.task.balls_in_mug(many.snapshot).all()


def test_an_impossible_draw_says_why():
    task = Pouring()
    nominal = {parameter.name: parameter.nominal for parameter in task.parameter_specs()}
    assert task.why_impossible(nominal) is None
    side_by_side = {**nominal, "mug.place": np.array([0.42, 0.05]), "box.place": np.array([0.42, 0.06])}
    assert "nearer than its handle reaches" in (task.why_impossible(side_by_side) or "")
    assert "the balls would stand" in (task.why_impossible({**nominal, "mug.height": np.array(0.06)}) or "")
