import numpy as np
import pytest
from poses import moved, pose

from handful.errors import ConfigurationError, DataError
from handful.simulation.randomization import Level
from handful.tasks import order_fulfillment
from handful.tasks.environment import TaskEnvironment
from handful.tasks.order import BOX_OF, GREEN, RED, TOYS, present
from handful.tasks.order_fulfillment import PARKED, OrderFulfillment
from handful.tasks.registry import make_task


@pytest.fixture(scope="module")
def shared():
    environment = TaskEnvironment(OrderFulfillment(), num_envs=32, randomization="full", seed=4)
    environment.reset()
    return environment


@pytest.fixture
def environment(shared):
    """Orders at their start; whatever a test moves is put back."""
    before = shared.physics.get_state()
    yield shared
    shared.physics.set_state(np.arange(shared.num_envs), before)


def test_orders_are_of_one_to_four_toys_of_either_kind():
    task, generator = OrderFulfillment(), np.random.default_rng(0)
    draws = [task.draw(generator, Level.TASK) for _ in range(200)]
    there = present({name: np.stack([draw[name] for draw in draws]) for name in ("order.size", "order.priority")})
    assert set(there.sum(axis=1)) == {1, 2, 3, 4}
    assert (there.mean(axis=0) > 0.5).all()
    assert present({name: value[None] for name, value in task.draw(generator, Level.NONE).items()}).all()


def test_a_variant_resumes_in_an_order_of_the_task_itself_that_it_never_draws():
    def one_toy() -> TaskEnvironment:
        return TaskEnvironment(make_task("order-fulfillment", "one-toy"), num_envs=1, pixels=False, num_threads=1)

    variant = one_toy()
    variant.reset(seeds=[0])
    whole = {name: values[0].copy() for name, values in variant.parameters.items()} | {"order.size": np.array(4.5)}
    variant.restore(np.array([0]), [whole], variant.physics.get_state())  # as an episode begins in a demonstration
    state = variant.state_dict()
    one_toy().load_state_dict(state)
    with pytest.raises(DataError, match=r"the parameter 'order.size' is 7, expected 1 to 5\."):
        one_toy().load_state_dict({**state, "parameters": {**state["parameters"], "order.size": np.array([7.0])}})


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
    for group in ("physical_state", "object_positions"):
        names = environment.spec.observations[group].names
        for k, toy in enumerate(TOYS):
            columns = [i for i, name in enumerate(names) if toy in name]
            assert len(columns) == (
                9 if group == "physical_state" else 0
            )  # vectors, flags, and whether it is the target
            assert (step[group][~there[:, k]][:, columns] == 0.0).all()
            if group == "physical_state":
                assert (step[group][there[:, k]][:, columns] != 0.0).sum(axis=1).min() >= 7
        for kind, mask in (("plane", ~there[:, :2].any(axis=1)), ("car", ~there[:, 2:].any(axis=1))):
            columns = [i for i, name in enumerate(names) if f"nearest_{kind}" in name]
            assert mask.any() and (step[group][mask][:, columns] == 0.0).all()


def test_stage_reward_and_score_count_the_toys_in_their_right_boxes(environment):
    task, there = environment.task, present(environment.parameters)
    count, number, score = np.zeros(environment.num_envs), there.sum(axis=1), np.zeros(environment.num_envs)
    for k, (toy, box) in enumerate(zip(TOYS, BOX_OF, strict=True)):
        toy_pose = pose(environment, toy)
        saved = toy_pose.copy()
        toy_pose[:, :3] = pose(environment, RED if box == GREEN else GREEN)[:, :3]
        snapshot = moved(environment)
        stage = task.stage(snapshot)
        assert task.reward(snapshot, stage) == pytest.approx(count / number)  # the wrong box pays nothing
        toy_pose[:] = saved
        toy_pose[there[:, k], :3] = pose(environment, box)[there[:, k], :3]
        count += there[:, k]
        snapshot = moved(environment)
        stage, score = task.stage(snapshot), count / number
        assert task.reward(snapshot, stage) == pytest.approx(score)
        assert task.score(snapshot, stage) == pytest.approx(score)
        assert (stage == np.where(count == number, 16, 4 * count)).all()
    assert (score == 1.0).all()
    names = environment.spec.observations["object_features"].names
    features = environment._observer.observe(environment.snapshot)["object_features"]
    assert (features == (np.array(names) == "share_delivered")).all()  # no target is left: zeros, and all is delivered


def test_the_toy_to_deliver_next_is_reached_held_and_then_over_its_box(environment):
    task = environment.task
    number, parameters = present(environment.parameters).sum(axis=1), environment.parameters
    assert task.stages[:5] == ("start", "reach", "hold", "over", "one") and task.stages[14] == "three hold"
    assert task.stage(environment.snapshot).tolist() == [0] * environment.num_envs
    tool = environment.snapshot.tcp_position.copy()

    def put_target(place):
        index, exists = task.target(environment.snapshot)
        assert exists.all()
        for k, toy in enumerate(TOYS):
            pose(environment, toy)[index == k, :3] = place[index == k]
        snapshot = moved(environment)
        assert (task.target(snapshot)[0] == index).all()
        return index, task.stage(snapshot), task.reward(snapshot, task.stage(snapshot))

    index, stage, reward = put_target(tool)  # the tool is far above the table
    half_height = np.stack([toy.rest_height(parameters) for toy in task.toys], axis=1)[np.arange(len(index)), index]
    assert (stage == 2).all() and reward == pytest.approx(0.25 / number)
    on_table = np.column_stack([tool[:, :2], half_height])
    assert (put_target(on_table)[1] == 0).all()
    for box, toys in ((GREEN, index < 2), (RED, index >= 2)):  # far beneath the tool, where it holds no other toy
        pose(environment, box)[toys, :3] = tool[toys] - [0.0, 0.0, 1.0]
    _, stage, reward = put_target(tool)
    assert (stage == 3).all() and reward == pytest.approx(0.5 / number)


def test_a_toy_in_its_box_is_delivered_once_the_hand_has_let_go_of_it(environment):
    task, arm = environment.task, environment.task.arm
    number = present(environment.parameters).sum(axis=1)
    index, _ = task.target(environment.snapshot)
    tool = environment.snapshot.tcp_position.copy()
    for name, toys in ((GREEN, index < 2), (RED, index >= 2)):
        pose(environment, name)[toys, :3] = tool[toys] - [0.0, 0.0, 0.02]
    for k, toy in enumerate(TOYS):
        pose(environment, toy)[index == k, :3] = tool[index == k]
    fingers = environment.physics.qpos[:, arm.num_arm : arm.num_joints]
    fingers[:] = 0.8
    snapshot = moved(environment)
    assert (task.target(snapshot)[0] == index).all() and not task.delivered(snapshot).any()
    assert (task.stage(snapshot) == 3).all()
    assert task.reward(snapshot, task.stage(snapshot)) == pytest.approx(0.5 / number)
    fingers[:] = 0.2
    snapshot = moved(environment)
    assert (task.delivered(snapshot) == (index[:, None] == np.arange(len(TOYS)))).all()
    assert task.reward(snapshot, task.stage(snapshot)) == pytest.approx(1.0 / number)


def test_features_lead_from_the_tool_to_the_target_and_on_to_its_box(environment):
    names = environment.spec.observations["object_features"].names
    features = dict(zip(names, environment._observer.observe(environment.snapshot)["object_features"].T, strict=True))
    index, _ = environment.task.target(environment.snapshot)
    way = [features[f"tcp_to_target_{axis}"] + features[f"target_to_its_box_{axis}"] for axis in "xyz"]
    snapshot = environment.snapshot
    box = np.where((index < 2)[:, None], snapshot.position(GREEN), snapshot.position(RED))
    np.testing.assert_allclose(np.stack(way, axis=1), box - snapshot.tcp_position, atol=1e-6)
    assert (features["target_is_plane"] == (index < 2)).all() and (features["share_delivered"] == 0.0).all()


def test_a_variant_draws_smaller_orders_and_is_the_same_to_a_policy(environment):
    task, generator = make_task("order-fulfillment", "two-toys"), np.random.default_rng(0)
    draws = [task.draw(generator, Level.TASK) for _ in range(60)]
    assert {int(draw["order.size"]) for draw in draws} == {1, 2}
    small = TaskEnvironment(task, num_envs=1, pixels=False)
    for group in ("physical_state", "object_features", "object_positions"):
        assert small.spec.observations[group] == environment.spec.observations[group]
    assert (small.spec.stages, small.spec.stage_rewards) == (environment.spec.stages, environment.spec.stage_rewards)
    with pytest.raises(
        ConfigurationError, match="unknown variant of order-fulfillment 'one-toys': did you mean 'one-toy'"
    ):
        make_task("order-fulfillment", "one-toys")
    with pytest.raises(ConfigurationError, match="block-lifting has no variants: leave out the variant 'easy'"):
        make_task("block-lifting", "easy")


def test_the_nearest_toy_to_deliver_is_one_that_is_there_and_not_delivered(environment):
    two = present(environment.parameters)[:, :2].all(axis=1)
    assert two.any()
    first = environment.task.nearest(moved(environment))[0][:, 0]
    for k, toy in enumerate(TOYS[:2]):
        which = two & (first == k)
        pose(environment, toy)[which, :3] = pose(environment, GREEN)[which, :3]
    second = environment.task.nearest(moved(environment))[0][:, 0]
    assert (second[two] == 1 - first[two]).all()
