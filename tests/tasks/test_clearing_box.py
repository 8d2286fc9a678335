import numpy as np
import pytest
from poses import moved, pose

from handful.geometry import multiply_quaternions, quaternion_from_rotation_vector
from handful.tasks.clearing_box import BOX, TOY, ClearingBox
from handful.tasks.environment import TaskEnvironment


@pytest.fixture
def environment():
    environment = TaskEnvironment(ClearingBox(), num_envs=4, randomization="full", pixels=False, seed=4)
    environment.reset()
    return environment


def _stage(environment):
    return environment.task.stage(moved(environment)).tolist()


def test_the_stages_follow_one_another(environment):
    tool = environment.snapshot.tcp_position.copy()
    toy, box = pose(environment, TOY), pose(environment, BOX)
    parameters = environment.parameters
    rest = toy[:, 2].copy()
    assert _stage(environment) == [0] * 4
    toy[:, :2] = tool[:, :2]
    toy[:, 2] = rest + 0.019  # too low to be grasped, too far below the tool to be reached
    assert _stage(environment) == [0] * 4
    toy[:, :3] = tool + np.array([0.0, 0.0, 0.01])
    assert _stage(environment) == [2] * 4
    floor = box[:, 2] - parameters["box.height"] / 2 + parameters["box.thickness"]
    toy[:, :2] = box[:, :2]
    toy[:, 2] = floor + environment.task.toy.rest_height(parameters)
    assert _stage(environment) == [3] * 4
    toy[:, 2] += 0.049
    box[:, 2] += 0.049
    assert _stage(environment) == [3] * 4
    toy[:, 2] += 0.002
    box[:, 2] += 0.002
    assert _stage(environment) == [4] * 4


def test_a_toy_held_over_the_box_or_behind_its_wall_is_not_in_it(environment):
    toy, box, parameters = pose(environment, TOY), pose(environment, BOX), environment.parameters
    toy[:, :2] = box[:, :2]
    toy[:, 2] = parameters["box.height"] + environment.task.toy.rest_height(parameters)
    assert not environment.task.toy_in_box(moved(environment)).any()
    toy[:, :3] = box[:, :3]
    toy[:, 1] += parameters["box.inner_half_size"].max(axis=1) + 0.08
    assert not environment.task.toy_in_box(moved(environment)).any()


def test_being_in_the_box_turns_with_the_box(environment):
    toy, box = pose(environment, TOY), pose(environment, BOX)
    toy[:] = box
    lean = quaternion_from_rotation_vector(np.array([0.0, 0.9, 0.0]))
    box[:, 3:] = multiply_quaternions(lean, box[:, 3:])
    assert environment.task.toy_in_box(moved(environment)).all()


def test_box_and_toy_begin_apart_on_opposite_sides(environment):
    many = TaskEnvironment(ClearingBox(), num_envs=256, randomization="full", pixels=False, seed=1)
    many.reset()
    toy, box = pose(many, TOY), pose(many, BOX)
    assert (np.sign(toy[:, 1]) == -np.sign(box[:, 1])).all()
    assert 0.3 < (box[:, 1] > 0).mean() < 0.7
