import mujoco
import numpy as np
import pytest

from handful.simulation import jaco, scene
from handful.simulation.arm import VISUAL_GROUP
from handful.simulation.physics.cpu import BatchPhysics


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return scene.build_scene().compile()


@pytest.fixture
def physics(model: mujoco.MjModel) -> BatchPhysics:
    physics = BatchPhysics(model, num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
    qpos = model.qpos0.copy()[None]
    qpos[:, : len(jaco.JOINTS)] = jaco.HOME_QPOS
    physics.place(np.arange(1), qpos)
    return physics


def test_the_arm_has_nine_joints_and_an_actuator_for_each_in_the_same_order(model):
    assert [model.joint(i).name for i in range(9)] == list(jaco.JOINTS)
    assert [model.actuator(i).name for i in range(model.nu)] == list(jaco.JOINTS)
    assert (model.actuator_trnid[:, 0] == np.arange(9)).all()


def test_torques_and_speeds_are_limited_as_the_data_sheet_says(model):
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 1], jaco.VELOCITY_LIMITS)
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 0], -jaco.VELOCITY_LIMITS)
    np.testing.assert_allclose(np.rad2deg(model.actuator_ctrlrange[:6, 1]), [36, 36, 36, 48, 48, 48])
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], [30.5] * 3 + [6.8] * 3 + [1.0] * 3)


def test_at_home_the_tool_points_down_above_the_workspace(physics):
    site = physics.model.site(jaco.TCP_SITE).id
    np.testing.assert_allclose(physics.site_xpos[0, site], [0.45, 0.0, 0.20], atol=2e-3)
    np.testing.assert_allclose(physics.site_xmat[0, site].reshape(3, 3)[:, 2], [0.0, 0.0, -1.0], atol=2e-2)


def test_each_joint_follows_its_velocity_command(physics):
    start = physics.get_state()
    for joint in range(9):
        physics.set_state(np.arange(1), start)
        command = np.zeros((1, 9))
        command[0, joint] = 0.5 * jaco.VELOCITY_LIMITS[joint]
        for _ in range(10):
            physics.step(command)
        # A tenth: the servo leaves an error where gravity's change and friction want torque.
        np.testing.assert_allclose(physics.qvel[0, joint], command[0, joint], rtol=0.1)


def test_without_a_command_the_arm_stays_where_it_is(physics):
    before = physics.qpos[:, :6].copy()
    for _ in range(200):
        physics.step(np.zeros((1, 9)))
    assert np.abs(physics.qpos[:, :6] - before).max() < np.deg2rad(0.2)  # over ten seconds


def test_what_is_seen_weighs_nothing_and_touches_nothing(model):
    looks = model.geom_group == VISUAL_GROUP
    assert looks.sum() > 10
    assert (model.geom_contype[looks] == 0).all() and (model.geom_conaffinity[looks] == 0).all()
    hidden = mujoco.MjSpec.from_file(str(jaco._model_folder() / "jaco_arm.xml")).compile()
    for name in ("b_base", "b_1", "b_2", "b_3", "b_4", "b_5"):
        body = model.body(jaco.ARM_PREFIX + name)
        np.testing.assert_allclose(body.mass, hidden.body(name).mass)
        np.testing.assert_allclose(body.inertia, hidden.body(name).inertia, rtol=1e-6)
