import mujoco
import numpy as np
import pytest

from handful.errors import ConfigurationError, DataError
from handful.simulation import jaco, scene
from handful.simulation.physics.cpu import BatchPhysics
from handful.tasks.lifting import BlockLifting
from handful.tasks.task import compile_task


@pytest.fixture(scope="module")
def model():
    return compile_task(BlockLifting())


def _physics(model, num_envs: int, num_threads: int = 1) -> BatchPhysics:
    physics = BatchPhysics(model, num_envs=num_envs, control_timestep=scene.CONTROL_TIMESTEP, num_threads=num_threads)
    qpos = np.tile(model.qpos0, (num_envs, 1))
    qpos[:, : len(jaco.JOINTS)] = jaco.HOME_QPOS
    physics.place(np.arange(num_envs), qpos)
    return physics


def test_a_saved_state_goes_on_to_the_bit(model):
    physics = _physics(model, 3)
    commands = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 3, 9))
    for command in commands[:20]:
        physics.step(command)
    saved = physics.get_state()
    for command in commands[20:]:
        physics.step(command)
    expected = physics.get_state()
    fresh = _physics(model, 3)
    fresh.set_state(np.arange(3), saved)
    for command in commands[20:]:
        fresh.step(command)
    assert (fresh.get_state()[:, 1:] == expected[:, 1:]).all()


def test_derived_fields_are_current_after_a_step(model):
    physics = _physics(model, 2)
    physics.step(np.full((2, 9), 0.3))
    stepped = physics.site_xpos.copy()
    physics.forward(np.arange(2))
    assert (physics.site_xpos == stepped).all()


def test_the_number_of_threads_does_not_change_a_bit(model):
    one, two = _physics(model, 5, num_threads=1), _physics(model, 5, num_threads=2)
    for command in np.random.default_rng(1).uniform(-1, 1, (20, 5, 9)):
        one.step(command)
        two.step(command)
    assert (one.get_state() == two.get_state()).all()


def test_physics_that_blows_up_is_reported_for_that_simulation_alone(model):
    physics = _physics(model, 3)
    physics.qvel[1, 10] = 1e12
    assert physics.step(np.zeros((3, 9))).tolist() == [False, True, False]
    assert not physics.step(np.zeros((3, 9))).any()


@pytest.mark.parametrize("kind", ["qpos", "qvel", "ctrl"])
def test_every_divergence_is_reported_however_often_it_comes(model, kind):
    physics = _physics(model, 3)
    for _ in range(4):
        command = np.zeros((3, 9))
        if kind == "ctrl":
            command[1] = np.nan
        else:
            getattr(physics, kind)[1, 10] = np.nan if kind == "qpos" else 1e12
        assert physics.step(command).tolist() == [False, True, False]
        assert not physics.step(np.zeros((3, 9))).any()


def test_lost_contacts_stay_counted_when_a_simulation_diverges(model):
    physics = _physics(model, 2)
    physics._batch.warning[0, int(mujoco.mjtWarning.mjWARN_CONTACTFULL), 1] = 3
    physics.qvel[0, 10] = 1e12
    assert physics.step(np.zeros((2, 9))).tolist() == [True, False] and physics.num_overflows == 3
    physics.step(np.zeros((2, 9)))
    assert physics.num_overflows == 3


def test_sizes_and_masses_of_one_simulation_leave_the_others_alone(model):
    physics = _physics(model, 2)
    block = model.body("block").id
    physics.field("body_mass")[0, block] = 0.4
    physics.update_constants(np.array([0]))
    before = physics.get_state()
    assert physics.field("body_subtreemass")[:, block].tolist() == pytest.approx([0.4, 0.1])
    assert (physics.get_state() == before).all()


@pytest.mark.parametrize(
    ("state", "message"),
    [(np.zeros((1, 3)), "expected 1 states of"), (np.full((1, 56), np.nan), "not finite")],
)
def test_a_state_that_does_not_fit_is_refused(model, state, message):
    with pytest.raises(DataError, match=message):
        _physics(model, 2).set_state(np.array([1]), state)


def test_times_that_do_not_divide_are_refused(model):
    with pytest.raises(ConfigurationError, match="not a multiple"):
        BatchPhysics(model, num_envs=1, control_timestep=0.012)
