"""Limits that hold whatever a policy says: joint position, speed, acceleration, the table, walls, and the arm itself.

The argument is by induction. After every command there is a way to stop: each joint brakes as hard as it may until it
stands. A command is passed only if the step that it commands, and the way to stop after it, stay within all limits;
otherwise the arm takes a part of it, in the worst case none: then it follows the way to stop that was checked before. It
holds for an arm that does what it is told; clearances are for what a real one does differently. Pure NumPy.
"""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from handful.errors import ConfigurationError
from handful.transfer.robots.body import Body

SHARES = np.array([0.85, 0.7, 0.55, 0.4, 0.25, 0.1])
"""Parts of a command that are tried where all of it would pass a limit."""

PROBE = 1e-4
"""Angle by which a joint is turned to see how a clearance changes [rad]."""

TOLERANCE = 1e-9
"""Rounding in a comparison of clearances [m]."""


@dataclasses.dataclass(frozen=True)
class SafetyLimits:
    """What an arm is kept within, world frame: base at the origin, table top at z = 0."""

    acceleration: float = 12.0
    """Largest change of an arm joint's speed [rad/s^2] (our choice): from full speed to rest in two steps."""
    finger_acceleration: float = 40.0
    """The same of a finger."""
    position_margin: float = 0.02
    """Distance that the arm's joints keep from their limits [rad]; fingers may be quite open and quite closed."""
    table_clearance: float = 0.004
    """Height over the table that everything but the base keeps [m]."""
    low: tuple[float, float, float] = (-0.45, -0.62, 0.0)
    """Walls and table: lowest corner of the space that the arm may use [m]."""
    high: tuple[float, float, float] = (0.85, 0.62, 1.2)
    """Walls and ceiling: its highest corner [m]."""
    self_clearance: float = 0.005
    """Distance that parts of the arm keep from one another [m]."""
    delay_steps: int = 0
    """Commands that were sent and not yet carried out when a reading arrives [control steps]."""

    def __post_init__(self) -> None:
        """Validate."""
        numbers = [self.acceleration, self.finger_acceleration, *self.low, *self.high]
        if not np.isfinite(numbers).all() or min(numbers[:2]) <= 0.0 or not np.less(self.low, self.high).all():
            raise ConfigurationError("expected finite safety limits, accelerations above 0, and low below high.")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a request."""

    velocities: np.ndarray
    """Joint velocities that may be commanded [rad/s], [joint]."""
    reason: str
    """Why they differ from the request: ``""``, ``request``, ``joint`` or ``workspace``."""


class Guard:
    """Turns requested joint velocities into ones that may be commanded, every control step once."""

    def __init__(self, body: Body, limits: SafetyLimits, *, control_timestep: float) -> None:
        """Guard an arm that is commanded every ``control_timestep`` seconds."""
        self.body, self.limits = body, limits
        self._timestep = control_timestep
        fingers = np.arange(len(body.joints)) >= body.num_arm
        acceleration = np.where(fingers, limits.finger_acceleration, limits.acceleration)
        self._change = acceleration * control_timestep  # of a speed, in one step [rad/s]
        self._acceleration = acceleration
        margin = np.where(fingers, 0.0, limits.position_margin)
        self._low, self._high = body.low + margin, body.high - margin
        self._num_steps = 1 + int(np.ceil((body.speed / self._change).max() - 1e-9))
        self._walls = np.array([*limits.low, *(-value for value in limits.high)])
        self._walls[2] += limits.table_clearance
        self._margins = np.concatenate([np.zeros(6), np.full(len(body.apart), limits.self_clearance)])
        self.reset()

    def reset(self) -> None:
        """The arm stands."""
        self.velocities = np.zeros(len(self.body.joints))
        """What was commanded last [rad/s]."""
        self._pending = collections.deque([self.velocities] * self.limits.delay_steps, maxlen=self.limits.delay_steps)

    def filter(self, positions: np.ndarray, requested: np.ndarray) -> Verdict:
        """What may be commanded now.

        Args:
            positions: Measured joint positions [rad], [joint].
            requested: Wanted joint velocities [rad/s], [joint]; anything, also what is no number.
        """
        positions = np.asarray(positions, np.float64)
        if positions.shape != self.velocities.shape or not np.isfinite(positions).all():
            return Verdict(self.brake(), "request")
        requested = np.asarray(requested)
        if (
            requested.shape != self.velocities.shape
            or requested.dtype.kind not in "fiu"
            or not np.isfinite(requested).all()
        ):
            return Verdict(self.brake(), "request")
        positions = positions + self._timestep * np.sum([*self._pending, np.zeros(len(positions))], axis=0)
        wanted = np.clip(requested.astype(np.float64), -self.body.speed, self.body.speed)
        low, high = (np.clip(bound, -self.body.speed, self.body.speed) for bound in self._joint_limits(positions))
        box = low, high
        allowed = np.clip(wanted, *box)
        velocities = self._within_workspace(positions, allowed, box)
        whole = velocities is allowed
        reason = "workspace" if not whole else "joint" if np.abs(allowed - requested).max() > 1e-9 else ""
        self._commanded(velocities)
        return Verdict(velocities, reason)

    def brake(self) -> np.ndarray:
        """The next command on the way to stop [rad/s], [joint]."""
        velocities = self._braked(self.velocities)
        self._commanded(velocities)
        return velocities

    @property
    def stands(self) -> bool:
        """Whether the last command was to stand still."""
        return not self.velocities.any()

    def clearances(self, positions: np.ndarray) -> np.ndarray:
        """How far joint positions [..., joint] are within the workspace [m], [..., constraint].

        Six of the outermost point towards each side of the space, then one of each pair of spheres.
        """
        poses = self.body.poses(positions)
        points = self.body.points(poses)
        sides = np.concatenate([points.min(axis=-2), -points.max(axis=-2)], axis=-1) - self._walls
        return np.concatenate([sides, self.body.sphere_gaps(poses)], axis=-1)

    def _commanded(self, velocities: np.ndarray) -> None:
        self.velocities = velocities
        self._pending.append(velocities)

    def _braked(self, velocities: np.ndarray) -> np.ndarray:
        return np.sign(velocities) * np.maximum(np.abs(velocities) - self._change, 0.0)

    def _joint_limits(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest velocities that break no limit of acceleration or position, each [joint].

        From a distance d to its limit, a joint that moves at v for one step of length t, and then slows down by a t a step,
        covers at most v t / 2 + v^2 / 2a + a t^2 / 8. This is at most d if v <= sqrt(2 a d) - a t / 2.
        """
        half = 0.5 * self._change
        up = np.sqrt(2.0 * self._acceleration * np.maximum(self._high - positions, 0.0)) - half
        down = np.sqrt(2.0 * self._acceleration * np.maximum(positions - self._low, 0.0)) - half
        # A joint may always slow down as hard as it can, also where it is beyond its limit.
        slowest, fastest = self.velocities - self._change, self.velocities + self._change
        return np.clip(-np.maximum(down, 0.0), slowest, fastest), np.clip(np.maximum(up, 0.0), slowest, fastest)

    def _within_workspace(
        self, positions: np.ndarray, allowed: np.ndarray, box: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """As much of the allowed velocities as the workspace lets pass: themselves, if that is all of it."""
        now = self.clearances(positions)
        # What is too near already, because the arm was pushed or put there, may not come nearer.
        least = np.minimum(now, self._margins) - TOLERANCE
        if self._passes(positions, allowed[None], least)[0]:
            return allowed
        braked = self._braked(self.velocities)
        slid = np.clip(self._along_the_nearest(positions, allowed, now), *box)
        parts = [braked + share * (each - braked) for share in SHARES for each in (slid, allowed)]
        candidates = np.stack([slid, *parts])
        passed = np.flatnonzero(self._passes(positions, candidates, least))
        if not len(passed):
            return braked
        distance = np.linalg.norm(candidates[passed] - allowed, axis=1)
        return candidates[passed[np.argmin(distance)]]

    def _passes(self, positions: np.ndarray, candidates: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Whether the step and the way to stop after it keep the least clearances, bool [candidate]."""
        path, at, velocities = [], np.broadcast_to(positions, candidates.shape), candidates
        for _ in range(self._num_steps):
            path += [at + 0.5 * self._timestep * velocities, at + self._timestep * velocities]
            at, velocities = path[-1], self._braked(velocities)
        return np.all(self.clearances(np.stack(path, axis=1)) >= least, axis=(1, 2))

    def _along_the_nearest(self, positions: np.ndarray, allowed: np.ndarray, now: np.ndarray) -> np.ndarray:
        """The allowed velocities without their part towards what they reach first, so that the arm slides along it."""
        turned = positions + np.concatenate([np.zeros((1, len(positions))), PROBE * np.eye(len(positions))])
        clearances = self.clearances(turned)
        gradients = (clearances[1:] - clearances[0]) / PROBE  # [joint, constraint]
        approach = np.maximum(-(allowed @ gradients), 1e-9)
        row = gradients[:, int(np.argmin((now - self._margins) / approach))]
        return allowed - row * min(0.0, float(allowed @ row)) / max(float(row @ row), 1e-9)
