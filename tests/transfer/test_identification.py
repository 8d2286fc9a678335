"""Identification: known parameters are found again from a wiggle, and a recording that tells nothing is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tests are imported by path

from fake_robot import FakeRobot

from handful.cli.main import run_command_line
from handful.errors import ConfigurationError, DataError, RobotError
from handful.simulation.jaco import HOME_QPOS, JACO, VELOCITY_LIMITS
from handful.transfer import identification
from handful.transfer.exported import OnnxPolicy
from handful.transfer.identification import ArmModel, Recording, identify, read_recording, record_wiggle
from handful.transfer.log import write_episode_log
from handful.transfer.loop import run_episode
from handful.transfer.robots.body import find_body
from handful.transfer.safety import Guard, SafetyLimits

BODY = find_body("jaco")
NUM_STEPS, TIMESTEP = 80, 0.05


def wiggle(factors: tuple[float, ...], latency: float, *, noise: float = 0.0) -> Recording:
    """What an arm with known parameters does when it wiggles."""
    moments, rhythm = TIMESTEP * np.arange(NUM_STEPS)[:, None], 0.35 + 0.11 * np.arange(9)
    commands = 0.6 * VELOCITY_LIMITS * np.sign(np.sin(2.0 * np.pi * rhythm * moments))
    anything = np.tile(HOME_QPOS, (NUM_STEPS + 1, 1)) + np.linspace(0.0, 0.1, NUM_STEPS + 1)[:, None]
    model = ArmModel(JACO, Recording(anything - anything[:1] + HOME_QPOS, commands, TIMESTEP))
    positions = np.tile(HOME_QPOS, (NUM_STEPS + 1, 1))
    positions[:, :6] = model.follow(np.array(factors), latency)
    positions[1:, :6] += noise * np.random.default_rng(0).normal(size=(NUM_STEPS, 6))
    return Recording(positions, commands, TIMESTEP)


def test_an_arm_that_hears_later_is_later_by_as_much():
    early, late = (wiggle((1.0, 1.0, 1.0, 1.0), latency).positions for latency in (0.0, 0.10))
    np.testing.assert_allclose(late[12:, :6], early[10:-2, :6], atol=2e-3)


@pytest.mark.slow
def test_known_parameters_are_found_again():
    truth = dict(zip(("friction", "damping", "armature", "gain"), (3.0, 1.0, 1.5, 0.1), strict=True))
    found = identify(JACO, wiggle(tuple(truth.values()), 0.07, noise=2e-4))
    for name in ("friction", "armature", "gain"):
        assert found.factors[name] == pytest.approx(truth[name], rel=0.05) and found.determined(name)
    assert found.latency == pytest.approx(
        0.07, abs=5e-3
    )  # half a tick of the physics: where a tick begins, the path has a kink
    assert not found.determined("damping")  # of which the Jaco's model has next to nothing
    assert found.after.max() < 2e-3 < 0.03 < found.before.min()  # the noise is 0.2 mrad


def test_a_recording_that_tells_nothing_is_refused():
    good = wiggle((1.0, 1.0, 1.0, 1.0), 0.0)
    still = dataclasses.replace(good, positions=np.tile(HOME_QPOS, (NUM_STEPS + 1, 1)))
    short = Recording(good.positions[:21], good.commands[:20], TIMESTEP)
    broken = dataclasses.replace(good, commands=np.full_like(good.commands, np.nan))
    other = Recording(good.positions[:, :7], good.commands[:, :7], TIMESTEP)
    for recording, words in (
        (still, "in which a joint moves by"),
        (short, "expected at least 40 steps"),
        (broken, "not finite"),
        (other, "expected a recording of 9 joints"),
    ):
        with pytest.raises(DataError, match=words):
            identify(JACO, recording)


def test_a_wiggle_keeps_the_limits_and_ends_with_the_arm_stopped():
    robot = FakeRobot()
    recording = record_wiggle(robot, BODY, control_timestep=TIMESTEP, seconds=4.0)
    assert robot.stopped and recording.positions.shape == (81, 9) and recording.commands.shape == (80, 9)
    assert np.ptp(recording.positions[:, :6], axis=0).min() > 0.05
    guard = Guard(BODY, SafetyLimits(), control_timestep=TIMESTEP)
    assert (guard.clearances(np.array(robot.path)) >= -2e-4).all()
    robot.refuses = True
    with pytest.raises(RobotError, match="refuses"):
        record_wiggle(robot, BODY, control_timestep=TIMESTEP, seconds=4.0)
    assert robot.stopped


def test_a_log_of_deploy_is_read_and_a_dry_one_is_refused(exported, tmp_path, capsys):
    policy = OnnxPolicy.read(exported)
    for dry_run in (False, True):
        episode = run_episode(policy, FakeRobot(), BODY, num_steps=12, dry_run=dry_run)
        write_episode_log(tmp_path / f"{dry_run}.hdf5", episode, arm="jaco")
        if not dry_run:
            recording = read_recording(tmp_path / "False.hdf5")
            np.testing.assert_array_equal(recording.commands, [step.command for step in episode.steps])
            assert (len(recording.positions), recording.control_timestep) == (13, TIMESTEP)
    with pytest.raises(DataError, match="is the log of a dry run"):
        read_recording(tmp_path / "True.hdf5")
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_recording(tmp_path / "nowhere.hdf5")
    (tmp_path / "text.hdf5").write_text("no log")
    assert run_command_line(["identify", str(tmp_path / "text.hdf5")]) == 1
    assert "is no log of 'handful deploy'" in " ".join(capsys.readouterr().err.split())
    assert run_command_line(["identify", "--seconds", "0"]) == 2


def test_the_command_prints_and_writes_what_it_found(tmp_path, monkeypatch, capsys):
    found = identification.Identification(
        factors={"friction": 2.0, "damping": 1.1, "armature": 1.5, "gain": 0.5},
        latency=0.05,
        standard_errors={"friction": 0.01, "damping": 40.0, "armature": 0.02, "gain": 0.03},
        before=np.full(6, 0.02),
        after=np.full(6, 0.015),
    )
    monkeypatch.setattr(identification, "read_recording", lambda path: None)
    monkeypatch.setattr(identification, "identify", lambda arm, recording: found)
    assert run_command_line(["identify", "log.hdf5", "--output", str(tmp_path / "arm.json")]) == 0
    printed = capsys.readouterr().out
    assert "friction    2.00 times the model's (+- 1.0%)" in printed
    assert "damping     1.10 times the model's (not determined by this motion)" in printed
    assert "50.0 ms from command to reading" in printed and "before    20.00" in printed
    assert "explain less than half" in printed
    written = json.loads((tmp_path / "arm.json").read_text())
    assert (written["latency"], written["factors"]["gain"], written["after"]) == (0.05, 0.5, [0.015] * 6)
