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
    """What an arm with known parameters does when it wiggles, in steps of physics a quarter as long as those of the fit."""
    moments, rhythm = TIMESTEP * np.arange(NUM_STEPS)[:, None], 0.35 + 0.11 * np.arange(9)
    commands = 0.6 * VELOCITY_LIMITS * np.sign(np.sin(2.0 * np.pi * rhythm * moments))
    positions = np.tile(HOME_QPOS, (NUM_STEPS + 1, 1))
    positions[:, :6] = path(commands, factors, latency, tick=identification.TICK / 4)
    positions[:, :6] += noise * np.random.default_rng(0).normal(size=(NUM_STEPS + 1, 6))
    return Recording(positions, commands, TIMESTEP)


def path(commands: np.ndarray, factors: tuple[float, ...], latency: float, *, tick: float) -> np.ndarray:
    """Where the arm goes from its home."""
    anything = HOME_QPOS + np.linspace(0.0, 0.1, NUM_STEPS + 1)[:, None]
    model = ArmModel(JACO, Recording(anything, commands, TIMESTEP), tick=tick)
    return model.read(model.run(np.array(factors)), latency)


def test_a_latency_of_two_steps_is_as_if_commands_came_two_steps_later():
    commands = wiggle((1.0, 1.0, 1.0, 1.0), 0.0).commands
    later = np.concatenate([np.zeros((2, 9)), commands[:-2]])
    nominal, tick = (1.0, 1.0, 1.0, 1.0), identification.TICK
    # Two waiting steps let MuJoCo's soft friction give way a little.
    np.testing.assert_allclose(
        path(commands, nominal, 0.10, tick=tick), path(later, nominal, 0.0, tick=tick), atol=1e-4
    )


def test_time_steps_of_the_fit_are_short_enough():
    commands = wiggle((1.0, 1.0, 1.0, 1.0), 0.0).commands
    for factors in ((1.5, 1.0, 0.7, 1.2), (3.0, 1.0, 1.5, 0.1)):
        ours, exact = (path(commands, factors, 0.03, tick=tick) for tick in (identification.TICK, 2.5e-4))
        assert (ours - exact).std(axis=0).max() < 2.0 * identification.ACCURACY  # five times as much at 10 ms


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factors", "latency"),
    [((3.0, 1.0, 1.5, 0.1), 0.07), ((1.5, 1.0, 0.7, 1.2), 0.03)],
    ids=["weak servo", "near nominal"],
)
def test_known_parameters_are_found_again(factors, latency):
    noise = 2e-4
    found = identify(JACO, wiggle(factors, latency, noise=noise))
    for name, truth in zip(identification.FACTORS, factors, strict=True):
        if name == "damping":  # the Jaco's model has next to nothing of it
            assert not found.determined(name)
        else:
            assert found.factors[name] == pytest.approx(truth, rel=0.05) and found.determined(name)
    assert found.latency == pytest.approx(latency, abs=2e-3) and found.determined("latency")
    assert 0.8 * noise < found.after.min() and found.after.max() < 1.2 * noise
    assert found.before.min() > 20.0 * noise


@pytest.mark.slow
def test_what_noise_hides_is_called_not_determined():
    found = identify(JACO, wiggle((1.5, 1.0, 0.7, 1.2), 0.03, noise=0.02))
    assert not any(found.determined(name) for name in ("friction", "damping", "gain"))
    for name in ("friction", "damping", "gain"):  # the prior keeps them from wandering off
        assert 0.1 < found.factors[name] < 10.0


def test_a_recording_that_tells_nothing_is_refused():
    good = wiggle((1.0, 1.0, 1.0, 1.0), 0.0)
    still = dataclasses.replace(good, positions=np.tile(HOME_QPOS, (NUM_STEPS + 1, 1)))
    short = Recording(good.positions[:21], good.commands[:20], TIMESTEP)
    broken = dataclasses.replace(good, commands=np.full_like(good.commands, np.nan))
    other = Recording(good.positions[:, :7], good.commands[:, :7], TIMESTEP)
    timeless = dataclasses.replace(good, control_timestep=0.0)
    for recording, words in (
        (still, "in which a joint moves by"),
        (short, "expected at least 40 steps"),
        (broken, "not finite"),
        (other, "expected a recording of 9 joints"),
        (timeless, "expected steps of 0.001 to 1 s, got 0.0"),
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
        standard_errors={"friction": 0.01, "damping": 40.0, "armature": 0.02, "gain": 0.03, "latency": 0.0004},
        before=np.full(6, 0.02),
        after=np.full(6, 0.015),
    )
    monkeypatch.setattr(identification, "read_recording", lambda path: None)
    monkeypatch.setattr(identification, "identify", lambda arm, recording: found)
    assert run_command_line(["identify", "log.hdf5", "--output", str(tmp_path / "arm.json")]) == 0
    printed = capsys.readouterr().out
    assert "friction    2.00 times the model's (+- 1.0%)" in printed
    assert "damping     1.10 times the model's (not determined by this motion)" in printed
    assert "50.0 ms from command to reading (+- 0.4 ms)" in printed and "before    20.00" in printed
    assert "explain less than half" in printed
    written = json.loads((tmp_path / "arm.json").read_text())
    assert (written["latency"], written["factors"]["gain"], written["after"]) == (0.05, 0.5, [0.015] * 6)
