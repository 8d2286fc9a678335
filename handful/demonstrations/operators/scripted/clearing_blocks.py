"""The scripted operator of clearing blocks: stack them, close the hand around both, lift."""

from __future__ import annotations

import enum

import numpy as np

from handful.demonstrations.operators.scripted.grasping import box_heading, nearest_angle, pointing_down, within
from handful.demonstrations.operators.scripted.script import Goal
from handful.demonstrations.operators.scripted.stacking import QUARTERS, Phase, StackingOperator, cheapest, rotate
from handful.demonstrations.position_controller import shorten
from handful.geometry import matrix_from_rotation_vector, rotation_error
from handful.simulation import jaco
from handful.simulation.snapshot import Snapshot
from handful.tasks.stacking import BLUE, RED, highest_point, rests_on

_INCLINATION = 1.2
"""How far the hand is inclined from pointing down, about the axis along which its fingers close [rad]. One finger is then
above the other, each pushes one block, and the thumb opposes both. A hand that points down grips only the wider block; at
0.8 rad the root of the lower finger still does."""

_SIDEWAYS = np.deg2rad(75.0)
"""Best heading of the inclined hand, to either side [rad]. One of the four headings square to a stack is then between 45
and 100 degrees, where the arm reaches all of the workspace; at 135 degrees it does not, and at 0 it folds up (by inverse
kinematics)."""

_ASIDE = np.array([-0.004, 0.0])
"""From the stack to the tool point at heading 0 [m]: the stack is then between the finger tips. Deeper in the hand, the
roots of the fingers would close on a corner of the upper block."""

_RECESS = 0.005
"""How far the red block's side is behind the blue block's where the thumb will be [m]. The thumb then touches the blue block
first, which the table holds, and the finger pushes the red block, which slides easily, against the thumb."""

_BELOW_JOINT = 0.016
"""How far the inclined hand's tool point is below the joint of the blocks [m]. The thumb then reaches 1 cm above the joint
and 2 cm below; the upper finger is above it, the lower one below (from the hand's meshes)."""

_LOWEST_TOOL = 0.028
"""Lowest height of the inclined hand's tool point over the table [m]: the lower finger is up to 2 cm below it."""

_ABOVE_STACK = 0.07
"""Height of the tool point above the stack while the hand inclines [m]."""

_SLOW = 0.016
"""Distance from the hand to its goal near a stack [m]: the hand moves at 6 to 9 cm/s."""

_SQUEEZING_STEPS = 5
"""Control steps that the fingers press after they have come to rest, so that both blocks touch the thumb."""

_STILL = 0.1
"""A finger slower than this [rad/s] presses something."""

_LOWER_ALONE = np.array([1.0, 0.0, 1.0])
"""Speeds of thumb, upper and lower finger while only the lower block is pinched [fraction of the highest speed]. If the
thumb touches the upper block first, it pushes it back over the lower one until it touches both."""

_HOLDING_GAIN = 2.0
"""How fast the fingers return to where they gripped [1/s]."""

_TURNED = 0.15
"""The hand has inclined when it is this near [rad]."""

_UPRIGHT = 0.5
"""The hand inclines only from this near to pointing down [rad]: otherwise the wrist may turn the wrong way."""

_LOST_DISTANCE = 0.08
"""A block has slipped from the hand when it is this far from the tool [m]; the upper one of a stack is up to 6 cm away."""


ClearingPhase = enum.IntEnum("ClearingPhase", ["INCLINE", "ENCLOSE", "PINCH", "SQUEEZE", "LIFT"], start=len(Phase))
"""What the hand does once the blocks are stacked; the phases before are those of `Phase`."""


class ClearingBlocksOperator(StackingOperator):
    """Stacks the blocks, inclines the hand, grips both blocks from the side and lifts them; begins again if one is lost."""

    place_share = 0.15
    """As of the stacking operator, but 2 mm: a grip of both blocks needs a straighter stack."""

    place_tolerance = 0.005
    """As of the stacking operator: the thumb would push off a block that is a centimetre out of line."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._grip_angles = np.zeros((num_envs, 1))
        self._side = np.zeros(num_envs)

    def goal(self, snapshot: Snapshot) -> Goal:
        """As the stacking operator's, but slow near a stack.

        The side from which to grip the stack is chosen before the red block is put down.
        """
        square = box_heading(snapshot.rotation(BLUE), self._heading) + QUARTERS
        chosen = cheapest(
            square, np.abs(np.abs(nearest_angle(square, 0.0)) - _SIDEWAYS) + 0.1 * np.abs(square - self._heading)
        )
        kept = box_heading(snapshot.rotation(BLUE), self._side)
        self._side = np.where(self.phase < Phase.LOWER, chosen, kept)
        goal = super().goal(snapshot)
        slow = snapshot.tcp_position + shorten(goal.position - snapshot.tcp_position, _SLOW)
        goal.position = np.where((self.phase >= ClearingPhase.INCLINE)[:, None], slow, goal.position)
        return goal

    def _aim(self, snapshot: Snapshot) -> np.ndarray:
        choosing = (self.phase == ClearingPhase.INCLINE) | (self.phase == ClearingPhase.ENCLOSE)
        return np.where(choosing, self._side, super()._aim(snapshot))

    def _offset(self, snapshot: Snapshot) -> np.ndarray:
        red, blue = (
            _square_half_width(snapshot.rotation(block), snapshot.parameters[f"{block}.half_size"], self._side)
            for block in (RED, BLUE)
        )
        toward_thumb = np.stack([np.sin(self._side), -np.cos(self._side)], axis=1)
        return (blue - red - _RECESS)[:, None] * toward_thumb

    def _rotation(self) -> np.ndarray:
        inclined = pointing_down(self._imprecise(self._heading)) @ matrix_from_rotation_vector(
            np.array([[_INCLINATION, 0.0, 0.0]])
        )
        return np.where((self.phase >= ClearingPhase.INCLINE)[:, None, None], inclined, super()._rotation())

    def _places(self, snapshot: Snapshot) -> list[np.ndarray]:
        who = self.personality
        places = super()._places(snapshot)
        aside = rotate(np.tile(_ASIDE, (self.num_envs, 1)), self._heading) + self._care[:, None] * who["grasp_offset"]
        around = snapshot.position(BLUE)[:, :2] + aside
        top = highest_point(snapshot, RED)
        inclining = np.column_stack([around, top + _ABOVE_STACK])
        joint = highest_point(snapshot, BLUE)
        enclosing = np.column_stack([around, np.maximum(joint - _BELOW_JOINT, _LOWEST_TOOL)])
        self._held_at = np.where((self.phase == ClearingPhase.ENCLOSE)[:, None], enclosing, self._held_at)
        up = np.column_stack([self._held_at[:, :2], self._held_at[:, 2] + who["lift_height"]])
        return [*places, inclining, enclosing, self._held_at, self._held_at, up]

    def _fingers(self, snapshot: Snapshot) -> np.ndarray:
        """As the stacking operator's; around both blocks the thumb presses with all its force and the fingers with half.

        Two fingers together are stronger than the thumb and would push it back until the blocks slip out. A servo's torque
        is its gain times (command - velocity), so half the thumb's torque is a small command. Both fingers get the same
        command, so that they press alike. All fingers of any hand but one of three press with all their force.
        """
        now, phase = snapshot.finger_positions, self.phase[:, None]
        num_fingers = now.shape[1]
        fingers = np.repeat(super()._fingers(snapshot)[:, None], num_fingers, axis=1)
        if num_fingers != len(_LOWER_ALONE):
            return np.where(phase >= ClearingPhase.PINCH, 1.0, fingers)
        self._grip_angles = np.where((self.phase < ClearingPhase.LIFT)[:, None], now, self._grip_angles)
        half = 0.5 * jaco.FINGER_TORQUE_LIMIT / (jaco.FINGER_VELOCITY_GAIN * jaco.FINGER_VELOCITY_LIMIT)
        given_way = (self._grip_angles - now)[:, 1:].mean(axis=1)
        against = np.clip(half + _HOLDING_GAIN * given_way, 0.0, 1.0)
        holding = np.column_stack([np.ones(self.num_envs), against, against])
        return np.select(
            [phase == ClearingPhase.PINCH, phase == ClearingPhase.SQUEEZE, phase == ClearingPhase.LIFT],
            [_LOWER_ALONE, 1.0, holding],
            fingers,
        )

    def _at_rest(self, snapshot: Snapshot) -> np.ndarray:
        up = self._held_at[:, 2] + 0.9 * self.personality["lift_height"]
        return (self.phase == ClearingPhase.LIFT) & (snapshot.tcp_position[:, 2] > up)

    def _move_on(self, snapshot: Snapshot, places: list[np.ndarray]) -> None:
        tool, was = snapshot.tcp_position, self.phase.copy()
        stacked = rests_on(snapshot, RED, BLUE)
        above = np.linalg.norm((places[ClearingPhase.INCLINE] - tool)[:, :2], axis=1) < self.arrival_tolerance
        inclined = np.linalg.norm(rotation_error(snapshot.tcp_rotation, self._rotation()), axis=1) < _TURNED
        arrived = within(self.arrival_tolerance, places[ClearingPhase.ENCLOSE], tool)
        patient = self._steps <= 2 * self.patience
        gripped = self._gripped(_SQUEEZING_STEPS)
        opened = snapshot.finger_positions.max(axis=1) < 1.2 * jaco.FINGER_OPEN
        upright = np.linalg.norm(rotation_error(snapshot.tcp_rotation, super()._rotation()), axis=1) < _UPRIGHT

        super()._move_on(snapshot, places)
        self._enter((was == Phase.RETREAT) & stacked & opened & upright, ClearingPhase.INCLINE)
        self._enter((was == ClearingPhase.INCLINE) & above & inclined, ClearingPhase.ENCLOSE)
        self._enter((was == ClearingPhase.ENCLOSE) & (arrived | ~patient), ClearingPhase.PINCH)
        self._enter((was == ClearingPhase.PINCH) & gripped, ClearingPhase.SQUEEZE)
        closed = gripped & (np.abs(snapshot.finger_velocities) < _STILL).all(axis=1)
        self._enter((was == ClearingPhase.SQUEEZE) & closed, ClearingPhase.LIFT)

        lost = np.any([self._lost(snapshot, snapshot.position(block), _LOST_DISTANCE) for block in (RED, BLUE)], axis=0)
        fallen = (was >= ClearingPhase.INCLINE) & (was < ClearingPhase.PINCH) & ~stacked & ~patient
        failed = (was >= ClearingPhase.PINCH) & lost
        self._try_again(failed | fallen)
        self._enter(failed & stacked, Phase.RETREAT)


def _square_half_width(rotation: np.ndarray, half_size: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Half of a box's width between thumb and fingers [m], [env], once it is turned square to the hand's heading."""
    along = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    axis = np.abs(np.einsum("ei,eij->ej", along, rotation[:, :2])).argmax(axis=1)
    return half_size[np.arange(len(axis)), axis]
