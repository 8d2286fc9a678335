"""Kinova's terms against the model's, and the Jaco behind a rosbridge that the test brings up and breaks."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))  # the tests are imported by path

from rosbridge_server import DRIVER, UNIT

from handful.errors import ConfigurationError, RobotError
from handful.simulation.jaco import HOME_QPOS
from handful.transfer.exported import OnnxPolicy
from handful.transfer.loop import run_episode
from handful.transfer.robots import kinova
from handful.transfer.robots.body import find_body
from handful.transfer.robots.kinova_ros import KinovaRosRobot
from handful.transfer.robots.repeater import NUM_ZEROS, Repeater
from handful.transfer.robots.ros_camera import RosCamera
from handful.transfer.robots.rosbridge import Rosbridge, split_host
from handful.transfer.watchdog import Watchdog

BODY = find_body("jaco")
PATIENT = Watchdog(max_reading_age=1.5, max_picture_age=1.5, max_lateness=3.0)  # for a machine that is busy
PI = np.pi
URDF_ARM = [  # origins of the joints: xyz [m] and rpy, from kinova_description/urdf/j2n6s300.xacro
    ((0.0, 0.0, 0.15675), (0.0, PI, 0.0)),
    ((0.0, 0.0016, -0.11875), (-PI / 2, 0.0, PI)),
    ((0.0, -0.410, 0.0), (0.0, PI, 0.0)),
    ((0.0, 0.2073, -0.0114), (-PI / 2, 0.0, PI)),
    ((0.0, -0.03703, -0.06414), (PI / 3, 0.0, PI)),
    ((0.0, -0.03703, -0.06414), (PI / 3, 0.0, PI)),
]
URDF_FINGERS = [  # the same in the hand, from kinova_finger_set.xacro
    ((0.00279, 0.03126, -0.11467), (-1.7047873384941834, 0.6476144647144773, 1.67317415161155)),
    ((0.02226, -0.02707, -0.11482), (-1.570796327, 0.649262481663582, -1.38614049188413)),
    ((-0.02226, -0.02707, -0.11482), (-1.570796327, 0.649262481663582, -1.75545216211587)),
]


def wait_for(condition, *, seconds: float = 20.0) -> None:
    """Generous, for machines that are busy."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def moved(origin, rotation, frame, angle):
    (place, rpy) = frame
    turned = rotation @ Rotation.from_euler("xyz", rpy).as_matrix()
    return origin + rotation @ np.array(place), turned @ Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix()


def test_the_table_puts_every_joint_where_kinovas_urdf_has_it():
    generator = np.random.default_rng(3)
    links = [link.name for link in BODY.links]
    for _ in range(20):
        angles = np.concatenate([generator.uniform(0.9, 5.0, 6), generator.uniform(0.2, 1.3, 3)])
        origins, rotations = BODY.poses(kinova.from_kinova(angles))
        origin, rotation = np.zeros(3), np.eye(3)
        for joint, frame in enumerate(URDF_ARM):
            origin, rotation = moved(origin, rotation, frame, angles[joint])
            at = links.index(f"b_{joint + 1}")
            np.testing.assert_allclose(origins[at], origin, atol=1e-5)
            np.testing.assert_allclose(rotations[at], rotation, atol=1e-5)
        for finger, frame in enumerate(URDF_FINGERS):
            place, turned = moved(origin, rotation, frame, angles[6 + finger])
            at = links.index(f"hand/b_finger_{kinova.TABLE[6 + finger].model - 5}")
            np.testing.assert_allclose(origins[at], place, atol=1e-5)
            np.testing.assert_allclose(rotations[at], turned, atol=0.01)  # of the first, the URDFs differ by 0.01 rad


def test_velocities_go_out_in_degrees_and_finger_units_and_come_back():
    velocities = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9])
    arm, fingers = kinova.to_kinova(velocities)
    np.testing.assert_allclose(arm, np.rad2deg(velocities[:6]))
    np.testing.assert_allclose(fingers * UNIT, [0.7, 0.9, -0.8])  # Kinova's second finger is the model's third
    np.testing.assert_allclose(kinova.rates_from_kinova(np.concatenate([np.deg2rad(arm), fingers * UNIT])), velocities)
    positions = np.concatenate([HOME_QPOS[:6], [0.2, 0.6, 1.2]])
    np.testing.assert_allclose(kinova.finger_units(positions) * UNIT, [0.2, 1.2, 0.6])


def test_an_open_finger_is_shown_at_the_end_of_the_range_that_training_knows():
    angles = np.concatenate([HOME_QPOS[:6], [0.0, 0.7, np.deg2rad(80.0)]])
    np.testing.assert_allclose(kinova.from_kinova(angles)[6:], [0.15, 1.35, 0.7])


def test_an_arm_that_stands_still_although_it_is_told_to_move_is_noticed():
    velocities, positions = np.zeros(9), HOME_QPOS.copy()
    velocities[2] = -0.3
    follows, stands = kinova.Obedience(), kinova.Obedience()
    for step in range(60):
        follows.check(0.05 * step, positions + 0.05 * step * velocities, velocities)
    with pytest.raises(RobotError, match="the arm refuses: joint 3 has been told to move"):
        for step in range(60):
            stands.check(0.05 * step, positions, velocities)
    turning = kinova.Obedience()
    for step in range(60):  # to and fro, it may stand on the whole
        turning.check(0.05 * step, positions, velocities * (-1) ** (step // 10))


def test_a_command_that_nobody_renews_is_followed_by_zeros_and_then_by_silence():
    sent: list[np.ndarray] = []
    repeater = Repeater(sent.append, period=0.001, num_joints=2)
    repeater.command(np.array([1.0, 2.0]))
    wait_for(lambda: len(sent) >= 20 and not sent[-1].any())
    wait_for(lambda: sum(not each.any() for each in sent) == NUM_ZEROS)
    count = len(sent)
    time.sleep(0.05)
    assert len(sent) == count
    first = next(i for i, each in enumerate(sent) if not each.any())
    assert all((each == [1.0, 2.0]).all() for each in sent[:first]) and not np.any(sent[first:])
    repeater.command(np.array([3.0, 3.0]))  # and it goes on when it is told to
    wait_for(lambda: sent[-1].any())
    repeater.close()


def test_stop_returns_when_zeros_have_been_sent():
    sent: list[np.ndarray] = []
    repeater = Repeater(sent.append, period=0.001, num_joints=1)
    repeater.stop()
    assert not repeater.begun
    repeater.command(np.ones(1))
    wait_for(lambda: len(sent) > 3)
    repeater.stop()
    assert not sent[-1].any()
    repeater.close()


def test_what_cannot_be_sent_is_said_at_the_next_command():
    def send(velocities):
        raise RobotError("the cable is cut.")

    repeater = Repeater(send, period=0.001, num_joints=1)
    with pytest.raises(RobotError, match="the cable is cut"):
        for _ in range(10000):
            repeater.command(np.ones(1))
            time.sleep(0.001)
    repeater.stop()
    repeater.close()


@pytest.fixture
def robot(server):
    bridge = Rosbridge("127.0.0.1", server.port)
    robot = KinovaRosRobot(bridge, RosCamera(bridge, "/camera/color/image_raw"))
    wait_for(lambda: robot.joints() is not None and robot.picture() is not None)
    yield robot
    robot.close()


def test_readings_are_the_models_joints(server, robot):
    reading = robot.joints()
    np.testing.assert_allclose(reading.positions[:6], HOME_QPOS[:6])
    np.testing.assert_allclose(reading.positions[6:], server.fingers[[0, 2, 1]] * UNIT)
    np.testing.assert_allclose(reading.velocities, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0, 0.0, 0.0], atol=1e-9)
    assert reading.time <= robot.clock.now()


def test_nothing_is_sent_to_the_arm_before_the_first_command(server, robot):
    robot.stop()
    time.sleep(0.1)
    assert not server.velocities and not server.goals and not server.services


def test_a_command_is_repeated_a_hundred_times_a_second_and_moves_the_arm(server, robot):
    command = np.array([0.2, 0.0, 0.0, 0.0, 0.0, -0.4, 0.5, 0.5, 0.5])
    start = server.angles.copy()
    for _ in range(20):
        robot.command(command)
        time.sleep(0.05)
    robot.stop()
    # About a second: a busy machine sends fewer, but none may send many more, which would fill the arm's queue.
    span = server.arrivals[-1] - server.arrivals[0]
    assert 30 <= len(server.velocities) <= 105.0 * span + 25
    np.testing.assert_allclose(server.velocities[5], np.rad2deg(command[:6]))
    turned = server.angles - start
    assert turned[0] > 2.0 and turned[5] < -4.0
    wait_for(lambda: not server.velocities[-1].any() and server.services == [f"{DRIVER}/in/clear_trajectories"])


def test_fingers_go_by_goals_which_are_few(server, robot):
    command = np.concatenate([np.zeros(6), np.ones(3)])
    for _ in range(20):
        robot.command(command)
        time.sleep(0.02)
    wait_for(lambda: server.goals)
    assert len(server.goals) == 1  # the fingers stand, so there is no other goal
    np.testing.assert_allclose(server.goals[0], server.fingers + 0.5 / UNIT, atol=1.0)
    robot.stop()  # and now they shall stay where they are
    wait_for(lambda: len(server.goals) == 2)
    np.testing.assert_allclose(server.goals[1], server.fingers, atol=1.0)


def silence(server):
    server.silent = True


def no_message(server):
    server.garbage = "this is {no JSON"


def no_object(server):
    server.garbage = "[[[]]]"


def missing_joint(server):
    message = {"name": ["elbow"], "position": [0.0], "velocity": [0.0]}
    server.garbage = json.dumps({"op": "publish", "topic": f"{DRIVER}/out/joint_state", "msg": message})


def no_number(server):
    names = [f"j2n6s300_{row.kinova}" for row in kinova.TABLE]
    message = {"name": names, "position": [None] * 9, "velocity": [0.0] * 9}
    server.garbage = json.dumps({"op": "publish", "topic": f"{DRIVER}/out/joint_state", "msg": message})


def not_finite(server):
    names = [f"j2n6s300_{row.kinova}" for row in kinova.TABLE]
    message = {"name": names, "position": [float("nan")] * 9, "velocity": [0.0] * 9}
    server.garbage = json.dumps({"op": "publish", "topic": f"{DRIVER}/out/joint_state", "msg": message})


def refusal(server):
    server.garbage = json.dumps({"op": "status", "level": "error", "msg": "Unable to load the package kinova_msgs"})


def disconnection(server):
    server.disconnect()


def lock(server):
    server.locked = True


def dead_camera(server):
    server.blind = True


FAULTS = [
    (silence, "the last joint reading is"),
    (no_message, "sent something that is no message"),
    (no_object, "sent something that is no message"),
    (missing_joint, "is no sensor_msgs/JointState that can be read"),
    (no_number, "is no sensor_msgs/JointState that can be read"),
    (not_finite, "is no sensor_msgs/JointState that can be read"),
    (refusal, "rosbridge refuses: Unable to load the package kinova_msgs"),
    (disconnection, "the connection"),
    (lock, "the arm refuses: joint"),
    (dead_camera, "the last picture is"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_in_mid_episode_stops_the_arm(fault, words, server, robot, exported, monkeypatch):
    policy = OnnxPolicy.read(exported)
    action = np.zeros(9)
    action[0] = 0.5  # about its own axis, where nothing is in the way
    monkeypatch.setattr(policy, "act", lambda observation: action)

    def on_step(step):
        if step.time == pytest.approx(0.5):
            fault(server)

    episode = run_episode(policy, robot, BODY, num_steps=200, watchdog=PATIENT, on_step=on_step)
    assert words in episode.ending
    assert 11 <= len(episode.steps) < 150
    if fault is not disconnection:
        wait_for(lambda: server.velocities and not server.velocities[-1].any())
        wait_for(lambda: not np.any(server.velocities[-NUM_ZEROS:]))
    count = len(server.velocities)
    time.sleep(0.1)
    assert not np.any(server.velocities[count:])


def test_a_connection_that_was_lost_stays_lost(server, robot):
    server.disconnect()
    with pytest.raises(RobotError, match="connection"):
        for _ in range(1000):
            robot.joints()
            time.sleep(0.01)
    for call in (robot.joints, robot.picture, lambda: robot.command(np.zeros(9))):
        with pytest.raises(RobotError, match="connection"):
            call()
    robot.stop()


def test_a_host_without_rosbridge_is_said_in_one_sentence(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RobotError, match=f"no rosbridge answers at 127.0.0.1:{port}"):
        Rosbridge("127.0.0.1", port)
    with pytest.raises(RobotError, match="no rosbridge answers at nowhere.invalid"):
        Rosbridge("nowhere.invalid")


def test_what_is_no_rosbridge_is_said_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RobotError, match="is no rosbridge"):
            Rosbridge("127.0.0.1", listener.getsockname()[1])
        thread.join()


def test_a_host_may_have_a_port():
    assert split_host("arm.local") == ("arm.local", 9090) and split_host("10.0.0.2:80") == ("10.0.0.2", 80)
    for text in ("", ":80", "host:port", "host:0", "host:70000", "ws://host:9"):
        with pytest.raises(ConfigurationError, match="expected --host"):
            split_host(text)
