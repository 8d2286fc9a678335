"""The scripted operator of clearing blocks: stack them, close the hand around both, lift."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.grasping import box_heading, finger_positions, pointing_down
from handful.demonstrations.scripted import shorten
from handful.demonstrations.scripted_stacking import (
    ARRIVED,
    MIN_CLOSING_STEPS,
    PATIENCE,
    QUARTERS,
    Phase,
    StackingOperator,
    cheapest,
    half_width,
    rotate,
    wrap,
)
from handful.geometry import matrix_from_rotation_vector, rotation_error
from handful.simulation import jaco
from handful.tasks.stacking import BLUE, RED, highest_point, rests_on
from handful.tasks.task import Snapshot

_INCLINATION = 0.8
"""How far the hand is inclined from pointing down, about the axis along which its fingers close [rad]. Of the two
fingers one is then above the other, at a block each, and pushes it against the thumb, which reaches across the joint of
both; a hand that points down closes on whichever block is broader and leaves the other."""

_SIDEWAYS = 0.5 * np.pi
"""Headings of the inclined hand are best a quarter turn to either side [rad]: the arm reaches all of the workspace so,
with joint 5 at least 0.7 rad from its singularity (by inverse kinematics)."""

_ASIDE = np.array([-0.004, 0.0])
"""From the stack to the tool point at heading 0 [m]: both fingers then lie on their blocks (from the hand's meshes)."""

_RECESS = 0.005
"""How far the red block's side is set back from the blue block's where the thumb will be [m]: the thumb then meets the
blue block first, which the table holds back, and the finger pushes the red one, which slides easily, up to it."""

_LOWEST_TOOL = 0.031
"""Lowest height of the inclined hand's tool point over the table [m]: the lower finger's tip is 2.7 cm below it."""

_PALM_DEPTH = 0.082
"""How far the inclined hand's tool point can go below the top of the stack before the palm touches it [m]."""

_ABOVE_STACK = 0.07
"""How far the tool point is above the stack while the hand inclines [m]."""

_SLOW = 0.016
"""How far ahead of the hand its goal is around a stack [m]: it moves at 6 to 9 cm/s."""

_SQUEEZING_STEPS = 5
"""Control steps that the fingers go on pressing once they stand still, so that both blocks are pushed to the thumb."""

_STILL = 0.1
"""A finger slower than this [rad/s] has met something."""

_LOWER_ALONE = np.array([1.0, 0.0, 1.0])
"""Thumb, upper and lower finger when the lower block is pinched first [fraction of the highest speed]: where the thumb
meets the upper block before, it pushes it back over the lower one until it meets that too."""

_HOLDING_GAIN = 2.0
"""How fast a finger goes back to where it gripped [1/s]."""

_TURNED = 0.15
"""The hand has inclined when it is this near [rad]."""

_LOST_DISTANCE = 0.08
"""A block has slipped from the hand when it is this far from the tool [m]; the upper one of a stack is up to 6 cm away."""


class ClearingPhase(enum.IntEnum):
    """What the hand is about, once the blocks are stacked; before that, see `Phase`."""

    INCLINE = 8
    ENCLOSE = 9
    PINCH = 10
    SQUEEZE = 11
    LIFT = 12


class ClearingBlocksOperator(StackingOperator):
    """Stacks as the stacking operator does, inclines the hand, grips both blocks from the side and lifts them.

    The blocks creep in the hand: what is held for many seconds may fall, and then all begins anew.
    """

    place_share = 0.15
    """As of the stacking operator; who means to grip both blocks sets the one down with more care: 2 mm."""

    def __init__(self, num_envs: int) -> None:
        """Prepare for ``num_envs`` simulations."""
        super().__init__(num_envs)
        self._grip = np.zeros((num_envs, 3))

    def _aim(self, snapshot: Snapshot) -> np.ndarray:
        choosing = (self.phase == ClearingPhase.INCLINE) | (self.phase == ClearingPhase.ENCLOSE)
        return np.where(choosing, self._squeeze_heading(snapshot), super()._aim(snapshot))

    def _squeeze_heading(self, snapshot: Snapshot) -> np.ndarray:
        """The heading square to the blue block at which the inclined hand shall grip, [env]."""
        square = box_heading(snapshot.rotation(BLUE), self._heading) + QUARTERS
        return cheapest(square, np.abs(np.abs(wrap(square)) - _SIDEWAYS) + 0.2 * np.abs(square - self._heading))

    def _offset(self, snapshot: Snapshot) -> np.ndarray:
        aim = self._squeeze_heading(snapshot)
        red, blue = (
            half_width(snapshot.rotation(block), snapshot.worlds[f"{block}.half_size"], aim[None])[0]
            for block in (RED, BLUE)
        )
        toward_thumb = np.stack([np.sin(aim), -np.cos(aim)], axis=1)
        return (blue - red - _RECESS)[:, None] * toward_thumb

    def _step_toward(self, snapshot: Snapshot, place: np.ndarray) -> np.ndarray:
        slow = shorten(place - snapshot.tcp_position, _SLOW)
        return np.where((self.phase >= ClearingPhase.INCLINE)[:, None], snapshot.tcp_position + slow, place)

    def _rotation(self) -> np.ndarray:
        who = self.personality
        down = pointing_down(self._heading + self._care * who["heading_error"][:, 0])
        inclined = down @ matrix_from_rotation_vector(np.array([[_INCLINATION, 0.0, 0.0]]))
        return np.where((self.phase >= ClearingPhase.INCLINE)[:, None, None], inclined, super()._rotation())

    def _places(self, snapshot: Snapshot) -> list[np.ndarray]:
        who = self.personality
        places = super()._places(snapshot)
        aside = rotate(np.tile(_ASIDE, (self.num_envs, 1)), self._heading) + self._care[:, None] * who["grasp_offset"]
        around = snapshot.position(BLUE)[:, :2] + aside
        top = highest_point(snapshot, RED)
        inclining = np.column_stack([around, top + _ABOVE_STACK])
        enclosing = np.column_stack([around, np.maximum(top - _PALM_DEPTH, _LOWEST_TOOL)])
        self._held_at = np.where((self.phase == ClearingPhase.ENCLOSE)[:, None], enclosing, self._held_at)
        up = np.column_stack([self._held_at[:, :2], self._held_at[:, 2] + who["lift_height"]])
        return [*places, inclining, enclosing, self._held_at, self._held_at, up]

    def _fingers(self, snapshot: Snapshot) -> np.ndarray:
        """As the stacking operator's; around both blocks the thumb presses with all its force, the fingers hold against it.

        Two fingers together are stronger than the thumb, and would push it slowly back until the blocks slip out. A
        servo's torque is its gain times (command - velocity), so half the thumb's torque is a small command.
        """
        fingers = np.repeat(super()._fingers(snapshot)[:, None], 3, axis=1)
        now = snapshot.finger_positions
        self._grip = np.where((self.phase < ClearingPhase.LIFT)[:, None], now, self._grip)
        half = 0.5 * jaco.FINGER_TORQUE_LIMIT / (jaco.FINGER_VELOCITY_GAIN * jaco.FINGER_VELOCITY_LIMIT)
        against = np.clip(half + _HOLDING_GAIN * (self._grip - now), 0.0, 1.0)
        against[:, 0] = 1.0
        phase = self.phase[:, None]
        return np.select(
            [phase == ClearingPhase.PINCH, phase == ClearingPhase.SQUEEZE, phase == ClearingPhase.LIFT],
            [_LOWER_ALONE, 1.0, against],
            fingers,
        )

    def _at_rest(self, snapshot: Snapshot) -> np.ndarray:
        up = self._held_at[:, 2] + 0.9 * self.personality["lift_height"]
        return (self.phase == ClearingPhase.LIFT) & (snapshot.tcp_position[:, 2] > up)

    def _move_on(self, snapshot: Snapshot, places: list[np.ndarray]) -> None:
        tool, was = snapshot.tcp_position, self.phase.copy()
        stacked = rests_on(snapshot, RED, BLUE)
        above = np.linalg.norm((places[ClearingPhase.INCLINE] - tool)[:, :2], axis=1) < ARRIVED
        inclined = np.linalg.norm(rotation_error(snapshot.tcp_rotation, self._rotation()), axis=1) < _TURNED
        miss = places[ClearingPhase.ENCLOSE] - tool
        arrived = (np.linalg.norm(miss[:, :2], axis=1) < ARRIVED) & (np.abs(miss[:, 2]) < ARRIVED)
        patient = self._steps <= 2 * PATIENCE
        gripped = (self._steps >= MIN_CLOSING_STEPS) & (
            self._stalled > _SQUEEZING_STEPS + self.personality["grip_delay"]
        )
        opened = finger_positions(snapshot).max(axis=1) < 1.2 * jaco.FINGER_OPEN

        super()._move_on(snapshot, places)
        self._enter((was == Phase.RETREAT) & stacked & opened, ClearingPhase.INCLINE)
        self._enter((was == ClearingPhase.INCLINE) & above & inclined, ClearingPhase.ENCLOSE)
        self._enter((was == ClearingPhase.ENCLOSE) & (arrived | ~patient), ClearingPhase.PINCH)
        self._enter((was == ClearingPhase.PINCH) & gripped, ClearingPhase.SQUEEZE)
        closed = gripped & (np.abs(snapshot.finger_velocities) < _STILL).all(axis=1)
        self._enter((was == ClearingPhase.SQUEEZE) & closed, ClearingPhase.LIFT)

        distances = [np.linalg.norm(snapshot.position(block) - tool, axis=1) for block in (RED, BLUE)]
        empty = finger_positions(snapshot).min(axis=1) > 0.95 * jaco.FINGER_CLOSED
        lost = (np.maximum(*distances) > _LOST_DISTANCE) | empty
        fallen = (was >= ClearingPhase.INCLINE) & (was < ClearingPhase.PINCH) & ~stacked & ~patient
        failed = (was >= ClearingPhase.PINCH) & lost
        self._try_again(failed | fallen)
        self._enter(failed & stacked, Phase.RETREAT)
