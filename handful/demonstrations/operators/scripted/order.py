"""The scripted operator of order fulfilment: carry the nearest toy to its box, then the next."""

from __future__ import annotations

import numpy as np

from handful.demonstrations.operators.scripted.carrying import CarryingOperator, Job, Phase
from handful.demonstrations.operators.scripted.grasping import axis_heading, heading
from handful.simulation.scene import WORKSPACE_CENTER
from handful.simulation.snapshot import Snapshot
from handful.tasks.order import BOX_OF, TOYS, present
from handful.tasks.order_fulfillment import OrderFulfillment

_DROP_HEIGHT = 0.025
"""Height of the tool over the box's rim when it lets a toy go [m]: the toy's underside is then about at the rim."""

_TRAVEL_HEIGHT = 0.065
"""Height of the tool over the rim while it travels [m]: a toy in the hand is then above toys and boxes."""

_PRESHAPE = 0.72
"""Angle of the fingers on the way down [rad]: wide enough for a toy, narrow enough to miss the box beside it."""

_PLANE_GRIP = -0.007
"""Height of the grip over a plane's middle [m]: at the fuselage's axis, which is below the middle because of the fin. Higher
up, the fingers press on the fuselage's upper edges, and it slips out."""

_BERTHS = np.array([0.012, 0.028])
"""Distance from the box's middle to where planes and cars go [m]: the first to one side, the second to the other. A plane
further out would lie with a wing on the rim."""


class OrderOperator(CarryingOperator):
    """Carries the nearest toy that is not in its box, until none is left."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._task = OrderFulfillment()
        self._toy = np.zeros(num_envs, np.int64)
        self._berth = np.ones(num_envs)
        self._box = np.zeros((num_envs, 3))

    def job(self, snapshot: Snapshot) -> Job:
        """The nearest toy. Once chosen it stays chosen until it is released or lost."""
        rows, undecided = np.arange(self.num_envs), self.phase == Phase.APPROACH
        delivered, tool = self._task.delivered(snapshot), snapshot.tcp_position
        waiting = present(snapshot.parameters) & ~delivered
        toys = np.stack([snapshot.position(toy) for toy in TOYS], axis=1)
        distance = np.where(waiting, np.linalg.norm(toys[:, :, :2] - tool[:, None, :2], axis=2), np.inf)
        self._toy = np.where(undecided, distance.argmin(axis=1), self._toy)
        kind = self._toy // 2
        sibling = delivered[rows, 2 * kind + 1 - self._toy % 2]
        self._berth = np.where(undecided, np.where(sibling, -1.0, 1.0), self._berth)

        finished = np.logical_not(waiting.any(axis=1))
        toy = np.where(finished[:, None], (*WORKSPACE_CENTER, 0.02), toys[rows, self._toy])
        toy[:, 2] += np.where(kind == 0, _PLANE_GRIP, 0.0)
        toy_rotation = np.stack([snapshot.rotation(name) for name in TOYS], axis=1)[rows, self._toy]
        box = np.stack([snapshot.position(name) for name in BOX_OF], axis=1)[rows, self._toy]
        box_rotation = np.stack([snapshot.rotation(name) for name in BOX_OF], axis=1)[rows, self._toy]
        heights = np.stack([snapshot.parameters[f"{name}.height"] for name in BOX_OF], axis=1)
        # Where the box stood when the toy was chosen, so that the hand does not follow a box that it drags along.
        self._box = np.where(undecided[:, None], box, self._box)
        now = heading(snapshot.tcp_rotation)
        goal = self._box + (self._berth * _BERTHS[kind])[:, None] * box_rotation[:, :, 1]
        goal[:, 2] = heights[rows, self._toy] + _DROP_HEIGHT
        return Job(
            grip=toy,
            grip_heading=axis_heading(toy_rotation, now),
            preshape=np.full(self.num_envs, _PRESHAPE),
            goal=goal,
            goal_heading=axis_heading(box_rotation, np.zeros(self.num_envs)),  # larger turns end in singular wrists
            release=np.ones(self.num_envs, bool),
            travel_height=heights.max(axis=1) + _TRAVEL_HEIGHT,
            finished=finished,
        )
