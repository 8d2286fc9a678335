"""The scripted operator of block lifting: above the block, down, close, up; again if the block is lost."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.operators.scripted.grasping import (
    box_heading,
    heading,
    pointing_down,
)
from handful.demonstrations.operators.scripted.phases import PhasedOperator
from handful.demonstrations.operators.scripted.script import Goal
from handful.simulation import jaco
from handful.simulation.snapshot import Snapshot
from handful.tasks.lifting import BLOCK

_LOST_DISTANCE = 0.06
"""The block has slipped from the hand when it is this far from the tool [m]."""

_ARRIVED = 0.010
"""The hand is where it should grip when it is this near, sideways and in height [m]."""

_PATIENCE = 30
"""Control steps after which the hand closes even if it is not quite where it should be."""

_LOWEST_GRIP = 0.017
"""Lowest height of the tool over the table [m]: lower, the finger tips scrape it."""

_TOO_CLOSED = 0.65
"""Fingers further closed than this [rad] would strike the block from above: the hand opens before it descends."""


class Phase(enum.IntEnum):
    """What the hand is about."""

    APPROACH = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3


class LiftingOperator(PhasedOperator):
    """Grasps the block from above, square to its nearest faces, and lifts it."""

    def __init__(self, num_envs: int) -> None:
        """Prepare for ``num_envs`` simulations."""
        super().__init__(num_envs)
        self._grip = np.zeros((num_envs, 3))
        self._heading = np.zeros(num_envs)

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        who = self.personality
        block = snapshot.position(BLOCK)
        errors = self._care[:, None]
        aim = np.where(
            self.phase < Phase.CLOSE,
            box_heading(snapshot.rotation(BLOCK), heading(snapshot.tcp_rotation)),
            self._heading,
        )
        self._heading = aim
        rotation = pointing_down(aim + self._care * who["heading_error"][:, 0], errors * who["tilt_error"])
        above = block + np.concatenate([errors * who["approach_offset"], who["approach_height"][:, None]], axis=1)
        grip = block + np.concatenate([errors * who["grasp_offset"], who["grasp_height"][:, None]], axis=1)
        grip[:, 2] = np.maximum(grip[:, 2], _LOWEST_GRIP)
        self._move_on(snapshot, above, grip, aim)
        phase = self.phase[:, None]
        position = np.select(
            [phase == Phase.APPROACH, phase == Phase.DESCEND, phase == Phase.CLOSE],
            [above, grip, self._grip],
            np.column_stack([self._grip[:, :2], who["lift_height"]]),
        )
        shaping = np.clip(8.0 * (who["preshape"] - snapshot.finger_positions.max(axis=1)), -1.0, 1.0)
        fingers = np.where(self.phase >= Phase.CLOSE, 1.0, shaping)
        at_rest = (self.phase == Phase.LIFT) & (snapshot.tcp_position[:, 2] > 0.9 * who["lift_height"])
        return Goal(position, rotation, fingers, at_rest)

    def _move_on(self, snapshot: Snapshot, above: np.ndarray, grip: np.ndarray, aim: np.ndarray) -> None:
        """Change phase where the present one is done or has failed."""
        who = self.personality
        tool = snapshot.tcp_position
        self._count(snapshot)
        turned = np.abs(aim - heading(snapshot.tcp_rotation)) < who["heading_tolerance"]
        opened = snapshot.finger_positions.max(axis=1) < _TOO_CLOSED
        beside = np.linalg.norm(above[:, :2] - tool[:, :2], axis=1) < who["approach_tolerance"]
        miss = grip - tool
        arrived = (np.linalg.norm(miss[:, :2], axis=1) < _ARRIVED) & (np.abs(miss[:, 2]) < _ARRIVED)
        gripped = self._gripped()
        distance = np.linalg.norm(snapshot.position(BLOCK) - tool, axis=1)
        empty = snapshot.finger_positions.min(axis=1) > 0.95 * jaco.FINGER_CLOSED
        lost = (distance > _LOST_DISTANCE) | empty

        was = self.phase.copy()
        self._enter((was == Phase.APPROACH) & beside & turned & opened, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & (arrived | (self._steps > _PATIENCE)), Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & gripped, Phase.LIFT)
        self._grip = np.where((self.phase == Phase.DESCEND)[:, None], grip, self._grip)
        failed = (was >= Phase.CLOSE) & lost
        self._try_again(failed)
