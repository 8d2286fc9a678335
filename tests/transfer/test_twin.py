"""The twin: another process, other physics, another camera; and training never looks at it."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from handful.cli.main import run_command_line
from handful.errors import ConfigurationError, RobotError
from handful.learning.actors import PolicyActor
from handful.simulation.jaco import HOME_QPOS, JACO
from handful.transfer.exported import OnnxPolicy
from handful.transfer.loop import run_episode
from handful.transfer.robots.body import find_body
from handful.transfer.robots.twin import TwinRobot, laboratory_names
from handful.transfer.robots.wire import receive, send
from handful.transfer.trials import PROTOCOLS, make_trials, measure_in_domain

ROOT = pathlib.Path(__file__).parents[2]
TASK = "block-lifting"
HOME = JACO.home.tolist()


@pytest.fixture(scope="module")
def twin():
    """A twin in lockstep; where there is no OpenGL, its tests are skipped."""
    try:
        robot = TwinRobot(TASK, "daylight", lockstep=True)
    except ConfigurationError as error:
        if "OpenGL" in str(error):
            pytest.skip(str(error))
        raise
    with contextlib.closing(robot):
        yield robot


def test_trials_are_the_papers_and_the_same_again():
    for task, protocol in PROTOCOLS.items():
        trials = make_trials(task, protocol.num_trials)
        assert len({tuple(trial.places.items()) for trial in trials}) == protocol.num_configurations
        assert len({tuple(trial.arm) for trial in trials}) == protocol.num_trials
        again = make_trials(task, protocol.num_trials + 3)[: protocol.num_trials]
        assert [trial.places for trial in trials] == [trial.places for trial in again]
        assert [trial.arm for trial in trials] == [trial.arm for trial in again]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.long
def test_trials_in_domain_begin_where_they_say(found):
    trials = make_trials(TASK, 3)
    measured = measure_in_domain(PolicyActor(found.network, found.manifest), TASK, trials, camera_hz=5).to_json()
    assert measured["num_trials"] == 3 and set(measured["rates"]) == {"reach", "lift", "success"}
    assert measured["rates"]["reach"] >= measured["rates"]["lift"] >= measured["rates"]["success"]


@pytest.mark.slow
def test_the_same_trial_is_the_same_to_the_bit_and_another_seed_is_not(twin):
    seen = []
    for seed in (1, 1, 2):
        twin.begin({"block": (0.42, 0.05, 0.3)}, HOME, seed=seed)
        for _ in range(6):
            twin.command(np.full(9, 0.2))
            twin.ask("advance", seconds=0.05)
        seen.append((twin.joints().positions, twin.picture().pixels))
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert np.abs(seen[0][0] - seen[2][0]).max() > 1e-5  # noise, delays and losses differ
    assert seen[0][1].shape == (144, 192, 3) and np.ptp(seen[0][1]) > 100


@pytest.mark.slow
def test_it_follows_commands_late_and_stops_when_it_hears_nothing(twin):
    twin.begin({}, HOME, seed=0)
    wanted = np.zeros(9)
    wanted[0] = 0.5
    moved = []
    for _ in range(20):
        twin.command(wanted)
        twin.ask("advance", seconds=0.05)
        moved.append(twin.joints().positions[0] - HOME_QPOS[0])
    assert moved[0] < 0.02 and 0.35 < moved[-1] < 0.5  # a second at 0.5 rad/s, less the lag
    twin.ask("advance", seconds=1.0)
    stood = twin.joints().positions[0]
    twin.ask("advance", seconds=1.0)
    assert abs(twin.joints().positions[0] - stood) < 0.01
    twin.command(wanted)
    twin.ask("advance", seconds=0.1)
    twin.stop()
    before = twin.joints().positions[0]
    twin.ask("advance", seconds=0.5)
    assert abs(twin.joints().positions[0] - before) < 0.05


@pytest.mark.slow
def test_the_policy_that_ships_reaches_the_block_through_the_guard(twin, exported):
    trial = make_trials(TASK, 1)[0]
    twin.begin(trial.places, trial.arm, seed=0)
    episode = run_episode(OnnxPolicy.read(exported), twin, find_body("jaco"), num_steps=100)
    assert episode.ending == "" and len(episode.steps) == 100
    assert twin.referee()["highest_stage"] >= 1


@pytest.mark.slow
def test_what_the_twin_does_not_understand_is_a_sentence(twin):
    for words in ({"kind": "dance"}, {"kind": "command", "velocities": [1.0]}, {"kind": "advance"}, {"kind": "begin"}):
        with pytest.raises(RobotError, match="the twin does not understand"):
            twin.ask(**words)
    twin.begin({}, HOME, seed=0)  # and it still works


@pytest.mark.slow
def test_a_twin_that_dies_in_mid_episode_is_a_sentence_and_an_end(exported):
    try:
        robot = TwinRobot(TASK, "workshop", lockstep=True)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with contextlib.closing(robot):
        robot.begin({}, HOME, seed=0)

        def on_step(step):
            robot._process.kill()
            robot._process.wait()

        episode = run_episode(OnnxPolicy.read(exported), robot, find_body("jaco"), num_steps=20, on_step=on_step)
        assert "connection" in episode.ending and len(episode.steps) == 1 and episode.last_reading is None


@pytest.mark.slow
def test_a_twin_of_another_task_or_laboratory_is_refused():
    with pytest.raises(ConfigurationError, match="unknown laboratory 'attic'"):
        TwinRobot(TASK, "attic")
    with pytest.raises(ConfigurationError, match="the twin cannot set up 'pouring'"):
        TwinRobot("pouring", "daylight")
    assert run_command_line(["transfer", TASK, "--laboratories", "attic"]) == 2
    assert run_command_line(["transfer", "pouring"]) == 2


def test_messages_survive_the_wire_and_garbage_is_refused():
    left, right = socket.socketpair()
    with left, right:
        send(left, {"kind": "picture"}, b"\x00" * 70_000)
        message, content = receive(right)
        assert message == {"kind": "picture"} and content == bytes(70_000)
        for garbage in (b"\xff" * 8, b"\x00\x00\x00\x02\x00\x00\x00\x00[]", b"\x00\x00\x00\x01\x00\x00\x00\x00{"):
            left.sendall(garbage)
            with pytest.raises(RobotError, match="no message"):
                receive(right)
        left.close()
        with pytest.raises(RobotError, match="closed the connection"):
            receive(right)


def test_every_laboratory_can_be_read_and_is_another():
    from handful.twin.laboratory import find_laboratory

    laboratories = [find_laboratory(name) for name in laboratory_names()]
    assert len(laboratories) >= 3 and len({repr(each) for each in laboratories}) == len(laboratories)


@pytest.mark.long
def test_training_reads_nothing_of_the_twin():
    """A tiny training from its first line on, with every file that it opens noted."""
    program = """
import sys, tempfile
sys.path.insert(0, "tests/cli")
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
from command_line import TASK, TINY
from handful.cli.main import run_command_line
with tempfile.TemporaryDirectory() as folder:
    made = run_command_line(["demonstrate", TASK, "--num-episodes", "1", "--output", f"{folder}/one.hdf5"])
    words = ["train", TASK, "--run", f"{folder}/run", "--demonstrations", f"{folder}/one.hdf5", *TINY]
    assert made == run_command_line([*words, "--num-steps", "80"]) == 0
read = [name for name in opened if "handful" in name and "twin" in name.rpartition("handful")[2]]
assert any("handful" in name for name in opened)
print("READ", read, [name for name in sys.modules if name.startswith("handful.twin")])
"""
    words = [sys.executable, "-c", program]
    printed = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "READ [] []" in printed


def test_the_contract_that_nobody_imports_the_twin_is_there():
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each.get("forbidden_modules") == ["handful.twin"])
    packages = {
        f"handful.{path.stem}" for path in (ROOT / "handful").iterdir() if path.suffix == ".py" or path.is_dir()
    }
    left_out = {"handful.twin", "handful.__init__", "handful.__pycache__", "handful.policies"}
    assert set(contract["source_modules"]) >= packages - left_out


def test_laboratories_that_cannot_be_are_refused():
    import msgspec

    from handful.twin.laboratory import Laboratory

    values = json.loads((ROOT / "handful/twin/laboratories/daylight.json").read_text())
    values["commands"]["latency"] = -1.0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, Laboratory)
