"""The control loop with a robot that a test can break: every fault ends with the arm stopped and the log whole."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path

import h5py
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # the tests are imported by path

from fake_robot import TIMESTEP, FakeRobot

from handful.cli.main import run_command_line
from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.files.replaying import replay_file
from handful.demonstrations.files.validation import problems_in
from handful.errors import ConfigurationError, DataError
from handful.simulation.jaco import JACO
from handful.simulation.observable import entry_names as observable_names
from handful.simulation.observation import arm_sensors
from handful.transfer.emergency import EmergencyStop
from handful.transfer.exported import OnnxPolicy
from handful.transfer.log import write_episode_log
from handful.transfer.loop import check_policy_drives, entry_names, run_episode
from handful.transfer.robots.body import find_body
from handful.transfer.robots.robot import JointReading, Picture, SteadyClock
from handful.transfer.safety import Guard, SafetyLimits
from handful.transfer.seeing import fitted

BODY = find_body("jaco")


@pytest.fixture(scope="module")
def policy(exported):
    return OnnxPolicy.read(exported)


@pytest.fixture
def robot():
    return FakeRobot()


def assert_stopped(robot, episode, *, words: str) -> None:
    assert words in episode.ending
    assert robot.stopped and not robot.moving.any()
    assert all(np.isfinite(step.command).all() for step in episode.steps)


def test_an_episode_runs_at_its_rate_and_ends_with_the_arm_stopped(policy, robot):
    episode = run_episode(policy, robot, BODY, num_steps=30)
    assert (len(episode.steps), episode.ending, robot.stopped) == (30, "", True)
    assert [step.time for step in episode.steps] == pytest.approx([TIMESTEP * number for number in range(30)])
    assert episode.num_missed == 0 and np.ptp(robot.path, axis=0).max() > 0.1
    shown = [step.image for step in episode.steps]
    assert all(image is shown[number // 4 * 4] for number, image in enumerate(shown))  # the camera's rate


def test_a_dry_run_sends_no_command(policy, robot):
    episode = run_episode(policy, robot, BODY, num_steps=10, dry_run=True)
    assert len(episode.steps) == 10 and not robot.commands and np.ptp(robot.path, axis=0).max() == 0.0
    assert any(step.command.any() for step in episode.steps)  # what it would have done


def nothing(robot):
    robot.silent = True


def dead_camera(robot):
    robot.blind = True


def black_camera(robot):
    robot.blind, robot._seen = True, Picture(np.zeros((9, 9, 3), np.uint8), 1e9)


def garbled_camera(robot):
    robot.blind, robot._seen = True, Picture(np.zeros((9, 9), np.float32), 1e9)


def garbage(robot):
    robot.garbage = JointReading(np.full(9, np.nan), np.zeros(9), 1e9)


def too_few_joints(robot):
    robot.garbage = JointReading(np.zeros(4), np.zeros(4), 1e9)


def late(robot):
    robot.clock.late = 0.3


def refusal(robot):
    robot.refuses = True


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (nothing, "the last joint reading is"),
        (dead_camera, "the last picture is"),
        (black_camera, "the camera is dead: every pixel is 0"),
        (garbled_camera, "expected a picture of uint8"),
        (garbage, "a joint reading holds a number that is not finite"),
        (too_few_joints, "expected a reading of 9 joints"),
        (late, "late, expected at most"),
        (refusal, "the arm refuses to move"),
    ],
)
def test_a_fault_in_mid_episode_stops_the_arm_and_leaves_a_whole_log(fault, words, policy, robot, tmp_path):
    def on_step(step):
        if len(robot.commands) == 12:
            fault(robot)

    episode = run_episode(policy, robot, BODY, num_steps=60, on_step=on_step)
    assert_stopped(robot, episode, words=words)
    assert 12 <= len(episode.steps) < 30
    changes = np.abs(np.diff(robot.commands, axis=0))  # on the way to stop too, no limit was passed
    assert (changes[:, :6] <= SafetyLimits().acceleration * TIMESTEP + 1e-9).all()
    write_episode_log(tmp_path / "log.hdf5", episode, arm="jaco")
    assert problems_in(tmp_path / "log.hdf5") == []
    with h5py.File(tmp_path / "log.hdf5") as file:
        assert words in bytes(file["data/demo_0/robot/summary"][()]).decode()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_policy_that_returns_what_is_not_finite_stops_the_arm(value, policy, robot, monkeypatch):
    act = policy.act

    def broken(observation):
        return np.full(9, value, np.float32) if len(robot.commands) >= 8 else act(observation)

    monkeypatch.setattr(policy, "act", broken)
    episode = run_episode(policy, robot, BODY, num_steps=50)
    assert_stopped(robot, episode, words="the policy's action is not finite")


def test_a_robot_that_never_says_anything_is_never_moved(policy, robot):
    robot.silent = True
    episode = run_episode(policy, robot, BODY, num_steps=50)
    assert_stopped(robot, episode, words="the robot has said nothing of its joints")
    assert not robot.commands and not episode.steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_arm_at_once(number, policy, robot):
    stop = EmergencyStop()

    def on_step(step):
        if len(robot.commands) == 7:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with stop.on_signals():
        episode = run_episode(policy, robot, BODY, num_steps=50, stop=stop, on_step=on_step)
    assert_stopped(robot, episode, words=f"stopped by the signal {signal.Signals(number).name}")
    assert len(robot.commands) == 7 and signal.getsignal(number) == before


def test_a_key_stops_the_arm(monkeypatch):
    pty = pytest.importorskip("pty")
    person, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        stop = EmergencyStop()
        with stop.on_any_key() as listening:
            assert listening
            os.write(person, b"x")
            assert stop.event.wait(10.0) and stop.cause == "a key"
    os.close(person)


def test_without_a_terminal_there_is_no_key(monkeypatch, tmp_path):
    with open(tmp_path / "nothing", "w+") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with EmergencyStop().on_any_key() as listening:
            assert not listening


def test_whoever_waits_for_the_next_step_wakes_when_the_stop_is_pressed():
    clock, event = SteadyClock(), threading.Event()
    threading.Timer(0.01, event.set).start()
    begin = clock.now()
    clock.sleep_until(begin + 60.0, event)
    assert event.is_set() and clock.now() < begin + 60.0


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=25, derandomize=True)
@hypothesis.given(
    actions=st.lists(st.sampled_from([-np.inf, -3.0, -1.0, -0.4, 0.0, 1.0, 2.0, np.nan]), min_size=3, max_size=20),
    faults=st.lists(st.sampled_from([nothing, dead_camera, garbage, late, refusal, None, None, None]), max_size=3),
)
def test_whatever_policy_robot_and_clock_do_the_limits_hold_and_the_arm_ends_stopped(actions, faults, exported):
    policy, robot = OnnxPolicy.read(exported), FakeRobot()
    script = iter(actions)
    policy.act = lambda observation: np.full(9, next(script, 0.3)) * np.sign(np.arange(9) % 3 - 0.5)

    def on_step(step):
        if len(robot.commands) % 4 == 3 and faults and (fault := faults.pop()) is not None:
            fault(robot)

    run_episode(policy, robot, BODY, num_steps=25, on_step=on_step)
    assert robot.stopped and not robot.moving.any()
    guard, path, commands = Guard(BODY, SafetyLimits(), control_timestep=TIMESTEP), np.array(robot.path), robot.commands
    assert (path >= BODY.low - 1e-9).all() and (path <= BODY.high + 1e-9).all()
    assert (guard.clearances(path) >= -2e-4).all()
    assert all((np.abs(command) <= BODY.speed + 1e-9).all() for command in commands)


def test_the_log_is_read_by_replay_and_refused_as_demonstrations(policy, robot, tmp_path, capsys):
    path = tmp_path / "log.hdf5"
    episode = run_episode(policy, robot, BODY, num_steps=9)
    write_episode_log(path, episode, arm="jaco")
    (replay,) = replay_file(path)
    assert (replay.num_steps, replay.by_actions, replay.first_different) == (9, False, None)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["data/demo_0/robot/commands"][()], [step.command for step in episode.steps])
        np.testing.assert_allclose(file["data/demo_0/states"][0, 1:10], episode.steps[0].reading.positions)
        np.testing.assert_array_equal(file["data/demo_0/obs/pixels"][4], episode.steps[4].image)
    with pytest.raises(DataError, match="is the log of a robot, which nothing is learned from"):
        load_demonstrations(path, "block-lifting")
    with pytest.raises(ConfigurationError, match="is there already"):
        write_episode_log(path, episode, arm="jaco")
    assert run_command_line(["dataset", "info", str(path)]) == 0 and "robot" in capsys.readouterr().out


def test_the_names_of_proprioception_are_those_of_training():
    assert entry_names(BODY) == observable_names(arm_sensors(JACO))


def test_a_policy_for_another_arm_is_refused_and_nothing_moves(policy, robot):
    for change in ({"arm": "panda"}, {"action_scale": tuple([0.1] * 9)}):
        other = OnnxPolicy.__new__(OnnxPolicy)
        other.manifest = dataclasses.replace(policy.manifest, **change)
        with pytest.raises(ConfigurationError, match="expected a policy that was trained with this arm"):
            check_policy_drives(other, BODY, "fake")
        with pytest.raises(ConfigurationError):
            run_episode(other, robot, BODY, num_steps=5)
    assert not robot.commands


def test_a_picture_is_cut_in_the_middle_and_averaged():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 10:50, 0] = 200  # the square in the middle
    picture[:20, 10:50, 1] = 100  # its upper half
    seen = fitted(picture, 4, 4)
    assert (seen[..., 0] == 200).all() and (seen[:2, :, 1] == 100).all() and not seen[2:, :, 1].any()
    assert fitted(seen, 4, 4) is seen


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.onnx"], "there is no file 'nowhere.onnx'"),
        (["block-lifting", "--robot", "jaca"], "unknown robot 'jaca'"),
        (["block-lifting", "--log", "film.mp4"], "to end in .hdf5"),
        (["block-lifting", "--seconds", "-1"], "expected --seconds above 0"),
        (["pouring"], "unknown task to be measured on a robot 'pouring'"),
        (["block-lifting", "--laboratory", "attic"], "unknown laboratory 'attic'"),
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_mistakes_of_the_command_are_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["deploy", *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
