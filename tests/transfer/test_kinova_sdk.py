"""The Jaco through a library with the interface of Kinova's SDK, which the test compiles; it has no such arm."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from handful.errors import ConfigurationError, RobotError
from handful.simulation.jaco import HOME_QPOS
from handful.transfer.exported import OnnxPolicy
from handful.transfer.loop import run_episode
from handful.transfer.robots import kinova_types as types
from handful.transfer.robots.body import find_body
from handful.transfer.robots.kinova import RAD_PER_UNIT
from handful.transfer.robots.kinova_library import Ethernet, KinovaLibrary
from handful.transfer.robots.kinova_sdk import KinovaSdkRobot
from handful.transfer.watchdog import Watchdog

BODY = find_body("jaco")
COMPILER = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler makes the library that stands in for Kinova's")


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory):
    assert COMPILER is not None

    def build(*flags: str) -> Path:
        # A copy of its own for each test: a library that is loaded keeps its state.
        path = tmp_path_factory.mktemp("kinova") / "CommandLayer.so"
        source = Path(__file__).with_name("kinova_library.c")
        subprocess.run([COMPILER, "-shared", "-fPIC", *flags, "-o", path, source], check=True)
        return path

    return build


class Inside:
    """The variables of a library."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def get(self, name: str) -> int:
        return ctypes.c_int.in_dll(self._library, name).value

    def set(self, name: str, value: int) -> None:
        ctypes.c_int.in_dll(self._library, name).value = value

    def floats(self, name: str, count: int):
        return (ctypes.c_float * count).in_dll(self._library, name)


@pytest.fixture
def path(compile_library):
    return compile_library()


@pytest.fixture
def inside(path):
    inside = Inside(path)
    inside.floats("angles", 7)[:6] = [float(each) for each in np.rad2deg(HOME_QPOS[:6])]
    inside.floats("fingers", 3)[:] = [2000.0, 2400.0, 2800.0]
    return inside


@pytest.fixture
def robot(path, inside):
    robot = KinovaSdkRobot(KinovaLibrary(path))
    wait_for(lambda: robot.joints() is not None)
    yield robot
    robot.close()


def wait_for(condition, *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def test_structures_have_the_sizes_that_a_compiler_gives_them(path):
    sizes = (ctypes.c_int * 3).in_dll(ctypes.CDLL(str(path)), "sizes")
    structures = (types.TrajectoryPoint, types.KinovaDevice, types.EthernetCommConfig)
    assert list(sizes) == [ctypes.sizeof(structure) for structure in structures]


def test_readings_are_the_models_joints(robot, inside):
    reading = robot.joints()
    np.testing.assert_allclose(reading.positions[:6], HOME_QPOS[:6], atol=1e-5)
    np.testing.assert_allclose(reading.positions[6:], np.array([2000.0, 2800.0, 2400.0]) * RAD_PER_UNIT, atol=1e-6)
    np.testing.assert_allclose(reading.velocities[:3], np.deg2rad([10.0, -10.0, 0.0]), atol=1e-6)


def test_a_command_moves_arm_and_fingers_until_it_is_stopped(robot, inside):
    assert not inside.get("started") and not inside.get("num_sent")
    robot.stop()
    assert not inside.get("num_erased")  # nothing is sent before the first command
    command = np.array([0.2, 0.0, 0.0, 0.0, 0.0, -0.4, 0.1, 0.2, 0.3])
    for _ in range(10):
        robot.command(command)
        time.sleep(0.02)
    assert inside.get("started") and inside.get("num_sent") > 3
    assert (inside.get("last_type"), inside.get("last_hand_mode"), inside.get("last_limited")) == (8, 2, 0)
    np.testing.assert_allclose(inside.floats("last_actuators", 7)[:6], np.rad2deg(command[:6]), rtol=1e-5)
    np.testing.assert_allclose(inside.floats("last_fingers", 3), np.array([0.1, 0.3, 0.2]) / RAD_PER_UNIT, rtol=1e-5)
    assert inside.floats("angles", 7)[0] > np.rad2deg(HOME_QPOS[0]) + 0.3 and inside.floats("fingers", 3)[0] > 2000.0
    robot.stop()
    assert not np.any(inside.floats("last_actuators", 7)) and inside.get("num_erased") == 2
    robot.close()
    assert inside.get("num_closed") == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("refuse_send", "SendAdvanceTrajectory of Kinova's library returned 9999, the arm refused"),
        ("refuse_read", "GetAngularPosition of Kinova's library returned 9999"),
        ("locked", "the arm refuses: joint 1"),
    ],
)
def test_an_arm_that_refuses_in_mid_episode_stops_the_loop(name, words, robot, inside, exported, monkeypatch):
    policy = OnnxPolicy.read(exported)
    action = np.zeros(9)
    action[0] = 0.5
    monkeypatch.setattr(policy, "act", lambda observation: action)
    monkeypatch.setattr(robot, "picture", lambda: _noise(robot.clock.now()))

    def on_step(step):
        if step.time == pytest.approx(0.25):
            inside.set(name, 9999)

    patient = Watchdog(max_reading_age=3.0, max_lateness=3.0)
    episode = run_episode(policy, robot, BODY, num_steps=200, watchdog=patient, on_step=on_step)
    assert words in episode.ending and 6 <= len(episode.steps) < 150
    if name != "refuse_send":
        assert not np.any(inside.floats("last_actuators", 7))


def _noise(now: float):
    from handful.transfer.robots.robot import Picture

    return Picture(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8), now)


def test_the_arm_is_chosen_by_its_serial_number(path, inside):
    KinovaLibrary(path, serial="PJ00001").close()
    assert inside.get("chosen") == 1
    with pytest.raises(RobotError, match="no arm with the serial number 'X'; there are: PJ00000, PJ00001"):
        KinovaLibrary(path, serial="X")
    inside.set("num_devices", 0)
    with pytest.raises(RobotError, match="finds no arm; there are: none"):
        KinovaLibrary(path)
    inside.set("refuse_init", 1015)
    with pytest.raises(RobotError, match="finds no arm: 1015, no arm was found"):
        KinovaLibrary(path)


def test_by_ethernet_functions_have_another_name_and_addresses_the_networks_order(compile_library):
    path = compile_library("-DPREFIXED(name)=Ethernet_##name")
    KinovaLibrary(path, ethernet=Ethernet(robot="10.0.0.7")).close()
    config = types.EthernetCommConfig.in_dll(ctypes.CDLL(str(path)), "last_config")
    assert int(config.robotIpAddress).to_bytes(8, "little")[:4] == bytes([10, 0, 0, 7])
    assert (config.robotPort, config.localCmdport, config.rxTimeOutInMs) == (55000, 25000, 1000)
    with pytest.raises(ConfigurationError, match="is no SDK library of Kinova's"):
        KinovaLibrary(path)  # which asks for the names of USB
    with pytest.raises(ConfigurationError, match="expected the arm's IPv4 address"):
        KinovaLibrary(path, ethernet=Ethernet(robot="arm"))


def test_a_file_that_is_no_library_is_said_in_one_sentence(tmp_path):
    for path in (tmp_path / "missing.so", Path(__file__)):
        with pytest.raises(ConfigurationError, match="is no SDK library of Kinova's"):
            KinovaLibrary(path)
