import dataclasses
import logging

import mujoco
import numpy as np
import pytest
import warp

from handful.errors import ConfigurationError, DataError
from handful.simulation import jaco, scene
from handful.simulation.physics.cpu import BatchPhysics
from handful.tasks.environment import TaskEnvironment
from handful.tasks.lifting import BlockLifting
from handful.tasks.task import compile_task

TOLERANCE = {"cpu": 0.0, "cuda": 1e-4}
"""Between two runs of the same: a GPU adds up in any order, of which a few steps make no more than this (never measured)."""


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return compile_task(BlockLifting())


@pytest.fixture(scope="module")
def make(model, device):
    """Makes physics with the arm at home and the block on the table."""
    from handful.simulation.physics.cuda import WarpPhysics

    def make_physics(num_envs: int = 3, **options) -> WarpPhysics:
        options = {"control_timestep": scene.CONTROL_TIMESTEP, "num_threads": 1, "device": device, **options}
        physics = WarpPhysics(model, num_envs=num_envs, **options)
        physics.place(np.arange(num_envs), _home(model, num_envs))
        return physics

    return make_physics


def _home(model, num_envs: int) -> np.ndarray:
    qpos = np.tile(model.qpos0, (num_envs, 1))
    qpos[:, : len(jaco.JOINTS)] = jaco.HOME_QPOS
    qpos[:, len(jaco.JOINTS) + 2] -= (
        1e-4  # in the table, not at its surface, where float32 may or may not find a contact
    )
    return qpos


def _commands(num_steps: int, num_envs: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (num_steps, num_envs, 9))


def _assert_same(left: np.ndarray, right: np.ndarray, device: str) -> None:
    np.testing.assert_allclose(left, right, rtol=0, atol=TOLERANCE[device])


def test_a_saved_state_goes_on(make, device):
    physics, commands = make(), _commands(4)
    for command in commands[:2]:
        physics.step(command)
    saved = physics.get_state()
    for command in commands[2:]:
        physics.step(command)
    fresh = make()
    fresh.set_state(np.arange(3), saved)
    assert (fresh.get_state() == saved).all()
    for command in commands[2:]:
        fresh.step(command)
    _assert_same(fresh.get_state(), physics.get_state(), device)


def test_derived_fields_are_current_after_a_step(make):
    physics = make()
    physics.step(_commands(1)[0])
    stepped = physics.site_xpos.copy()
    physics.forward(np.arange(3))
    assert (physics.site_xpos == stepped).all()


def test_placing_one_simulation_leaves_the_others_alone_to_the_bit(make, model, device):
    physics, undisturbed = make(), make()
    commands = _commands(4)
    for command in commands[:2]:
        physics.step(command)
        undisturbed.step(command)
    before, poses = physics.get_state(), physics.xpos.copy()
    physics.update_constants(np.array([1]))
    physics.place(np.array([1]), _home(model, 1))
    others = [0, 2]
    assert (physics.get_state()[others] == before[others]).all()
    assert (physics.xpos[others] == poses[others]).all()
    assert (physics.get_state()[1] != before[1]).any()
    for command in commands[2:]:
        physics.step(command)
        undisturbed.step(command)
    _assert_same(physics.get_state()[others], undisturbed.get_state()[others], device)


def test_fields_of_one_simulation_do_not_leak_to_the_others(make, model):
    physics, block = make(), model.body("block").id
    physics.field("body_mass")[1, block] = 0.4
    physics.field("geom_size")[1, model.geom("block").id] = 0.01
    physics.update_constants(np.array([1]))
    masses = physics.warp_model.body_mass.numpy()[:, block]
    np.testing.assert_allclose(masses, [model.body_mass[block], 0.4, model.body_mass[block]], rtol=1e-6)
    assert physics.model_of(1).body_subtreemass[block] == pytest.approx(0.4)
    sizes = physics.warp_model.geom_size.numpy()
    np.testing.assert_array_equal(sizes[0], sizes[2])
    np.testing.assert_allclose(sizes[1, model.geom("block").id], 0.01)


def test_constants_are_those_of_the_cpu(make, model):
    from handful.simulation.physics.cuda import CONSTANTS

    cpu = BatchPhysics(model, num_envs=3, control_timestep=scene.CONTROL_TIMESTEP, num_threads=1)
    physics = make()
    for each in (cpu, physics):
        each.field("body_mass")[2] *= 1.5
        each.field("dof_armature")[0] *= 2.0
        each.update_constants(np.array([0, 2]))
    for name in CONSTANTS:
        on_device = getattr(physics.warp_model, name).numpy()
        expected = cpu.field(name).reshape(on_device.shape)
        np.testing.assert_allclose(on_device, expected, rtol=1e-6, atol=1e-7, err_msg=name)


def test_what_differs_between_simulations_moves_them_as_on_the_cpu(make, model):
    cpu = BatchPhysics(model, num_envs=2, control_timestep=scene.CONTROL_TIMESTEP, num_threads=1)
    cpu.place(np.arange(2), _home(model, 2))
    physics = make(num_envs=2)
    for each in (cpu, physics):
        each.field("dof_armature")[1, : len(jaco.JOINTS)] *= 20.0
        each.update_constants(np.array([1]))
        each.step(np.full((2, 9), 0.3))
    np.testing.assert_allclose(physics.qpos, cpu.qpos, rtol=0, atol=1e-5)  # float32 rounds metres to 1e-7
    assert np.abs(physics.qpos[0] - physics.qpos[1]).max() > 1e-3


def test_the_jacobian_is_that_of_the_cpu(make, model):
    cpu = BatchPhysics(model, num_envs=3, control_timestep=scene.CONTROL_TIMESTEP, num_threads=1)
    physics = make()
    physics.step(_commands(1)[0])
    before = physics.get_state()
    cpu.set_state(np.arange(3), before)
    np.testing.assert_allclose(physics.jacobian(jaco.TCP_SITE), cpu.jacobian(jaco.TCP_SITE), rtol=0, atol=1e-5)
    assert (physics.get_state() == before).all()


@pytest.mark.parametrize(("size", "named"), [({"nconmax": 1}, "nconmax"), ({"njmax": 4}, "njmax")])
def test_contacts_lost_for_too_small_a_capacity_are_logged_once_and_counted(make, caplog, size, named):
    physics = make(capacity=dataclasses.replace(make().capacity, **size))
    with caplog.at_level(logging.WARNING):
        physics.step(np.zeros((3, 9)))
        physics.step(np.zeros((3, 9)))
    assert physics.overflows.latest.all()
    assert physics.num_overflows == 6
    assert len(caplog.records) == 1
    assert named in caplog.text


def test_the_capacity_suffices_for_a_block_on_the_table(make):
    physics = make()
    physics.step(np.zeros((3, 9)))
    assert physics.num_overflows == 0
    assert not physics.overflows.latest.any()


def test_physics_that_blows_up_is_reported_and_disturbs_no_other(make, model, device):
    physics, undisturbed = make(), make()
    state = physics.get_state()
    state[1, 1 + model.nq + 10] = 1e30
    physics.set_state(np.arange(3), state)
    undisturbed.set_state(np.array([0, 2]), state[[0, 2]])
    command = _commands(1)[0]
    assert physics.step(command).tolist() == [False, True, False]
    undisturbed.step(command)
    np.testing.assert_allclose(physics.qpos[1], model.qpos0, atol=1e-7)
    physics.place(np.array([1]), _home(model, 1))
    undisturbed.place(np.array([1]), _home(model, 1))
    for command in _commands(2, seed=1):
        assert not physics.step(command).any()
        undisturbed.step(command)
    _assert_same(physics.get_state(), undisturbed.get_state(), device)


def test_copies_on_the_host_cannot_be_taken_for_the_state(make):
    with pytest.raises(ValueError, match="read-only"):
        make().qpos[0] = 0.0


def test_a_field_that_is_one_for_all_is_refused(make):
    with pytest.raises(ConfigurationError, match="'geom_type' cannot differ between simulations on the backend cuda"):
        make().field("geom_type")


def test_a_state_that_does_not_fit_is_refused(make):
    with pytest.raises(DataError, match="expected 1 states of"):
        make().set_state(np.array([1]), np.zeros((1, 3)))


def test_an_array_that_is_replaced_is_counted_once(make):
    physics = make()
    before = physics.num_replaced
    physics.field("geom_rgba")
    physics.field("geom_rgba")
    assert physics.num_replaced == before + 1


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)
def test_a_graph_is_captured_again_when_an_array_is_replaced(make, model, device):
    physics, plain = make(), make()
    for command in _commands(3):  # the second step captures
        physics.step(command)
    physics.field("dof_damping")[:, :6] *= 10.0
    physics.update_constants(np.arange(3))
    plain.field("dof_damping")[:, :6] *= 10.0
    plain.update_constants(np.arange(3))
    plain.set_state(np.arange(3), physics.get_state())
    command = _commands(1, seed=1)[0]
    physics.step(command)
    plain.step(command)  # its first step, launched kernel by kernel
    _assert_same(physics.get_state(), plain.get_state(), device)


def test_without_a_gpu_the_choices_are_named(monkeypatch):
    monkeypatch.setattr(warp, "is_cuda_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no CUDA device .* the choices here are: cpu"):
        TaskEnvironment("block-lifting", num_envs=1, pixels=False, backend="cuda")


def test_an_unknown_backend_is_refused():
    with pytest.raises(ConfigurationError, match="unknown backend 'cud': did you mean 'cuda'"):
        TaskEnvironment("block-lifting", num_envs=1, pixels=False, backend="cud")
