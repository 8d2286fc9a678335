"""How an arm differs from its model: friction, damping, armature, servo gain and latency, fitted to a recorded wiggle.

The model of the arm alone, with its velocity servos, is driven by the recorded commands, and the numbers are those at which
it follows the recorded positions best (least squares, by SciPy). Each factor is one for all joints of the arm, as training
draws them. What a wiggle does not determine stays at 1, and is said.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import h5py
import mujoco
import numpy as np
from scipy.optimize import least_squares, minimize_scalar

from handful.errors import ConfigurationError, DataError, RobotError
from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.transfer.robots.body import Body
from handful.transfer.robots.robot import Robot
from handful.transfer.safety import Guard, SafetyLimits

FACTORS = ("friction", "damping", "armature", "gain")
"""What is fitted as a factor of the model's value."""

LARGEST_FACTOR = 30.0
"""Factors are sought between its inverse and this."""

LATENCIES = np.arange(0.0, 0.3, 0.01)
"""Latencies among which the search begins, with the model as it is [s]."""

BESIDE_S, LATENCY_ACCURACY_S = 0.05, 1e-3
"""How much larger than the best of them the latency may be, and how exactly it is found [s]."""

STEPS = np.array([0.02, 0.02, 0.02, 0.02, 0.002])
"""Steps of the differences that show how the path changes: of the logarithms of the factors, and of the latency [s]. They
are far above the tolerance of the physics' solver."""

PRIOR = 1e-5
"""What a factor e times too large costs in the residuals [rad]: nothing beside what a wiggle says of it."""

DETERMINED = 0.3
"""A factor whose standard error is larger, of its logarithm, is called not determined."""

MIN_STEPS, MIN_TRAVEL = 40, 0.05
"""A recording has at least so many steps, and moves a joint of the arm by so much [rad]."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """An arm that was moved by commands."""

    positions: np.ndarray
    """Joints and fingers at each control step and after the last [rad], [step + 1, joint]."""
    commands: np.ndarray
    """Velocities commanded at each step [rad/s], [step, joint]."""
    control_timestep: float
    """Time between two steps [s]."""


@dataclasses.dataclass(frozen=True)
class Identification:
    """What was found."""

    factors: dict[str, float]
    """By name, see `FACTORS`."""
    latency: float
    """From a command to a reading that shows it begin to act [s]: of the whole loop, network included."""
    standard_errors: dict[str, float]
    """Of the logarithms of the factors."""
    before: np.ndarray
    """Root of the mean squared distance of simulation and recording, as the model is [rad], [arm joint]."""
    after: np.ndarray
    """The same with what was found."""

    def determined(self, name: str) -> bool:
        """Whether the recording says something of that factor."""
        return self.standard_errors[name] <= DETERMINED


def read_recording(path: Path) -> Recording:
    """The first episode of a log of ``handful deploy``.

    Raises:
        ConfigurationError: there is no such file.
        DataError: it is no such log, or was a dry run.
    """
    if not path.is_file():
        raise ConfigurationError(f"there is no file '{path}'.")
    try:
        with h5py.File(path) as file:
            group = file["data/demo_0/robot"]
            summary = json.loads(bytes(group["summary"][()]))  # type: ignore[index]
            positions, commands = (np.array(group[name], float) for name in ("positions", "commands"))  # type: ignore[index]
            recording = Recording(positions, commands, float(summary["control_timestep"]))
            dry = bool(summary["dry_run"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no log of 'handful deploy'.") from error
    if dry:
        raise DataError(f"{path} is the log of a dry run: the arm was not told what it says.")
    return recording


def record_wiggle(robot: Robot, body: Body, *, control_timestep: float, seconds: float) -> Recording:
    """Move all joints to and fro, each in its own rhythm and within the safety limits, and end with the arm stopped.

    Raises:
        RobotError: the robot says nothing of its joints, or refuses.
    """
    guard, never = Guard(body, SafetyLimits(), control_timestep=control_timestep), threading.Event()
    rhythm = 0.35 + 0.11 * np.arange(len(body.joints))  # [Hz]
    positions, commands = [], []
    start = robot.clock.now()
    try:
        for step in range(round(seconds / control_timestep) + 1):
            robot.clock.sleep_until(start + step * control_timestep, never)
            reading = robot.joints()
            if reading is None:
                raise RobotError("the robot has said nothing of its joints.")
            positions.append(reading.positions)
            phase = 2.0 * np.pi * rhythm * step * control_timestep
            commands.append(guard.filter(reading.positions, 0.6 * body.speed * np.sign(np.sin(phase))).velocities)
            robot.command(commands[-1])
    finally:
        robot.stop()
    return Recording(np.array(positions), np.array(commands[:-1]), control_timestep)


class ArmModel:
    """The arm alone, without contacts, as the simulation has it."""

    def __init__(self, arm: Arm, recording: Recording) -> None:
        """Prepare to follow a recording; a `DataError` says that nothing can be learned from it."""
        self.num_arm, self.recording = arm.num_arm, recording
        joints, steps = arm.num_joints, len(recording.commands)
        if recording.positions.shape != (steps + 1, joints) or recording.commands.shape != (steps, joints):
            raise DataError(f"expected a recording of {joints} joints, got {recording.commands.shape}.")
        if steps < MIN_STEPS or np.ptp(recording.positions[:, : arm.num_arm], axis=0).max() < MIN_TRAVEL:
            raise DataError(f"expected at least {MIN_STEPS} steps in which a joint moves by {MIN_TRAVEL} rad.")
        if not (np.isfinite(recording.positions).all() and np.isfinite(recording.commands).all()):
            raise DataError("the recording holds a number that is not finite.")
        self._model = scene.build_scene(arm).compile()
        self._model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
        self._data = mujoco.MjData(self._model)
        self._nominal = {
            name: getattr(self._model, name).copy()
            for name in ("dof_frictionloss", "dof_damping", "dof_armature", "actuator_gainprm", "actuator_biasprm")
        }

    def follow(self, factors: np.ndarray, latency: float) -> np.ndarray:
        """Positions of the arm's joints [rad], [step + 1, arm joint], with factors in the order of `FACTORS`."""
        model, data, recording = self._model, self._data, self.recording
        friction, damping, armature, gain = factors
        arm = slice(0, self.num_arm)
        model.dof_frictionloss[arm] = friction * self._nominal["dof_frictionloss"][arm]
        model.dof_damping[arm] = damping * self._nominal["dof_damping"][arm]
        model.dof_armature[arm] = armature * self._nominal["dof_armature"][arm]
        model.actuator_gainprm[arm, 0] = gain * self._nominal["actuator_gainprm"][arm, 0]
        model.actuator_biasprm[arm, 2] = gain * self._nominal["actuator_biasprm"][arm, 2]
        mujoco.mj_resetData(model, data)
        joints = recording.positions.shape[1]
        data.qpos[:joints] = recording.positions[0]
        tick = model.opt.timestep
        substeps = round(recording.control_timestep / tick)
        # What was commanded until any moment, so that a tick gets the mean of what reaches it.
        total = (
            np.concatenate([np.zeros((1, joints)), np.cumsum(recording.commands, axis=0)]) * recording.control_timestep
        )
        moments = np.arange(len(recording.commands) * substeps + 1) * tick - latency
        grid = np.arange(len(total)) * recording.control_timestep
        reached = np.stack([np.interp(moments, grid, total[:, joint]) for joint in range(joints)], axis=1)
        commands = np.diff(reached, axis=0) / tick
        path = [data.qpos[arm].copy()]
        for number, command in enumerate(commands, start=1):
            data.ctrl[:joints] = command
            mujoco.mj_step(model, data)
            if number % substeps == 0:
                path.append(data.qpos[arm].copy())
        return np.array(path)


def identify(arm: Arm, recording: Recording) -> Identification:
    """Fit; a `DataError` says that the recording tells nothing."""
    model = ArmModel(arm, recording)
    truth = recording.positions[:, : arm.num_arm]
    bound = np.full(4, np.log(LARGEST_FACTOR))

    def residuals(values: np.ndarray) -> np.ndarray:
        missed = model.follow(np.exp(values[:4]), values[4]) - truth
        return np.concatenate([missed.ravel(), PRIOR * values[:4]])

    def jacobian(values: np.ndarray, count: int) -> np.ndarray:
        here = residuals(values)
        turned = [(residuals(values + step) - here) / step.max() for step in np.diag(STEPS)[:count]]
        return np.stack(turned, axis=1)

    best = np.zeros(4)

    def fit_factors(latency: float) -> float:
        """Fit the factors at a latency, from those that were the last; the cost of the best."""
        nonlocal best
        fit = least_squares(
            lambda factors: residuals(np.append(factors, latency)),
            best,
            jac=lambda factors: jacobian(np.append(factors, latency), 4),  # type: ignore[arg-type]
            bounds=(-bound, bound),
            x_scale="jac",
            max_nfev=20,
        )
        best = fit.x
        return fit.cost

    # Commands are steps, and so is the physics: the path has kinks where the latency passes a tick, and is smooth else.
    nearest = min(LATENCIES, key=lambda latency: np.sum(residuals(np.append(np.zeros(4), latency)) ** 2))
    bounds, options = (0.0, nearest + BESIDE_S), {"xatol": LATENCY_ACCURACY_S}
    latency = float(minimize_scalar(fit_factors, method="bounded", bounds=bounds, options=options).x)  # type: ignore[attr-defined]
    fit_factors(latency)
    values = np.append(best, latency)
    change, missed = jacobian(values, 5), residuals(values)
    variance = np.sum(missed**2) / max(1, truth.size - 5)
    length = np.linalg.norm(change, axis=0)  # columns are brought to one length, so that a weak one is not lost
    certainty = (change / length).T @ (change / length) + 1e-12 * np.eye(5)
    spread = np.sqrt(np.diag(np.linalg.inv(certainty)) * variance) / length
    before, after = residuals(np.zeros(5)), missed
    apart = [np.sqrt(np.mean(each[: truth.size].reshape(truth.shape) ** 2, axis=0)) for each in (before, after)]
    return Identification(
        factors={name: float(np.exp(value)) for name, value in zip(FACTORS, best, strict=True)},
        latency=latency,
        standard_errors={name: float(value) for name, value in zip(FACTORS, spread, strict=False)},
        before=apart[0],
        after=apart[1],
    )
