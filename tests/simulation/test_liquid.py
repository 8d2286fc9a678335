"""A liquid stays where its vessel keeps it, and what was spilled comes to rest."""

import numpy as np
import pytest

from handful.simulation.props.liquid import BALL_SHARES, NUM_BALLS, settled_heap
from handful.simulation.props.mug import NORMALS
from handful.simulation.scene import TABLE
from handful.tasks.environment import TaskEnvironment


def _environment(num_envs, **settings):
    environment = TaskEnvironment("pouring", num_envs=num_envs, randomization="full", pixels=False, **settings)
    environment.reset()
    return environment


def _balls(environment):
    return environment.task.liquid.positions(environment.physics)


@pytest.mark.parametrize("share", BALL_SHARES)
def test_a_heap_lies_within_its_mug_without_overlap(share):
    heap = settled_heap(share)
    assert heap.shape == (NUM_BALLS, 3)
    yielding = 0.05  # of the mug's radius, 1.2 mm: contacts are soft, and the lowest balls bear the others
    assert heap[:, 2].min() > share - yielding
    assert (heap[:, :2] @ NORMALS.T).max() < 1.0 - share + yielding
    apart = np.linalg.norm(heap[:, None] - heap[None], axis=2)[np.triu_indices(NUM_BALLS, 1)]
    assert apart.min() > 2.0 * share - yielding


def test_balls_begin_at_rest_in_every_mug():
    environment = _environment(64, seed=3)
    before = _balls(environment).copy()
    for _ in range(10):
        environment.step(np.zeros((64, 9)))
    assert np.abs(_balls(environment) - before).max() < 2e-3
    assert np.abs(environment.task.liquid.velocities(environment.physics)).max() < 0.02


def test_balls_are_put_where_the_mug_stands():
    environment = _environment(8, seed=5)
    qpos = environment.physics.qpos.copy()
    environment.task.liquid.put(environment.physics.model, environment.parameters, qpos)
    np.testing.assert_allclose(qpos, environment.physics.qpos, atol=1e-12)


def test_each_simulation_has_balls_of_its_own():
    environment = _environment(8, seed=5)
    physics = environment.physics
    ball = physics.model.geom("liquid/0").id
    assert len(set(physics.field("geom_size")[:, ball, 0])) == 8
    assert len({tuple(color) for color in physics.field("geom_rgba")[:, ball]}) == 8
    assert len(set(physics.field("body_mass")[:, physics.model.body("liquid/0").id])) == 8


def _thrash(environment, num_steps, seed):
    """Steps of an agent that holds on to each of its random velocities for a while, and so knocks things over."""
    generator = np.random.default_rng(seed)
    for step in range(num_steps):
        if step % 8 == 0:
            action = generator.uniform(-1.0, 1.0, (environment.num_envs, 9))
        yield environment.step(action)


@pytest.mark.slow
def test_no_ball_passes_through_table_or_walls_when_the_mug_is_knocked_about():
    environment = _environment(16, seed=2)
    physics = environment.physics
    table = physics.model.geom(TABLE).id
    middle, half_size = physics.model.geom_pos[table], physics.model.geom_size[table]
    for step in _thrash(environment, 200, seed=2):
        assert not step.terminated.any()
        inside = (np.abs(_balls(environment) - middle) < half_size - 0.003).all(axis=2)
        assert not inside.any()
    upright = environment.snapshot.rotation("mug")[:, 2, 2] > 0.9
    assert environment.task.balls_in_mug(environment.snapshot)[upright].all()


def test_spilled_balls_come_to_rest():
    environment = _environment(4, seed=7)
    physics = environment.physics
    generator = np.random.default_rng(0)
    _balls(environment)[:] += generator.uniform((-0.05, -0.05, 0.1), (0.05, 0.05, 0.2), (4, NUM_BALLS, 3))
    environment.task.liquid.velocities(physics)[:] = generator.normal(0.0, 0.5, (4, NUM_BALLS, 3))
    for _ in range(80):
        environment.step(np.zeros((4, 9)))
    on_table = _balls(environment)[..., 2] > 0.0
    speed = np.linalg.norm(environment.task.liquid.velocities(physics), axis=2)
    assert on_table.mean() > 0.9
    assert speed[on_table].max() < 0.01


def test_balls_do_not_pass_through_the_hand():
    """A ball dropped upon the wrist slides off it sideways; one beside the hand falls straight to the table."""
    environment = _environment(1, seed=1)
    tool = environment.snapshot.tcp_position[0]
    start = tool + np.array([[0.0, 0.0, 0.30], [0.15, 0.0, 0.05]])
    _balls(environment)[0, :2] = start
    for _ in range(20):
        environment.step(np.zeros((1, 9)))
    aside = np.linalg.norm((_balls(environment)[0, :2] - start)[:, :2], axis=1)
    assert aside[0] > 0.03
    assert aside[1] < 0.001
    assert (_balls(environment)[0, :2, 2] < 0.02).all()
