from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from recording import TASK, make_environment

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.files.replaying import replay_file
from handful.demonstrations.files.validation import problems_in
from handful.demonstrations.operators.devices.device import DeviceError, Reading
from handful.demonstrations.operators.hand import Hand
from handful.demonstrations.operators.safe_control import SafeControl
from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.demonstrations.session import DONE, LOST, OVER, PAUSED, READY, RUNNING, SOLVED, DemonstrationSession
from handful.demonstrations.writer import DemonstrationWriter
from handful.errors import ConfigurationError, StorageError
from handful.simulation import jaco
from handful.trajectory import ACTORS

REST, RIGHT = Reading(), Reading(linear=(1.0, 0.0, 0.0))


def press(*names):
    return Reading(presses=names)


@pytest.fixture
def environment():
    environment = make_environment(num_envs=1, pixels=True, horizon=700, randomization="task", num_threads=1)
    yield environment
    environment.close()


def make_session(environment, path, *, policy=None, **options):
    writer = DemonstrationWriter(path, environment, seed=7, append=True)
    actor = ScriptedActor(environment, seed=7) if policy == "scripted" else policy
    return DemonstrationSession(environment, writer, **{"num_wanted": 2, "seed": 7, "policy": actor, **options})


def run_until(session, phase, reading=REST, steps=600):
    for _ in range(steps):
        if session.status.phase == phase:
            return
        session.step(reading)
    raise AssertionError(f"never {phase}: {session.status}")


def test_nothing_moves_until_the_person_does_and_then_every_step_is_recorded(environment, tmp_path):
    session = make_session(environment, tmp_path / "a.hdf5")
    before = environment.physics.get_state()
    for _ in range(5):
        session.step(REST)
    np.testing.assert_array_equal(environment.physics.get_state(), before)
    assert session.status.phase == READY and session.status.seconds == 0.0
    for _ in range(6):
        session.step(RIGHT)
    assert session.status.phase == RUNNING and session.status.seconds == pytest.approx(0.3)
    assert environment.snapshot.tcp_position[0, 1] > 0.01  # to the person's right


def test_letting_go_stops_the_arm(environment, tmp_path):
    session = make_session(environment, tmp_path / "a.hdf5")
    for _ in range(20):
        session.step(RIGHT)
    session.step(REST)
    place = environment.snapshot.tcp_position[0].copy()
    for _ in range(10):
        session.step(REST)
    assert np.linalg.norm(environment.snapshot.tcp_position[0] - place) < 0.003


def test_a_lost_device_stops_time_keeps_what_was_recorded_and_goes_on(environment, tmp_path):
    session = make_session(environment, tmp_path / "a.hdf5")
    for _ in range(10):
        session.step(RIGHT)
    before = environment.physics.get_state()
    for _ in range(10):
        session.step(DeviceError("pulled out."))
    assert session.status.phase == LOST and session.status.message == "pulled out."
    session.step(REST)
    np.testing.assert_array_equal(environment.physics.get_state(), before)
    assert session.status.seconds == pytest.approx(0.5)
    session.step(RIGHT)
    assert session.status.phase == RUNNING and session.status.seconds == pytest.approx(0.55)


def test_pause_discard_and_redo(environment, tmp_path):
    session = make_session(environment, tmp_path / "a.hdf5")
    start = environment.physics.get_state()
    session.step(RIGHT)
    session.step(press("pause"))
    for _ in range(3):
        session.step(RIGHT)
    assert session.status.phase == PAUSED and session.status.seconds == pytest.approx(0.05)
    session.step(press("redo"))
    np.testing.assert_array_equal(environment.physics.get_state(), start)
    session.step(RIGHT)
    session.step(press("discard"))
    assert session.status.discarded == 2 and session.status.number == 1
    assert (environment.physics.get_state() != start).any()


def test_a_policy_acts_until_the_person_moves_and_gets_the_arm_back(environment, tmp_path):
    path = tmp_path / "a.hdf5"
    session = make_session(environment, path, policy="scripted")
    for _ in range(10):
        session.step(REST)
    for _ in range(8):
        session.step(RIGHT)
    assert session.status.actor == "person"
    session.step(press("takeover"))
    run_until(session, SOLVED)
    session.step(press("keep"))
    assert session.status.kept == 1
    (trajectory,) = load_demonstrations(path, TASK).trajectories
    by = [ACTORS[actor] for actor in trajectory.acted_by]
    assert by[:18] == ["policy"] * 10 + ["person"] * 8 and set(by[18:]) == {"policy"}
    assert problems_in(path) == []
    assert all(replay.first_different is None for replay in replay_file(path))


def test_solved_episodes_are_kept_by_themselves_if_asked_until_all_are(environment, tmp_path):
    path = tmp_path / "a.hdf5"
    session = make_session(environment, path, policy="scripted", keep_automatically=True)
    run_until(session, DONE, steps=1500)
    assert session.status.kept == 2 and session.status.successes >= 2
    again = make_session(environment, path, policy="scripted")
    assert again.done and again.status.kept == 2


def test_what_is_not_solved_is_not_kept_and_time_ends_an_episode(environment, tmp_path):
    path = tmp_path / "a.hdf5"
    session = make_session(environment, path, max_seconds=2.0)
    session.step(RIGHT)
    session.step(press("keep"))
    assert session.status.message == "Not kept: hold 'lift' for 1 s first." and not path.exists()
    run_until(session, OVER, RIGHT)
    assert "time is over" in session.status.message
    seconds = session.status.seconds
    session.step(RIGHT)
    assert session.status.seconds == seconds


def test_a_full_disk_loses_no_episode(environment, tmp_path, monkeypatch):
    path = tmp_path / "a.hdf5"
    session = make_session(environment, path, policy="scripted")
    run_until(session, SOLVED)
    append = session._writer.append

    def full(trajectory):
        raise StorageError("cannot write: the disk is full.")

    monkeypatch.setattr(session._writer, "append", full)
    session.step(press("keep"))
    assert session.status.kept == 0 and "the disk is full" in session.status.message
    monkeypatch.setattr(session._writer, "append", append)
    session.step(press("keep"))
    assert session.status.kept == 1 and len(load_demonstrations(path, TASK)) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_wild_commands_never_pass_the_table_joint_limits_or_speed_limits(environment, seed):
    environment.reset(seeds=[seed])
    control, random = SafeControl(environment.physics, control_timestep=0.05), np.random.default_rng(seed)
    low, high = environment.physics.model.jnt_range[1:3].T
    for step in range(600):
        if step % 20 == 0:
            twist = random.normal(size=6) * [0.3, 0.3, 0.3, 1.0, 1.0, 1.0]
        environment.step(control.action(twist, float(random.uniform(-1, 1)))[None])
        angles, speeds = environment.physics.qpos[0, 1:3], environment.physics.qvel[0, :6]
        assert control.lowest() > -0.001  # the table is soft by less than a millimetre
        assert (angles > low).all() and (angles < high).all()
        assert (np.abs(speeds) < 1.1 * jaco.ARM_VELOCITY_LIMITS).all()


@pytest.mark.parametrize("direction", [(0.0, 0.0, -0.3), (0.3, 0.0, 0.0), (-0.3, 0.0, 0.0), (0.0, 0.0, 0.3)])
def test_unreachable_targets_slow_the_arm_and_release_it_gently(environment, direction):
    environment.reset(seeds=[1])
    control = SafeControl(environment.physics, control_timestep=0.05)
    for _ in range(120):
        environment.step(control.action(np.array([*direction, 0.0, 0.0, 0.0]), 0.0)[None])
    place = environment.snapshot.tcp_position[0].copy()
    for _ in range(10):
        environment.step(control.action(np.zeros(6), 0.0)[None])
    assert np.linalg.norm(environment.snapshot.tcp_position[0] - place) < 0.005


def test_small_deflections_count_as_none_and_the_rest_grows_from_there():
    hand = Hand(dead_zone=0.2)
    assert not hand.twist(Reading(linear=(0.19, 0.0, 0.0))).any() and not hand.moves(Reading(linear=(0.1, 0.1, 0.0)))
    speeds = [np.linalg.norm(hand.twist(Reading(linear=(x, 0.0, 0.0)))) for x in (0.21, 0.5, 1.0)]
    assert 0.0 < speeds[0] < 0.01 and speeds == sorted(speeds) and speeds[2] == pytest.approx(0.15)
    assert not hand.twist(dataclasses.replace(RIGHT, engaged=False)).any()


def test_fingers_speed_up_smoothly_and_stop_at_once():
    hand, closing = Hand(dead_zone=0.0), Reading(fingers=1.0)
    speeds = [hand.fingers(closing) for _ in range(6)]
    assert np.diff(speeds[:5]) == pytest.approx(np.full(4, 0.2)) and speeds[-1] == pytest.approx(1.0)
    assert hand.fingers(REST) == 0.0


def test_speeds_and_sessions_that_cannot_be_are_refused(environment, tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected a speed from 0.25 to 2"):
        Hand(dead_zone=0.0, speed=9.0)
    with pytest.raises(ConfigurationError, match="expected a horizon of more than"):
        make_session(environment, tmp_path / "a.hdf5", max_seconds=60.0)
