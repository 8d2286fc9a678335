import numpy as np
import pytest
from poses import moved, pose

from handful.errors import ConfigurationError
from handful.simulation.randomization import Level
from handful.tasks import order_fulfillment
from handful.tasks.environment import TaskEnvironment
from handful.tasks.order_fulfillment import BOX_OF, GREEN, PARKED, RED, TOYS, OrderFulfillment, present


@pytest.fixture(scope="module")
def environment():
    environment = TaskEnvironment(OrderFulfillment(), num_envs=32, randomization="full", seed=4)
    environment.reset()
    return environment


def test_orders_are_of_one_to_four_toys_of_either_kind():
    task, generator = OrderFulfillment(), np.random.default_rng(0)
    draws = [task.draw(generator, Level.TASK) for _ in range(200)]
    there = present({name: np.stack([draw[name] for draw in draws]) for name in ("order.size", "order.priority")})
    assert set(there.sum(axis=1)) == {1, 2, 3, 4}
    assert (there.mean(axis=0) > 0.5).all()
    assert present({name: value[None] for name, value in task.draw(generator, Level.NONE).items()}).all()


def test_toys_that_are_there_begin_apart(environment):
    there, places = present(environment.parameters), environment.parameters["toys.place"]
    for mask, place in zip(there, places, strict=True):
        between = np.linalg.norm(place[mask][:, None] - place[mask][None], axis=-1)
        assert (between[np.triu_indices(mask.sum(), 1)] > order_fulfillment.APART).all()


def test_an_order_for_which_there_is_no_room_is_refused(monkeypatch):
    monkeypatch.setattr(order_fulfillment, "APART", 1.0)
    monkeypatch.setattr(order_fulfillment, "MAX_DRAWS", 640)
    with pytest.raises(ConfigurationError, match="found no room for 4 toys in 640 draws"):
        OrderFulfillment().draw(np.random.default_rng(0), Level.NONE)


def test_absent_toys_stay_where_they_are_and_touch_nothing():
    environment = TaskEnvironment(OrderFulfillment(), num_envs=16, randomization="full", seed=5, pixels=False)
    environment.reset()
    absent = ~present(environment.parameters)
    for _ in range(20):
        environment.step(np.zeros((16, 9)))
    for k, toy in enumerate(TOYS):
        np.testing.assert_allclose(pose(environment, toy)[absent[:, k], 2], PARKED, atol=1e-9)


def test_absent_toys_leave_no_pixel(environment):
    image = environment.render()
    for k, toy in enumerate(TOYS):
        absent = ~present(environment.parameters)[:, k]
        toy_pose, model = pose(environment, toy), environment.physics.model
        before = toy_pose.copy()
        toy_pose[absent, :3] = (0.45, 0.0, 0.1)  # even in full view
        moved(environment)
        assert (environment.render()[absent] == image[absent]).all()
        toy_pose[:] = before
        moved(environment)
        geoms = [model.geom(f"{toy}/{part.name}").id for part in environment.task.toys[k].parts]
        assert (environment.physics.field("geom_rgba")[:, geoms, 3] == ~absent[:, None]).all()


def test_absent_toys_count_as_zeros(environment):
    step = environment._observer.observe(environment.snapshot)
    there = present(environment.parameters)
    for group in ("physical_state", "object_features", "object_positions"):
        names = environment.spec.observations[group].names
        for k, toy in enumerate(TOYS):
            columns = [i for i, name in enumerate(names) if name.startswith(toy)]
            assert (step[group][~there[:, k]][:, columns] == 0.0).all()
        for kind, mask in (("plane", ~there[:, :2].any(axis=1)), ("car", ~there[:, 2:].any(axis=1))):
            columns = [i for i, name in enumerate(names) if f"nearest_{kind}" in name]
            assert mask.any() and (step[group][mask][:, columns] == 0.0).all()


def test_stage_and_reward_count_the_toys_in_their_right_boxes(environment):
    task, there = environment.task, present(environment.parameters)
    rows, expected = np.arange(environment.num_envs), np.zeros(environment.num_envs)
    before = environment.physics.get_state()
    for k, (toy, box) in enumerate(zip(TOYS, BOX_OF, strict=True)):
        toy_pose = pose(environment, toy)
        saved = toy_pose.copy()
        toy_pose[:, :3] = pose(environment, RED if box == GREEN else GREEN)[:, :3]
        assert (task.reward(moved(environment), rows) == expected).all()  # the wrong box pays nothing
        toy_pose[:] = saved
        toy_pose[there[:, k], :3] = pose(environment, box)[there[:, k], :3]
        expected += there[:, k]
        snapshot = moved(environment)
        stage = task.stage(snapshot)
        assert (task.reward(snapshot, stage) == expected).all()
        done = expected == there.sum(axis=1)
        assert (stage == np.where(done, 4, expected)).all()
    assert done.all()
    environment.physics.set_state(rows, before)


def test_the_nearest_toy_to_deliver_is_one_that_is_there_and_not_delivered(environment):
    before = environment.physics.get_state()
    two = present(environment.parameters)[:, :2].all(axis=1)
    assert two.any()
    first = environment.task.nearest(moved(environment))[0][:, 0]
    for k, toy in enumerate(TOYS[:2]):
        which = two & (first == k)
        pose(environment, toy)[which, :3] = pose(environment, GREEN)[which, :3]
    second = environment.task.nearest(moved(environment))[0][:, 0]
    assert (second[two] == 1 - first[two]).all()
    environment.physics.set_state(np.arange(environment.num_envs), before)
