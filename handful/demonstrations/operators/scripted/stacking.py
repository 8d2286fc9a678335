"""The scripted operator of block stacking: grasp the red block, carry it over the blue one, put it down, let go."""

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
from handful.tasks.stacking import BLUE, RED, highest_point, lowest_point, rests_on
from handful.tasks.task import hand_is_open

_CLEARANCE = 0.03
"""Height of the red block's lowest point over the blue block's highest while it is carried [m]."""

_LET_GO_GAP = 0.004
"""Gap between the blocks at which the hand lets go [m]; the hand's tremor hides smaller ones."""

_LEAN = np.array([0.0, 0.10])
"""Lean of the hand about world x and y [rad]. Upright and low over the near edge of the workspace, the wrist is singular
(joint 5 at 0) and the arm gets stuck; with this lean, joint 5 stays 0.4 rad away."""

_TOOL_ASIDE = np.array([-0.0145, 0.0])
"""From the middle between the three fingers to the tool point, at heading 0 [m] (from the hand's meshes). The tool point is
opposite the third finger; the second finger often misses a block that is centred on it."""

QUARTERS = 0.5 * np.pi * np.array([[0.0], [-1.0], [1.0]])
"""The headings square to a block, relative to one of them [rad]; half a turn is never needed."""

_WIDTH_COST = 150.0
"""Cost of a wider grip relative to turning [rad/m]: a quarter turn for a centimetre."""

_CROWDED = 0.16
"""Blocks whose centres are nearer than this [m] are in the way of a hand that opens toward them."""

_RETREAT_HEIGHT = 0.10
"""How far the hand rises over a finished stack [m]."""

_SETTLING_STEPS = 10
"""Control steps that a stack may take to come to rest before the hand tries again."""


Phase = enum.IntEnum("Phase", ["APPROACH", "DESCEND", "CLOSE", "RAISE", "CARRY", "LOWER", "LET_GO", "RETREAT"], start=0)
"""What the hand does."""


class StackingOperator(PhasedOperator):
    """Grasps the red block from above, puts it square on the blue one, lets go and rises."""

    place_share = 0.4
    """Fraction of the approach's error that is left when the block is put down: 5 mm of standard deviation."""

    place_tolerance = 0.010
    """The red block is over the blue one when it is this near [m], sideways."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._grasped = np.zeros(num_envs)

    def goal(self, snapshot: Snapshot) -> Goal:
        """Where the tool should be next, after moving on to the next phase where the present one is done."""
        self._count(snapshot)
        self._heading = self._aim(snapshot)
        self._grasped = np.where(self.phase < Phase.CLOSE, self._heading, self._grasped)
        places = self._places(snapshot)
        self._move_on(snapshot, places)
        return Goal(self._of_phase(places), self._rotation(), self._fingers(snapshot), self._at_rest(snapshot))

    def _aim(self, snapshot: Snapshot) -> np.ndarray:
        """Heading of the hand [rad]: square to the red block until it holds it, then square to the blue one.

        Of the headings square to a block, the hand prefers those that need little turning, that grip the red block by its
        narrow sides, that align these with the blue one's broad sides, and that do not open toward a blue block nearby.
        """
        tool, red, blue = heading(snapshot.tcp_rotation), snapshot.rotation(RED), snapshot.rotation(BLUE)
        toward = (snapshot.position(BLUE) - snapshot.position(RED))[:, :2]
        crowded = np.linalg.norm(toward, axis=1) < _CROWDED
        to_red = box_heading(red, tool) + QUARTERS
        across_red = half_width(red, snapshot.parameters[f"{RED}.half_size"], to_red)
        opens_toward_blue = np.abs(np.sin(to_red - np.arctan2(toward[:, 1], toward[:, 0])))
        grasp = cheapest(
            to_red, np.abs(to_red - tool) + _WIDTH_COST * across_red + np.where(crowded, 2.0 * opens_toward_blue, 0.0)
        )
        to_blue = box_heading(blue, self._heading) + QUARTERS
        across_blue = half_width(blue, snapshot.parameters[f"{BLUE}.half_size"], to_blue)
        place = cheapest(to_blue, np.abs(to_blue - self._heading) - _WIDTH_COST * across_blue)
        placing = (self.phase >= Phase.CARRY) & (self.phase < Phase.LET_GO)
        return np.select([self.phase < Phase.CLOSE, placing], [grasp, place], self._heading)

    def _rotation(self) -> np.ndarray:
        """The wanted rotation, tool to world, [env, 3, 3]: pointing down with a small lean.

        The lean turns with a hand that has grasped, so that the block in it does not tilt.
        """
        lean = rotate(_LEAN + self._care[:, None] * self.personality["tilt_error"], self._heading - self._grasped)
        return pointing_down(self._imprecise(self._heading), lean)

    def _places(self, snapshot: Snapshot) -> list[np.ndarray]:
        """Where the tool should be in each phase [m], each [env, 3]."""
        who, tool = self.personality, snapshot.tcp_position
        red, blue = snapshot.position(RED), snapshot.position(BLUE)
        aside = rotate(np.tile(_TOOL_ASIDE, (self.num_envs, 1)), self._heading)
        above, grip = self._above(red, aside), self._grip(red, aside)
        self._held_at = np.where((self.phase == Phase.DESCEND)[:, None], grip, self._held_at)

        gap = lowest_point(snapshot, RED) - highest_point(snapshot, BLUE)
        sideways = (
            (blue - red)[:, :2]
            + self._offset(snapshot)
            + self._care[:, None] * self.place_share * who["approach_offset"]
        )
        raised = np.column_stack([self._held_at[:, :2], tool[:, 2] + _CLEARANCE - gap])
        over = np.column_stack([tool[:, :2] + sideways, tool[:, 2] + _CLEARANCE - gap])
        down = np.column_stack([tool[:, :2] + sideways, tool[:, 2] - gap])
        away = np.column_stack([self._held_at[:, :2], highest_point(snapshot, RED) + _RETREAT_HEIGHT])
        return [above, grip, self._held_at, raised, over, down, self._held_at, away]

    def _offset(self, snapshot: Snapshot) -> np.ndarray:
        """Where to put the red block on the blue one, from its centre [m], xy, [env, 2]."""
        return np.zeros((self.num_envs, 2))

    def _fingers(self, snapshot: Snapshot) -> np.ndarray:
        """Finger velocity [-1, 1]: to the preshape before a grasp, closed while holding, then open."""
        shaping = shape_fingers(self.personality["preshape"], snapshot.finger_positions.max(axis=1))
        return np.select([self.phase < Phase.CLOSE, self.phase < Phase.LET_GO], [shaping, 1.0], -1.0)

    def _at_rest(self, snapshot: Snapshot) -> np.ndarray:
        """Whether the hand has risen from the finished stack."""
        return (self.phase == Phase.RETREAT) & (self._steps > self.patience)

    def _move_on(self, snapshot: Snapshot, places: list[np.ndarray]) -> None:
        """Change phase where the present one is done or has failed."""
        tool, was = snapshot.tcp_position, self.phase.copy()
        turned = self._turned(snapshot, self._heading)
        opened = snapshot.finger_positions.max(axis=1) < TOO_CLOSED
        beside = self._beside(places[Phase.APPROACH], tool)
        over = np.linalg.norm((places[Phase.CARRY] - tool)[:, :2], axis=1) < self.place_tolerance
        gap = lowest_point(snapshot, RED) - highest_point(snapshot, BLUE)
        free = hand_is_open(snapshot)

        self._enter((was == Phase.APPROACH) & beside & turned & opened, Phase.DESCEND)
        self._enter((was == Phase.DESCEND) & self._reached(places[Phase.DESCEND], tool), Phase.CLOSE)
        self._enter((was == Phase.CLOSE) & self._gripped(), Phase.RAISE)
        self._enter((was == Phase.RAISE) & (gap > 0.6 * _CLEARANCE), Phase.CARRY)
        self._enter((was == Phase.CARRY) & over & turned, Phase.LOWER)
        set_down = (was == Phase.LOWER) & ((gap < _LET_GO_GAP) & over | (self._steps > self.patience))
        self._held_at = np.where(set_down[:, None], tool, self._held_at)
        self._enter(set_down, Phase.LET_GO)
        self._enter((was == Phase.LET_GO) & free, Phase.RETREAT)

        holding = (was >= Phase.CLOSE) & (was < Phase.LET_GO)
        failed = holding & self._lost(snapshot, snapshot.position(RED))
        failed |= (was == Phase.RETREAT) & (self._steps > _SETTLING_STEPS) & ~rests_on(snapshot, RED, BLUE)
        self._try_again(failed)


def half_width(rotation: np.ndarray, half_size: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Half of a box's width between thumb and fingers [m], for headings of the hand [option, env]; [option, env]."""
    along = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return np.einsum("oej,ej->oe", np.abs(np.einsum("oei,eij->oej", along, rotation[:, :2])), half_size)


def rotate(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors in the plane [env, 2] turned by angles [rad], [env]."""
    cos, sin, (x, y) = np.cos(angle), np.sin(angle), vector.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def cheapest(options: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The cheapest of the options [option, env] in each simulation, [env]."""
    return options[cost.argmin(axis=0), np.arange(options.shape[1])]
