"""What all props share: drawn parameters as observables, poses on the table, opposite sides."""

import numpy as np
import pytest

from handful.geometry import yaw_quaternion
from handful.simulation.props.block import Block
from handful.simulation.props.car import Car
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.prop import from_tcp, hsv_colors, offset
from handful.simulation.props.sides import OppositeSides
from handful.simulation.randomization import Level, draw_parameters, stack_parameters
from handful.tasks.environment import TaskEnvironment


def test_a_drawn_parameter_is_an_observable_with_its_axes():
    block = Block("block")
    assert block.drawn("mass").names == ("block_mass",)
    assert block.drawn("half_size").names == ("block_half_size_x", "block_half_size_y", "block_half_size_z")
    with pytest.raises(KeyError, match="block.length"):
        block.drawn("length")


def test_offsets_add_up():
    environment = TaskEnvironment("block-stacking", num_envs=4, pixels=False)
    environment.reset()
    snapshot, (red, blue) = environment.snapshot, environment.task.props
    there, back = offset(red, blue)(snapshot), offset(blue, red)(snapshot)
    np.testing.assert_array_equal(there, -back)
    np.testing.assert_allclose(from_tcp(red)(snapshot) + there, from_tcp(blue)(snapshot), atol=1e-12)


def test_points_in_a_bodys_frame_turn_with_it():
    environment = TaskEnvironment("block-lifting", num_envs=4, pixels=False)
    environment.reset()
    snapshot, local = environment.snapshot, np.array([0.1, 0.2, 0.3])
    points = snapshot.position("block")[:, None] + (snapshot.rotation("block") @ local)[:, None]
    np.testing.assert_allclose(snapshot.in_frame_of("block", points)[:, 0], np.tile(local, (4, 1)), atol=1e-12)


def test_the_gap_to_a_turned_box_is_zero_inside_and_grows_along_its_axes():
    box = OpenBox("box")
    specs = stack_parameters([{spec.name: spec.nominal for spec in box.parameter_specs()}])
    place, yaw = np.array([[0.4, 0.1]]), np.array([0.5])
    outer = specs["box.inner_half_size"][0, 0] + specs["box.thickness"][0]
    along = np.array([np.cos(0.5), np.sin(0.5)])
    points = place[:, None] + np.array([0.0, outer - 0.001, outer + 0.02])[:, None] * along
    np.testing.assert_allclose(box.gap(specs, points, place=place, yaw=yaw), [[0.0, 0.0, 0.02]], atol=1e-12)


def test_props_begin_on_opposite_sides_and_a_mirrored_yaw_turns_with_the_side():
    near, yaw = ((0.4, 0.1), (0.5, 0.2)), (0.2, 0.9)
    sides = OppositeSides(OpenBox("box"), near, yaw, Car("toy"), near, yaw, mirrored=True)
    generator = np.random.default_rng(0)
    drawn = stack_parameters([draw_parameters(sides.parameter_specs(), Level.TASK, generator) for _ in range(50)])
    (first, first_yaw), (second, second_yaw) = sides.poses(drawn)
    assert set(np.sign(first[:, 1])) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.sign(first[:, 1]), -np.sign(second[:, 1]))
    np.testing.assert_array_equal(np.sign(first_yaw), -np.sign(first[:, 1]))
    assert (second_yaw > 0.0).all()


def test_a_prop_stands_upright_at_its_place():
    environment = TaskEnvironment("clearing-box", num_envs=2, pixels=False)
    toy, model = environment.task.toy, environment.physics.model
    qpos = np.zeros((2, model.nq))
    toy.stand(model, environment.parameters, qpos, place=np.array([0.4, 0.2]), yaw=np.array([0.3, 0.4]))
    address = model.joint("toy").qposadr[0]
    np.testing.assert_array_equal(qpos[:, address + 3 : address + 7], yaw_quaternion(np.array([0.3, 0.4])))
    np.testing.assert_array_equal(qpos[:, address + 2], toy.rest_height(environment.parameters))


def test_hues_are_a_circle():
    np.testing.assert_allclose(hsv_colors(np.array([-0.25, 0.5, 0.8])), hsv_colors(np.array([0.75, 0.5, 0.8])))
