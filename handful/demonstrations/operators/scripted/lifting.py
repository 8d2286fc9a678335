"""The scripted operator of block lifting: move above the block, down, close, lift; again if the block is lost."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.operators.scripted.grasping import (
    TOO_CLOSED,
    box_heading,
    heading,
    pointing_down,
    shape_fingers,
)
from handful.demonstrations.operators.scripted.phases import PhasedOperator
from handful.demonstrations.operators.scripted.script import Goal
from handful.simulation.snapshot import Snapshot
from handful.tasks.lifting import BLOCK

Phase = enum.IntEnum("Phase", ["APPROACH", "DESCEND", "CLOSE", "LIFT"], start=0)
"""What the hand does."""


class LiftingOperator(PhasedOperator):
    """Grasps the block from above, square to its nearest faces, and lifts it."""

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        who = self.personality
        block = snapshot.position(BLOCK)
        aim = box_heading(snapshot.rotation(BLOCK), heading(snapshot.tcp_rotation))
        self._heading = np.where(self.phase < Phase.CLOSE, aim, self._heading)
        rotation = pointing_down(self._imprecise(self._heading), self._care[:, None] * who["tilt_error"])
        above, grip = self._above(block), self._grip(block)
        self._move_on(snapshot, above, grip)
        lifted = np.column_stack([self._held_at[:, :2], who["lift_height"]])
        position = self._of_phase([above, grip, self._held_at, lifted])
        shaping = shape_fingers(who["preshape"], snapshot.finger_positions.max(axis=1))
        fingers = np.where(self.phase >= Phase.CLOSE, 1.0, shaping)
        at_rest = (self.phase == Phase.LIFT) & (snapshot.tcp_position[:, 2] > 0.9 * who["lift_height"])
        return Goal(position, rotation, fingers, at_rest)

    def _move_on(self, snapshot: Snapshot, above: np.ndarray, grip: np.ndarray) -> None:
        """Change phase where the present one is done or has failed."""
        tool = snapshot.tcp_position
        self._count(snapshot)
        opened = snapshot.finger_positions.max(axis=1) < TOO_CLOSED
        ready = self._beside(above, tool) & self._turned(snapshot, self._heading) & opened

        was = self.phase.copy()
        self._enter((was == Phase.APPROACH) & ready, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & self._reached(grip, tool), Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & self._gripped(), Phase.LIFT)
        self._held_at = np.where((self.phase == Phase.DESCEND)[:, None], grip, self._held_at)
        self._try_again((was >= Phase.CLOSE) & self._lost(snapshot, snapshot.position(BLOCK)))
