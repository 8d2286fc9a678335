"""Scripts that carry objects: move there, grip, carry, let go, and the next job."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from handful.demonstrations.operators.operator import Seed
from handful.demonstrations.operators.scripted.grasping import heading, pointing_down, shape_fingers
from handful.demonstrations.operators.scripted.phases import PhasedOperator
from handful.demonstrations.operators.scripted.script import Goal
from handful.simulation import jaco
from handful.simulation.scene import WORKSPACE_CENTER
from handful.simulation.snapshot import Snapshot

_FAR = 0.05
"""Over distances longer than this [m] the hand travels at its travelling height, above obstacles."""

_STUCK = 100
"""Control steps after which an approach is blocked: the hand moves away and tries again."""

_RETREAT_STEPS, _RETREAT = 25, np.array([*WORKSPACE_CENTER, 0.20])
"""How long it moves away [control steps], and where to [m]."""

_OPEN = 0.45
"""Fingers opened to this [rad] have let go."""

_UNEVEN = 0.2
"""Fingers that differ by more [rad], as after an oblique grip, open wide first, because all get one command."""

_PINCH_OFFSET = 0.0145
"""Distance from the tool point, along the hand's heading, to where the three finger tips meet [m] (measured on the model).
The thumb is opposite the middle between the two fingers, which are at -1.3 and +4.2 cm."""


Phase = enum.IntEnum("Phase", ["APPROACH", "DESCEND", "CLOSE", "CARRY", "LOWER", "RELEASE"], start=0)
"""What the hand does."""


@dataclasses.dataclass
class Job:
    """What to grip now and where to take it, in every simulation."""

    grip: np.ndarray
    """Where the finger tips should close [m], world frame, [env, 3]; it moves with the gripped object."""
    grip_heading: np.ndarray
    """Heading of the hand there [rad], [env]."""
    preshape: np.ndarray
    """How far the fingers are closed on the way down [rad], [env]."""
    goal: np.ndarray
    """Where to take the gripped object [m], [env, 3]."""
    goal_heading: np.ndarray
    """Heading of the hand there [rad], [env]."""
    release: np.ndarray
    """Whether to let go there, bool [env]; otherwise the job ends holding the object."""
    travel_height: np.ndarray
    """Lowest height of the tool for moving sideways [m], [env]."""
    finished: np.ndarray
    """Whether nothing is left to do, bool [env]."""


class CarryingOperator(PhasedOperator):
    """Does one `job` after another; repeats a failed one with more care."""

    arrival_tolerance, patience = 0.012, 40
    """Both a little larger than for blocks."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._gripped_at = np.zeros((num_envs, 3))
        self._opening = np.zeros(num_envs, bool)

    def reset(self, ids: np.ndarray, seeds: Sequence[Seed]) -> None:
        """Begin new episodes in the simulations ``ids``."""
        super().reset(ids, seeds)
        self._opening[ids] = False

    @abc.abstractmethod
    def job(self, snapshot: Snapshot) -> Job:
        """What to do next. From `Phase.DESCEND` on it must stay the same job, whose grip follows the object."""

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        job = self.job(snapshot)
        self._gripped_at = np.where((self.phase <= Phase.DESCEND)[:, None], job.grip, self._gripped_at)
        job.grip, job.goal = _tool_at(job.grip, job.grip_heading), _tool_at(job.goal, job.goal_heading)
        above, grip = self._above(job.grip), self._grip(job.grip)
        tilt = self._care[:, None] * self.personality["tilt_error"]
        self._move_on(snapshot, job, above, grip)

        seeking, gripping_now = self.phase <= Phase.DESCEND, self.phase <= Phase.CLOSE
        aim = np.where(gripping_now, job.grip_heading, job.goal_heading)
        rotation = pointing_down(self._imprecise(aim), tilt)
        over = np.column_stack([job.goal[:, :2], job.travel_height])
        coming, carrying = (self._travel(snapshot, place, job.travel_height) for place in (above, over))
        position = self._of_phase([coming, grip, self._held_at, carrying, job.goal, job.goal])
        fingers = snapshot.finger_positions
        self._opening &= fingers.max(axis=1) > jaco.FINGER_OPEN + 0.1
        self._opening |= np.ptp(fingers, axis=1) > _UNEVEN
        idle = job.finished & (self.phase == Phase.APPROACH)
        position[idle] = np.column_stack([snapshot.tcp_position[:, :2], job.travel_height])[idle]
        retreating = (self.phase == Phase.APPROACH) & (self._steps > _STUCK) & ~job.finished
        position[retreating] = _RETREAT
        wanted = np.where(seeking & ~self._opening, job.preshape, jaco.FINGER_OPEN - 0.2)
        shaping = shape_fingers(wanted, fingers.mean(axis=1))
        holding = (self.phase >= Phase.CLOSE) & (self.phase <= Phase.LOWER)
        done = (self.phase == Phase.CARRY) & ~job.release & (snapshot.tcp_position[:, 2] > 0.95 * job.travel_height)
        return Goal(position, rotation, np.where(holding, 1.0, shaping), done | idle)

    def _travel(self, snapshot: Snapshot, target: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Waypoint towards ``target``: up if the hand is low and the way is long, then across, then down."""
        tool = snapshot.tcp_position
        far = np.linalg.norm(target[:, :2] - tool[:, :2], axis=1) > _FAR
        low = far & (tool[:, 2] < height - 0.03)
        waypoint = target.copy()
        waypoint[:, 2] = np.where(far, np.maximum(height, target[:, 2]), target[:, 2])
        waypoint[low, :2] = tool[low, :2]
        return waypoint

    def _move_on(self, snapshot: Snapshot, job: Job, above: np.ndarray, grip: np.ndarray) -> None:
        """Change phase where the present one is done or has failed."""
        tool, fingers = snapshot.tcp_position, snapshot.finger_positions
        self._count(snapshot)
        shaped = ~self._opening & (np.abs(fingers - job.preshape[:, None]).max(axis=1) < 0.25)
        turned = self._turned(snapshot, job.grip_heading)
        lost = self._lost(snapshot, job.grip, closed=0.97)
        over = np.linalg.norm(job.goal[:, :2] - tool[:, :2], axis=1) < 0.015
        over &= np.abs(job.goal_heading - heading(snapshot.tcp_rotation)) < 0.25
        opened = fingers.max(axis=1) < _OPEN

        was = self.phase.copy()
        self._enter((was == Phase.APPROACH) & (self._steps > _STUCK + _RETREAT_STEPS), Phase.APPROACH)
        self._enter((was == Phase.CARRY) & (self._steps > _STUCK) & job.release, Phase.RELEASE)
        ready = self._beside(above, tool) & turned & shaped & (self._steps <= _STUCK) & ~job.finished
        self._enter((was == Phase.APPROACH) & ready, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & self._reached(grip, tool), Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & self._gripped(), Phase.CARRY)
        self._enter((was == Phase.CARRY) & (self.phase == Phase.CARRY) & over & job.release, Phase.LOWER)
        self._enter((was == Phase.LOWER) & self._reached(job.goal, tool), Phase.RELEASE)
        self._enter((was == Phase.RELEASE) & (opened | (self._steps > self.patience)), Phase.APPROACH)
        self._held_at = np.where((self.phase == Phase.DESCEND)[:, None], grip, self._held_at)
        self._try_again((was >= Phase.CLOSE) & (was <= Phase.LOWER) & lost)


def _tool_at(pinch: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Where the tool point is when the finger tips meet at ``pinch`` [m], [env, 3]."""
    return pinch - _PINCH_OFFSET * np.stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)], axis=1)
