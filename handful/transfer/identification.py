"""How an arm differs from its model: friction, damping, armature, servo gain and latency, fitted to a recorded wiggle.

The model of the arm alone, with its velocity servos, is driven by the recorded commands, and the numbers are those at which
it follows the recorded positions best (least squares, by SciPy). Each factor is one for all joints of the arm, as training
draws them. A prior keeps what a wiggle does not determine near 1; the standard errors show what that is.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from pathlib import Path

import h5py
import mujoco
import numpy as np
from scipy.optimize import least_squares

from handful.errors import ConfigurationError, DataError, RobotError
from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.transfer.robots.body import Body
from handful.transfer.robots.robot import Robot
from handful.transfer.safety import Guard, SafetyLimits

FACTORS = ("friction", "damping", "armature", "gain")
"""What is fitted as a factor of the model's value."""

TICK = 0.002
"""Largest time step of the physics here [s]. A servo of the Jaco takes up a command in 5 ms (armature / gain), which the
10 ms of training do not resolve."""

LATENCIES = np.arange(0.0, 0.3, 0.01)
"""Latencies from which the search may begin [s]."""

GAINS = (1.0, 0.3, 0.1)
"""Factors of the gain from which it may begin: a weak servo looks like a late one."""

MAX_LATENCY, LARGEST_FACTOR = 0.5, 30.0
"""Bounds of the search: of the latency [s], and of a factor and its inverse."""

STEPS = np.array([0.02, 0.5, 0.02, 0.02, 0.002])
"""Steps of the differences that show how the path changes: of the logarithms of the factors, and of the latency [s]. They
are far above the path's jumps, 0.1 mrad, where a joint sticks a tick later; beside these, the Jaco's damping does little."""

PRIOR = 1.5
"""Standard deviation of what is known of a factor's logarithm without a recording: 22% to 4.5 times the model's. It keeps
what a recording does not determine near the model's, and enters the standard errors of all others."""

ACCURACY = 1e-4
"""Distance that these time steps leave even without noise [rad]: 0.03 to 0.16 mrad measured, beside steps of 0.25 ms."""

DETERMINED, LATENCY_DETERMINED = 0.3, 0.01
"""Larger standard errors, of a factor's logarithm and of the latency [s], are called not determined."""

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
    """Of the logarithms of the factors, and of the latency [s], if the arm differs in nothing else."""
    before: np.ndarray
    """Root mean square of simulation less recording, but for a constant, as the model is [rad], [arm joint]."""
    after: np.ndarray
    """The same with what was found."""

    def determined(self, name: str) -> bool:
        """Whether the recording says something of that factor, or of the latency, and it is no bound of the search."""
        if name == "latency":
            return self.standard_errors[name] <= LATENCY_DETERMINED and self.latency < 0.99 * MAX_LATENCY
        inside = abs(math.log(self.factors[name])) < 0.99 * math.log(LARGEST_FACTOR)
        return inside and self.standard_errors[name] <= DETERMINED


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
    """The arm alone, without contacts, as the simulation has it but in shorter time steps."""

    def __init__(self, arm: Arm, recording: Recording, *, tick: float = TICK) -> None:
        """Prepare to follow a recording; a `DataError` says that nothing can be learned from it."""
        self.num_arm, self.recording = arm.num_arm, recording
        joints, steps = arm.num_joints, len(recording.commands)
        if recording.positions.shape != (steps + 1, joints) or recording.commands.shape != (steps, joints):
            raise DataError(f"expected a recording of {joints} joints, got {recording.commands.shape}.")
        if steps < MIN_STEPS or np.ptp(recording.positions[:, : arm.num_arm], axis=0).max() < MIN_TRAVEL:
            raise DataError(f"expected at least {MIN_STEPS} steps in which a joint moves by {MIN_TRAVEL} rad.")
        if not (np.isfinite(recording.positions).all() and np.isfinite(recording.commands).all()):
            raise DataError("the recording holds a number that is not finite.")
        if not 0.001 <= recording.control_timestep <= 1.0:
            raise DataError(f"expected steps of 0.001 to 1 s, got {recording.control_timestep}.")
        self._model = scene.build_scene(arm).compile()
        self._model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
        self._substeps = math.ceil(recording.control_timestep / tick - 1e-9)
        self._model.opt.timestep = recording.control_timestep / self._substeps
        self._data = mujoco.MjData(self._model)
        self._nominal = {
            name: getattr(self._model, name).copy()
            for name in ("dof_frictionloss", "dof_damping", "dof_armature", "actuator_gainprm", "actuator_biasprm")
        }

    def run(self, factors: np.ndarray) -> np.ndarray:
        """Positions of the arm's joints at every tick if commands act at once [rad], [tick + 1, arm joint].

        Factors are in the order of `FACTORS`.
        """
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
        path = [data.qpos[arm].copy()]
        for command in recording.commands:
            data.ctrl[:joints] = command
            for _ in range(self._substeps):
                mujoco.mj_step(model, data)
                path.append(data.qpos[arm].copy())
        return np.array(path)

    def read(self, path: np.ndarray, latency: float) -> np.ndarray:
        """What `run` gave, as it is read at each control step [rad], [step + 1, arm joint].

        The arm stands until the first command acts, so that a latency [s] only shifts its path.
        """
        tick = self._model.opt.timestep
        # The physics moves by the velocity at a tick's end, and so is half a tick ahead.
        known = (np.arange(len(path)) + 0.5) * tick
        moments = np.arange(len(self.recording.positions)) * self.recording.control_timestep - latency
        return np.stack([np.interp(moments, known, each) for each in path.T], axis=1)


def identify(arm: Arm, recording: Recording) -> Identification:
    """Fit; a `DataError` says that the recording tells nothing."""
    model = ArmModel(arm, recording)
    truth = recording.positions[:, : arm.num_arm]

    def missed(path: np.ndarray, latency: float) -> np.ndarray:
        """Distances [rad], [step + 1, arm joint], less their mean: the first reading, where the arm begins, is noisy too."""
        apart = model.read(path, latency) - truth
        return apart - apart.mean(axis=0)

    def residuals(values: np.ndarray, noise: float) -> np.ndarray:
        apart = missed(model.run(np.exp(values[:4])), values[4])
        return np.concatenate([apart.ravel(), noise / PRIOR * values[:4]])

    def jacobian(values: np.ndarray, noise: float) -> np.ndarray:
        paths = [model.run(np.exp(values[:4] + step)) for step in np.vstack([np.zeros(4), np.diag(STEPS[:4])])]
        here = missed(paths[0], values[4])
        turned = [(missed(path, values[4]) - here) / step for path, step in zip(paths[1:], STEPS, strict=False)]
        later, sooner = (missed(paths[0], values[4] + step) for step in (STEPS[4], -STEPS[4]))
        turned.append((later - sooner) / (2.0 * STEPS[4]))
        prior = noise / PRIOR * np.eye(4, 5)
        return np.vstack([np.stack([each.ravel() for each in turned], axis=1), prior])

    def rms(apart: np.ndarray) -> float:
        return max(ACCURACY, float(np.sqrt(np.sum(apart**2) / (apart.size - apart.shape[1] - 5))))

    starts = []
    for gain in GAINS:
        path = model.run(np.array([1.0, 1.0, 1.0, gain]))
        starts += [(rms(missed(path, latency)), math.log(gain), latency) for latency in LATENCIES]
    noise, gain, latency = min(starts)
    values = np.array([0.0, 0.0, 0.0, gain, latency])
    bound = np.append(np.full(4, np.log(LARGEST_FACTOR)), MAX_LATENCY)
    # The prior weighs by the noise, which is known better each time.
    for _ in range(2):
        values = least_squares(
            residuals,
            values,
            jac=jacobian,  # type: ignore[arg-type]
            bounds=(np.append(-bound[:4], 0.0), bound),
            x_scale="jac",
            ftol=1e-5,  # a tenth of a standard error, for some hundred residuals
            max_nfev=40,
            args=(noise,),
        ).x
        apart = missed(model.run(np.exp(values[:4])), values[4])
        noise = rms(apart)
    change = jacobian(values, noise)
    length = np.linalg.norm(change, axis=0)  # columns are brought to one length, so that a weak one is not lost
    certainty = (change / length).T @ (change / length) + 1e-12 * np.eye(5)
    spread = np.sqrt(np.diag(np.linalg.inv(certainty)) * _repetition(apart)) * noise / length
    before = missed(model.run(np.ones(4)), 0.0)
    return Identification(
        factors={name: float(np.exp(value)) for name, value in zip(FACTORS, values, strict=False)},
        latency=float(values[4]),
        standard_errors={name: float(value) for name, value in zip((*FACTORS, "latency"), spread, strict=True)},
        before=np.sqrt(np.mean(before**2, axis=0)),
        after=np.sqrt(np.mean(apart**2, axis=0)),
    )


def _repetition(apart: np.ndarray) -> float:
    """How many residuals in a row, [step + 1, joint], say what one independent residual says: 1 for white noise.

    One and twice the sum of the autocorrelations up to the first that is not positive.
    """
    correlations = np.array([np.sum(apart[lag:] * apart[: len(apart) - lag]) for lag in range(len(apart) // 2)])
    correlations /= max(correlations[0], 1e-30)
    positive = np.argmax(np.append(correlations, -1.0) <= 0.0)
    return float(max(1.0, 2.0 * np.sum(correlations[:positive]) - 1.0))
