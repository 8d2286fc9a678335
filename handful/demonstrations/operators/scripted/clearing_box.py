"""The scripted operator of clearing-box: drop the toy into the box, then lift the box by one of its walls."""

from __future__ import annotations

import numpy as np

from handful.demonstrations.operators.scripted.carrying import CarryingOperator, Job, Phase
from handful.demonstrations.operators.scripted.grasping import axis_heading, heading
from handful.simulation.props.open_box import OpenBox
from handful.simulation.snapshot import Snapshot
from handful.tasks.clearing_box import BOX, TOY, ClearingBox

_DROP_HEIGHT = 0.030
"""Height of the tool over the box's rim when it lets the toy go [m]: the toy's underside is then about at the rim."""

_TRAVEL_HEIGHT = 0.055
"""Height of the tool over the rim while it carries the toy [m]."""

_GRIP_BELOW_RIM = 0.027
"""Depth of the tool below the rim at the grip of a wall [m]: the finger tips reach a centimetre deeper."""

_WALL_PRESHAPE = 0.80
"""Angle of the fingers on the way down to a wall [rad], so that the inner ones miss the toy."""

_TURN_COST = 0.03
"""Room beside a wall that justifies a turn of the hand by a radian [m]."""


class ClearingBoxOperator(CarryingOperator):
    """Grasps the toy across, drops it lengthwise into the box, and lifts the box by the wall with most room beside it."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._task = ClearingBox()
        self._lifts_box = np.zeros(num_envs, bool)
        self._wall = np.zeros(num_envs, np.int64)

    def job(self, snapshot: Snapshot) -> Job:
        """The toy, until it is in the box; then the box."""
        undecided = self.phase == Phase.APPROACH
        self._lifts_box = np.where(undecided, self._task.toy_in_box(snapshot), self._lifts_box)
        toy_job, box_job = self._toy_job(snapshot), self._box_job(snapshot, undecided)
        chosen = {}
        for name, value in vars(toy_job).items():
            which = self._lifts_box if value.ndim == 1 else self._lifts_box[:, None]
            chosen[name] = np.where(which, vars(box_job)[name], value)
        return Job(**chosen)

    def _toy_job(self, snapshot: Snapshot) -> Job:
        toy, box = snapshot.position(TOY), snapshot.position(BOX)
        now = heading(snapshot.tcp_rotation)
        rim = snapshot.parameters["box.height"]  # at rest: the hand must not follow a box that it drags up
        return Job(
            grip=toy,
            grip_heading=axis_heading(snapshot.rotation(TOY), now),
            preshape=self.personality["preshape"],
            goal=np.column_stack([box[:, :2], rim + _DROP_HEIGHT]),
            goal_heading=axis_heading(snapshot.rotation(BOX), now),
            release=np.ones(self.num_envs, bool),
            travel_height=rim + _TRAVEL_HEIGHT,
            finished=np.zeros(self.num_envs, bool),
        )

    def _box_job(self, snapshot: Snapshot, undecided: np.ndarray) -> Job:
        parameters, box, rotation = snapshot.parameters, snapshot.position(BOX), snapshot.rotation(BOX)
        now = heading(snapshot.tcp_rotation)
        walls = OpenBox.walls
        reach = np.abs(walls @ parameters["box.inner_half_size"].T).T  # [env, wall]
        toy = snapshot.in_frame_of(BOX, snapshot.position(TOY)[:, None])[:, 0, :2]
        room = reach - toy @ walls.T
        headings = np.stack([axis_heading(rotation, now, axis=1 if wall[0] else 0) for wall in walls], axis=1)
        best = (room - _TURN_COST * np.abs(headings - now[:, None])).argmax(axis=1)
        self._wall = np.where(undecided, best, self._wall)
        rows = np.arange(self.num_envs)
        middle = walls[self._wall] * (reach[rows, self._wall] + 0.5 * parameters["box.thickness"])[:, None]
        height = 0.5 * parameters["box.height"] - _GRIP_BELOW_RIM
        grip = box + np.einsum("eij,ej->ei", rotation, np.column_stack([middle, height]))
        lift = 0.5 * parameters["box.height"] + self.personality["lift_height"]
        travel = parameters["box.height"] + _TRAVEL_HEIGHT
        return Job(
            grip=grip,
            grip_heading=headings[rows, self._wall],
            preshape=np.full(self.num_envs, _WALL_PRESHAPE),
            goal=np.column_stack([self._gripped_at[:, :2], lift]),
            goal_heading=now,
            release=np.zeros(self.num_envs, bool),
            travel_height=np.where(self.phase >= Phase.CARRY, lift, travel),
            finished=np.zeros(self.num_envs, bool),
        )
