"""The scripted operator of block lifting: move above the block, down, close, lift; again if the block is lost."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.operators.scripted.grasping import (
    LOST_DISTANCE,
    TOO_CLOSED,
    box_heading,
    heading,
    holds_nothing,
    pointing_down,
    shape_fingers,
    within,
)
from handful.demonstrations.operators.scripted.phases import PhasedOperator
from handful.demonstrations.operators.scripted.script import Goal
from handful.simulation.snapshot import Snapshot
from handful.tasks.lifting import BLOCK

_ARRIVED = 0.010
"""The hand is where it should grip when it is this near [m], sideways and in height."""

_PATIENCE = 30
"""Control steps after which the hand closes even if it is not quite where it should be."""


class Phase(enum.IntEnum):
    """What the hand does."""

    APPROACH = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3


class LiftingOperator(PhasedOperator):
    """Grasps the block from above, square to its nearest faces, and lifts it."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._gripped_at = np.zeros((num_envs, 3))
        self._heading = np.zeros(num_envs)

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        who = self.personality
        block = snapshot.position(BLOCK)
        aim = box_heading(snapshot.rotation(BLOCK), heading(snapshot.tcp_rotation))
        self._heading = np.where(self.phase < Phase.CLOSE, aim, self._heading)
        rotation = pointing_down(self._imprecise(self._heading), self._care[:, None] * who["tilt_error"])
        above, grip = self._above(block), self._grip(block)
        self._move_on(snapshot, above, grip)
        phase = self.phase[:, None]
        position = np.select(
            [phase == Phase.APPROACH, phase == Phase.DESCEND, phase == Phase.CLOSE],
            [above, grip, self._gripped_at],
            np.column_stack([self._gripped_at[:, :2], who["lift_height"]]),
        )
        shaping = shape_fingers(who["preshape"], snapshot.finger_positions.max(axis=1))
        fingers = np.where(self.phase >= Phase.CLOSE, 1.0, shaping)
        at_rest = (self.phase == Phase.LIFT) & (snapshot.tcp_position[:, 2] > 0.9 * who["lift_height"])
        return Goal(position, rotation, fingers, at_rest)

    def _move_on(self, snapshot: Snapshot, above: np.ndarray, grip: np.ndarray) -> None:
        """Change phase where the present one is done or has failed."""
        tool = snapshot.tcp_position
        self._count(snapshot)
        turned = np.abs(self._heading - heading(snapshot.tcp_rotation)) < self.personality["heading_tolerance"]
        opened = snapshot.finger_positions.max(axis=1) < TOO_CLOSED
        arrived = within(_ARRIVED, grip, tool)
        gripped = self._gripped()
        lost = np.linalg.norm(snapshot.position(BLOCK) - tool, axis=1) > LOST_DISTANCE
        lost |= holds_nothing(snapshot)

        was = self.phase.copy()
        self._enter((was == Phase.APPROACH) & self._beside(above, tool) & turned & opened, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & (arrived | (self._steps > _PATIENCE)), Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & gripped, Phase.LIFT)
        self._gripped_at = np.where((self.phase == Phase.DESCEND)[:, None], grip, self._gripped_at)
        self._try_again((was >= Phase.CLOSE) & lost)
