"""The scripted operator of pouring: grip the mug from the side, carry it over the box, roll the hand, wait."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.operators.scripted.grasping import pointing_down, shape_fingers
from handful.demonstrations.operators.scripted.phases import PhasedOperator
from handful.demonstrations.operators.scripted.script import Goal
from handful.geometry import matrix_from_rotation_vector, rotation_error
from handful.simulation import jaco
from handful.simulation.snapshot import Snapshot
from handful.tasks.pouring import BOX, MUG

_INCLINATION = 1.4
"""How far the hand is inclined from pointing down [rad]: nearly level, its wrist slightly higher than its fingers."""

_INWARDS = 0.25 * np.pi
"""Direction in which the hand reaches for the mug, inwards from straight ahead [rad]. In this direction the arm is furthest
from its singularities, at the mug and at the box (by inverse kinematics)."""

_DEPTH = 0.018
"""Distance from the tool point to the mug's axis, towards the palm [m]: the middle of the closed finger tips."""

_GRIP_HEIGHT = 0.045
"""Height of the tool point over the table at the grip [m]. The palm is then a centimetre over the table; the higher of the
two fingers is 4 cm above the tool point, the other one 1 cm below (from the hand's meshes)."""

_ABOVE_MUG = 0.09
"""Height of the tool point over the mug's rim before the hand moves down around the mug [m]: the lower finger and the palm
are 3 cm below it."""

_OVER_RIM = 0.10
"""Height of the mug's centre over the box's rim while it is carried [m]: the fingers reach 7 cm below the rolled mug."""

_LEAD = 0.03
"""Distance of the mug's lip in front of the box's centre [m]: falling balls move on by about that much."""

_POURING_TILT = 2.1
"""Tilt of the mug at the end [rad]: its wall then slopes down to the lip by 30 degrees."""

_TURNED = 0.12
"""The hand has the wanted rotation when it is this near [rad]."""

_LOST_DISTANCE = 0.07
"""The mug has slipped from the hand when its centre is this far from the tool [m]."""


Phase = enum.IntEnum("Phase", ["APPROACH", "DESCEND", "CLOSE", "LIFT", "CARRY", "POUR"], start=0)
"""What the hand does."""


class PouringOperator(PhasedOperator):
    """Moves down around the mug with a level hand, lifts it, and rolls the hand with the mug's lip over the box.

    Only the last joint rolls, so the mug tilts across the direction in which the hand points. The hand points inwards, and
    rolls towards the box's side.
    """

    arrival_tolerance, patience = 0.012, 40
    """Both a little larger than for blocks."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._side = np.ones(num_envs)

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        side = np.where(snapshot.position(MUG)[:, 1] < 0.0, -1.0, 1.0)
        self._side = np.where(self.phase == Phase.APPROACH, side, self._side)
        places = self._places(snapshot)
        self._move_on(snapshot, places)
        pouring = self.phase == Phase.POUR
        opening = shape_fingers(jaco.FINGER_OPEN - 0.2, snapshot.finger_positions.mean(axis=1))
        return Goal(
            position=self._of_phase(places),
            rotation=self._rotation(np.where(pouring, _POURING_TILT, 0.0)),
            fingers=np.where(self.phase >= Phase.CLOSE, 1.0, opening),
            at_rest=pouring & (_tilt(snapshot) > 0.9 * _POURING_TILT),
        )

    def _forward(self) -> np.ndarray:
        """Direction along the table in which the hand points, [env, 2]."""
        heading = -self._side * _INWARDS
        return np.stack([np.cos(heading), np.sin(heading)], axis=1)

    def _downhill(self) -> np.ndarray:
        """Direction along the table in which the mug's mouth moves when the hand rolls, [env, 2]."""
        forward = self._forward()
        return self._side[:, None] * np.stack([forward[:, 1], -forward[:, 0]], axis=1)

    def _rotation(self, roll: np.ndarray) -> np.ndarray:
        """The wanted rotation, tool to world, [env, 3, 3]: level, then rolled by an angle [rad], [env]."""
        heading = self._imprecise(-self._side * _INWARDS)
        level = pointing_down(heading) @ matrix_from_rotation_vector(np.array([[_INCLINATION, 0.0, 0.0]]))
        axis = np.column_stack([self._forward(), np.zeros(self.num_envs)])
        return matrix_from_rotation_vector((self._side * roll)[:, None] * axis) @ level

    def _places(self, snapshot: Snapshot) -> list[np.ndarray]:
        """Where the tool should be in each phase [m], each [env, 3]."""
        who, parameters = self.personality, snapshot.parameters
        mug, box, tool = snapshot.position(MUG), snapshot.position(BOX), snapshot.tcp_position
        around = mug[:, :2] + _DEPTH * self._forward()
        errors = self._care[:, None] * who["grasp_offset"]
        grip = np.column_stack([around + errors, _GRIP_HEIGHT + 0.5 * who["grasp_height"]])
        errors = 0.5 * self._care[:, None] * who["approach_offset"]
        above = np.column_stack([around + errors, parameters["mug.height"] + _ABOVE_MUG])
        self._held_at = np.where((self.phase <= Phase.DESCEND)[:, None], grip, self._held_at)

        # From here on the tool moves as far as the mug still has to.
        rise = parameters["box.height"] + _OVER_RIM - mug[:, 2]
        up = np.column_stack([self._held_at[:, :2], tool[:, 2] + rise])
        tilt = np.where(self.phase == Phase.POUR, _tilt(snapshot), 0.0)
        reach = 0.5 * parameters["mug.height"] * np.sin(tilt) + parameters["mug.inner_radius"] * np.cos(tilt)
        lip = mug[:, :2] + reach[:, None] * self._downhill()
        over = np.column_stack([tool[:, :2] + box[:, :2] - _LEAD * self._downhill() - lip, tool[:, 2] + rise])
        return [above, grip, self._held_at, up, over, over]

    def _move_on(self, snapshot: Snapshot, places: list[np.ndarray]) -> None:
        """Change phase where the present one is done or has failed."""
        self._count(snapshot)
        miss = np.linalg.norm(np.stack(places) - snapshot.tcp_position, axis=2)
        level = self._rotation(np.zeros(self.num_envs))
        turned = np.linalg.norm(rotation_error(snapshot.tcp_rotation, level), axis=1) < _TURNED
        arrived = (miss[Phase.DESCEND] < self.arrival_tolerance) | (self._steps > self.patience)
        lost = self._lost(snapshot, snapshot.position(MUG), _LOST_DISTANCE, closed=0.97)

        was = self.phase.copy()
        above = turned & (miss[Phase.APPROACH] < self.personality["approach_tolerance"])
        self._enter((was == Phase.APPROACH) & above, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & arrived, Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & self._gripped(), Phase.LIFT)
        self._enter((was == Phase.LIFT) & (miss[Phase.LIFT] < 2.0 * self.arrival_tolerance), Phase.CARRY)
        self._enter((was == Phase.CARRY) & (miss[Phase.CARRY] < self.arrival_tolerance), Phase.POUR)
        self._try_again((was >= Phase.CLOSE) & lost)


def _tilt(snapshot: Snapshot) -> np.ndarray:
    """How far the mug leans [rad], [env]."""
    return np.arccos(np.clip(snapshot.rotation(MUG)[:, 2, 2], -1.0, 1.0))
