"""The control loop: readings and pictures in, the policy, the guard, commands out; and whatever happens, a stop."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np

from handful.environment import PIXELS, PROPRIOCEPTION
from handful.errors import ConfigurationError, HandfulError
from handful.transfer.emergency import EmergencyStop
from handful.transfer.exported import OnnxPolicy
from handful.transfer.robots.body import Body
from handful.transfer.robots.robot import JointReading, Picture, Robot
from handful.transfer.safety import Guard, SafetyLimits
from handful.transfer.seeing import fitted
from handful.transfer.watchdog import NO_CAMERA, Watchdog


@dataclasses.dataclass(frozen=True)
class Step:
    """One control step, as it was."""

    time: float
    """When it was due, since the first one [s]."""
    lateness: float
    """How much later it began [s]."""
    duration: float
    """From its begin until the command was sent [s]."""
    reading: JointReading
    """Joint state that it began with."""
    image: np.ndarray | None
    """What the policy saw, uint8 [height, width, 3]; None for a policy without eyes."""
    action: np.ndarray
    """What the policy wanted, float32 [action]."""
    command: np.ndarray
    """Joint velocities that the guard let pass [rad/s], [joint]."""
    reason: str
    """Why they differ from what the policy wanted, see `handful.transfer.safety.Verdict`."""


@dataclasses.dataclass
class Episode:
    """An episode on a robot."""

    task: str
    """Name of the policy's task."""
    control_timestep: float
    """Time between two steps [s]."""
    dry_run: bool
    """Whether no command was sent."""
    steps: list[Step] = dataclasses.field(default_factory=list)
    """All steps that ended with a command."""
    ending: str = ""
    """Why it ended early, in a sentence; empty where it did not."""
    last_reading: JointReading | None = None
    """Joint state at the end."""

    @property
    def jitter(self) -> np.ndarray:
        """How late each step began [s]."""
        return np.array([step.lateness for step in self.steps])

    @property
    def num_missed(self) -> int:
        """Steps that began only when the next one was due."""
        return int((self.jitter >= self.control_timestep).sum())


def check_policy_drives(policy: OnnxPolicy, body: Body, robot: str) -> None:
    """Refuse a policy whose observations or actions are not those of a robot, by a `ConfigurationError`."""
    manifest = policy.manifest
    vector = manifest.observations.get(PROPRIOCEPTION)
    fits = (
        manifest.arm == body.arm
        and manifest.action.names == body.joints
        and np.allclose(manifest.action_scale, body.speed, rtol=1e-3)
        and set(manifest.observations) <= {PIXELS, PROPRIOCEPTION}
        and (vector is None or vector.names == entry_names(body))
    )
    if not fits:
        raise ConfigurationError(
            f"the policy is for the arm '{manifest.arm}' with the joints {', '.join(manifest.action.names)}, the robot "
            f"'{robot}' is a '{body.arm}' with {', '.join(body.joints)}: expected a policy that was trained with this arm."
        )


def entry_names(body: Body) -> tuple[str, ...]:
    """Names of what `proprioception` holds."""
    arm, fingers = range(1, body.num_arm + 1), range(1, len(body.joints) - body.num_arm + 1)
    names = [f"{name}_joint_{i}" for name in ("sin", "cos", "velocity") for i in arm]
    return (*names, *(f"{name}_{i}" for name in ("finger", "velocity_finger") for i in fingers))


def proprioception(reading: JointReading, num_arm: int) -> np.ndarray:
    """The group of that name, as `handful.simulation.observation.arm_sensors` makes it in simulation, float32 [entry]."""
    arm, fingers = reading.positions[:num_arm], reading.positions[num_arm:]
    parts = [np.sin(arm), np.cos(arm), reading.velocities[:num_arm], fingers, reading.velocities[num_arm:]]
    return np.concatenate(parts).astype(np.float32)


def run_episode(
    policy: OnnxPolicy,
    robot: Robot,
    body: Body,
    *,
    num_steps: int,
    limits: SafetyLimits | None = None,
    watchdog: Watchdog | None = None,
    stop: EmergencyStop | None = None,
    dry_run: bool = False,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Episode:
    """Run a policy on a robot for a number of control steps, or until something is wrong.

    However it ends, the arm has been stopped when this returns: after a fault on the way to stop that the guard has checked,
    after an emergency stop at once.
    """
    check_policy_drives(policy, body, robot.name)
    timestep, stop = policy.manifest.control_timestep, stop or EmergencyStop()
    guard = Guard(body, limits or SafetyLimits(), control_timestep=timestep)
    episode = Episode(policy.manifest.task, timestep, dry_run)
    loop = _Loop(policy, robot, guard, watchdog or Watchdog(), episode)
    policy.reset()
    try:
        start = robot.clock.now()
        for number in range(num_steps):
            robot.clock.sleep_until(start + number * timestep, stop.event)
            if stop.event.is_set():
                episode.ending = f"stopped by {stop.cause}."
                break
            step = loop.step(number * timestep, robot.clock.now() - start - number * timestep)
            if step is None:
                loop.slow_down(stop)
                break
            episode.steps.append(step)
            on_step(step)
    except HandfulError as error:
        episode.ending = str(error)
    finally:
        robot.stop()
    with contextlib.suppress(HandfulError):  # a robot that has gone has nothing to say
        episode.last_reading = robot.joints()
    return episode


@dataclasses.dataclass
class _Loop:
    """The parts of a loop that is running."""

    policy: OnnxPolicy
    robot: Robot
    guard: Guard
    watchdog: Watchdog
    episode: Episode
    image: np.ndarray | None = None

    def step(self, due: float, lateness: float) -> Step | None:
        """One step; None where something is wrong, which ``episode.ending`` then says."""
        began = self.robot.clock.now()
        reading, picture = self.robot.joints(), self._picture()
        num_joints = len(self.guard.body.joints)
        fault = self.watchdog.fault(began, lateness, reading, picture, num_joints=num_joints)
        if fault is not None:
            self.episode.ending = fault
            return None
        assert reading is not None and picture is not None
        if self.policy.looks:
            height, width, _ = self.policy.manifest.observations[PIXELS].shape
            self.image = fitted(picture.pixels, height, width)
        observation = {PROPRIOCEPTION: proprioception(reading, self.guard.body.num_arm), PIXELS: self.image}
        action = self.policy.act(observation)
        if not np.isfinite(action).all():
            self.episode.ending = "the policy's action is not finite."
            return None
        verdict = self.guard.filter(reading.positions, self.policy.velocities(action))
        if not self.episode.dry_run:
            self.robot.command(verdict.velocities)
        duration = self.robot.clock.now() - began
        return Step(due, lateness, duration, reading, self.image, action, verdict.velocities, verdict.reason)

    def slow_down(self, stop: EmergencyStop) -> None:
        """Follow the way to stop; at once where an emergency stop comes in between."""
        moment = self.robot.clock.now()
        while not (self.guard.stands or self.episode.dry_run or stop.event.is_set()):
            self.robot.command(self.guard.brake())
            moment += self.episode.control_timestep
            self.robot.clock.sleep_until(moment, stop.event)

    def _picture(self) -> Picture | None:
        return self.robot.picture() if PIXELS in self.policy.manifest.observations else NO_CAMERA
