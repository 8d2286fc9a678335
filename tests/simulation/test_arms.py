"""What must be true of every arm, and that tasks are done with each of them."""

from __future__ import annotations

import importlib.util

import mujoco
import numpy as np
import pytest

import handful
from handful.cli.main import run_command_line
from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.errors import ConfigurationError
from handful.learning.evaluation import evaluate_policy
from handful.simulation import scene
from handful.simulation.arm import CLOSED, OPEN
from handful.simulation.arms import ARMS, DEFAULT_ARM, find_arm

TASK = "block-lifting"
DOWN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@pytest.fixture(scope="module", params=ARMS)
def arm(request):
    return find_arm(request.param)


@pytest.fixture(scope="module")
def model(arm):
    return scene.build_scene(arm).compile()


def at_home(arm, model) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[: arm.num_arm] = arm.home
    data.qpos[arm.num_arm : arm.num_joints] = arm.finger_open
    mujoco.mj_forward(model, data)
    return data


def test_its_joints_come_first_and_each_has_a_servo_in_the_same_order(arm, model):
    assert [model.joint(i).name for i in range(arm.num_joints)] == list(arm.all_joints)
    assert model.nq == model.nv == model.nu == arm.num_joints
    assert [model.joint(model.actuator_trnid[i, 0]).name for i in range(model.nu)] == list(arm.all_joints)
    ones = arm.velocity_commands(np.ones((1, arm.num_joints)), 1)[0]
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 1], ones)
    for material in (*arm.materials[0], *arm.materials[1]):
        assert model.material(material).id >= 0
    low, high = model.jnt_range[: arm.num_arm].T
    limited = model.jnt_limited[: arm.num_arm] == 1
    assert ((arm.home > low) & (arm.home < high))[limited].all()


def test_at_home_the_tool_points_down_at_the_table(arm, model):
    data = at_home(arm, model)
    np.testing.assert_allclose(data.site(arm.tool_site).xpos, (0.45, 0.0, 0.20), atol=2e-3)
    np.testing.assert_allclose(data.site(arm.tool_site).xmat.reshape(3, 3), DOWN, atol=2e-2)
    assert data.ncon == 0


def test_a_command_of_zero_holds_and_a_positive_one_closes_the_fingers(arm, model):
    data = at_home(arm, model)
    for _ in range(100):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos[: arm.num_arm], arm.home, atol=2e-3)
    assert np.abs(data.qvel).max() < 1e-2
    fingers = slice(arm.num_arm, arm.num_joints)
    np.testing.assert_allclose(arm.finger_angles(data.qpos[fingers]), OPEN, atol=2e-2)
    data.ctrl[fingers] = arm.velocity_commands(np.ones((1, arm.num_joints)), 1)[0, fingers]
    for _ in range(60):  # half of the way takes 0.6 s
        mujoco.mj_step(model, data)
    angles = arm.finger_angles(data.qpos[fingers])
    assert ((angles > OPEN + 0.4) & (angles < CLOSED - 0.4)).all()
    np.testing.assert_allclose(arm.finger_positions(angles), data.qpos[fingers])
    assert (arm.finger_rates(data.qvel[fingers]) > 0.5).all()


@pytest.mark.long
@pytest.mark.parametrize("task", ["block-lifting", "block-stacking", "clearing-blocks"])
@pytest.mark.parametrize(
    "name", [name for name in ARMS if name != DEFAULT_ARM]
)  # whose scripts have tests of their own
def test_the_script_does_a_task_with_it(task, name):
    environment = handful.make(task, arm=name, num_envs=8, pixels=False, randomization="full")
    result = evaluate_policy(ScriptedActor(environment, seed=0), environment, num_episodes=8, seed=0)
    environment.close()
    assert result.success_rate >= 7 / 8


@pytest.mark.long
def test_another_arm_is_demonstrated_with_learned_and_evaluated(tmp_path, capfd):
    run = tmp_path / "run"
    sizes = ("--num-envs", "4", "--rollout-steps", "10", "--ppo.num-minibatches", "2", "--num-threads", "1")
    path = tmp_path / "two.hdf5"
    words = ["demonstrate", TASK, "--arm", "panda", "--num-episodes", "2", "--output", str(path)]
    assert run_command_line(words) == 0
    words = [
        "train",
        TASK,
        "--arm",
        "panda",
        "--recipe",
        "quick",
        *sizes,
        "--demonstrations",
        str(path),
        "--run",
        str(run),
    ]
    assert run_command_line([*words, "--num-steps", "80"]) == 0
    assert run_command_line(["evaluate", TASK, "--policy", str(run), "--num-episodes", "1"]) == 0
    assert handful.load_policy(run).manifest.action.shape == (9,)
    capfd.readouterr()
    words = [word for word in words if word not in ("--arm", "panda")]  # the demonstrations are of another arm
    assert run_command_line([*words[:-1], str(tmp_path / "other"), "--num-steps", "80"]) != 0
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and "Traceback" not in err


def test_what_cannot_be_is_one_sentence(monkeypatch):
    with pytest.raises(ConfigurationError, match="unknown arm 'pandas': did you mean 'panda'"):
        handful.make(TASK, arm="pandas")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install gymnasium-robotics"):
        handful.make(TASK, arm="panda")
