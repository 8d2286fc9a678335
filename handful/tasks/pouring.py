"""Pouring a liquid of small balls from a mug into a box (paper, section IV-A)."""

from __future__ import annotations

from typing import ClassVar

import mujoco
import numpy as np

from handful.simulation.observable import Observable
from handful.simulation.props.liquid import NUM_BALLS, TIMESTEP, Liquid
from handful.simulation.props.mug import Mug
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.prop import from_tcp, offset
from handful.simulation.props.sides import OppositeSides
from handful.simulation.randomization import Parameters, ParameterSpec
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import Task

MUG = "mug"
BOX = "box"
LIQUID = "liquid"

GRASP_HEIGHT = 0.02
"""The mug is grasped when its centre is near the tool and this far above where it rested [m]."""

GRASP_DISTANCE = 0.06
"""Distance from the tool to the centre of a grasped mug [m]: the hand holds it near its middle."""

GRASP_REWARD = 0.125
"""Reward for a grasped mug (our choice, as in the other tasks)."""

OVER_REWARD = 0.25
"""Reward for a mug held over the box (our choice, as in the other tasks)."""

OVER_MARGIN = 0.05
"""The mug is over the box when its centre is at most this far outside the inner walls [m], at any height: the mug pours over
its lip, which is up to 6 cm from the centre."""

STAGE_SHARES = (0.0, 0.25, 0.5, 0.8)
"""Shares of the balls in the box above or at which the stages after *over* begin (our choice); the first begins with one
ball. Success is four fifths, 26 of 32, so that a few balls that jump over the rim do not spoil an episode. The script pours
31.9 balls (mean of 64 episodes)."""

OVER_RIM = 0.01
"""A ball is in the box if its centre is at most this far over the rim [m]: the heap stands out above the rim."""


class Pouring(Task):
    """Pour the balls from the mug into the box.

    A mug with 32 small balls stands on one side of the table, an open box on the other.

    Every step pays the share of the balls that are in the box, but 1/8 at least while the mug is held and 1/4 while it is
    held over the box. A stage for each of the 32 counts would split the curriculum into moments a few hundredths of a second
    apart, so the stages are milestones: *start*; *grasp*, the mug is in the hand, 2 cm up; *over*, it is held over the box;
    *first*, one ball is in the box; *quarter* and *half* of the balls; *poured*, four fifths.
    The reward by stage is the upper bound of what it pays, at which the next one begins. A ball in the mug does not count,
    even if the mug is in the box.
    Success is to be in the stage *poured* over the last half second of the episode.
    Randomised: which side the mug is on, places and yaws, the mug's and the box's sizes, colours, mass and friction, the
    balls' size, heap, colour and mass, and what every scene randomises.
    """

    name = "pouring"
    horizon = 500
    stages = ("start", "grasp", "over", "first", "quarter", "half", "poured")
    stage_rewards = (0.0, GRASP_REWARD, OVER_REWARD, 0.25, 0.5, 0.8, 1.0)
    score_name = "balls in the box"
    variants: ClassVar = {"eight-balls": {"num_balls": 8, "timestep": 0.01}, "coarse": {"timestep": 0.01}}

    def __init__(self, *, num_balls: int = NUM_BALLS, timestep: float = TIMESTEP) -> None:
        """The task with so many balls, and a time step of the physics [s].

        Eight balls at 10 ms, the variant *eight-balls*, simulate 2.6 times as many steps a second as 32 at 5 ms with the mug
        in the hand, and 4.6 times as many while nothing is held (measured).
        """
        # Ranges are our choice: all within the arm's reach and the camera's view, the handle away from the robot.
        self.mug = mug = Mug(MUG)
        self.box = box = OpenBox(
            BOX, inner_half_size=((0.060, 0.060), (0.070, 0.070)), height=(0.045, 0.060), mass=(0.25, 0.40)
        )
        self.liquid = liquid = Liquid(LIQUID, mug, num_balls=num_balls, timestep=timestep)
        self.sides = OppositeSides(
            first=mug,
            first_place=((0.38, 0.090), (0.46, 0.140)),
            first_yaw=(-0.2, 0.9),
            second=box,
            second_place=((0.40, 0.100), (0.46, 0.140)),
            second_yaw=(-0.4, 0.4),
            mirrored=True,
        )
        self.props = (box, mug, liquid)  # each collides with those before it
        # The mug is held from the side, so the features include where the fingers point.
        hand_forward = Observable.vector("hand_forward", lambda snapshot: snapshot.tcp_rotation[:, :, 2])
        # The balls are among them: without, a mug held empty over the box looks to the discriminator like one that pours.
        self.object_features = (
            *(mug.position, mug.up, from_tcp(mug), hand_forward, offset(mug, box)),
            Observable.scalar("share_in_mug", lambda snapshot: snapshot.once(self.balls_in_mug).mean(axis=1)),
            Observable.scalar("share_in_box", self.share_in_box),
        )
        self.object_positions = (mug.position,)
        self.object_state = (
            *self.object_features,
            *(mug.rotation, box.rotation, mug.velocity, box.velocity, box.position),
            *(liquid.distribution, liquid.mean_velocity, liquid.ball),
            *(mug.drawn("inner_radius"), mug.drawn("height"), mug.drawn("mass")),
            *(box.drawn("inner_half_size"), box.drawn("height")),
        )

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        props = (self.mug, self.box, self.liquid, self.sides)
        return tuple(spec for prop in props for spec in prop.parameter_specs())

    def why_impossible(self, parameters: Parameters) -> str | None:
        """The mug is too near the box, or too small for its balls."""
        stacked = {name: np.asarray(value)[None] for name, value in parameters.items()}
        room = stacked["mug.height"] - stacked["mug.floor"]
        surface = self.liquid.surface(stacked)
        if surface[0] > room[0]:
            return f"the balls would stand {surface[0]:.3f} m high in a mug with room for {room[0]:.3f} m"
        (mug, _), (place, yaw) = self.sides.poses(stacked)
        gap = float(self.box.gap(stacked, mug[:, None], place=place, yaw=yaw)[0, 0])
        reach = float(self.mug.reach(stacked)[0])
        if gap < reach:
            return f"the mug's axis is {gap:.3f} m from the box, nearer than its handle reaches ({reach:.3f} m)"
        return None

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        self.sides.put(model, parameters, qpos)
        (_, yaw), _ = self.sides.poses(parameters)
        self.liquid.put(model, parameters, qpos, yaw=yaw)

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        share = self.share_in_box(snapshot)
        reached = (share[:, None] >= np.array(STAGE_SHARES)).sum(axis=1)
        held, over = self._held(snapshot)
        return np.where(share > 0.0, 2 + reached, np.select([over, held], [2, 1], 0))

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """The share of the balls in the box, or what holding the mug is worth if that is more."""
        held, over = self._held(snapshot)
        holding = np.select([over, held], [OVER_REWARD, GRASP_REWARD], 0.0)
        return np.maximum(self.share_in_box(snapshot), holding).astype(np.float32)

    def score(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """Share of the balls in the box."""
        return self.share_in_box(snapshot)

    def share_in_box(self, snapshot: Snapshot) -> np.ndarray:
        """Share of the balls in the box and not in the mug, [env]."""
        return snapshot.once(self.balls_in_box).mean(axis=1)

    def _held(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """Whether the mug is in the hand, and whether it is held over the box, bool [env]."""
        held = snapshot.once(self.grasped)
        mug = snapshot.in_frame_of(BOX, snapshot.position(MUG)[:, None])[:, 0, :2]
        near = np.abs(mug) < snapshot.parameters[f"{BOX}.inner_half_size"] + OVER_MARGIN
        return held, held & near.all(axis=1)

    def grasped(self, snapshot: Snapshot) -> np.ndarray:
        """Whether the mug is in the hand and off the table, bool [env]."""
        mug = snapshot.position(MUG)
        height = mug[:, 2] - self.mug.rest_height(snapshot.parameters)
        distance = np.linalg.norm(mug - snapshot.tcp_position, axis=1)
        return (height > GRASP_HEIGHT) & (distance < GRASP_DISTANCE)

    def balls_in_mug(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each ball is in the mug, however the mug is turned, bool [env, ball]."""
        balls = self.liquid.positions(snapshot.physics)
        return self.mug.holds(snapshot.parameters, snapshot.in_frame_of(MUG, balls))

    def balls_in_box(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each ball is in the box and not in the mug, bool [env, ball]."""
        balls = snapshot.in_frame_of(BOX, self.liquid.positions(snapshot.physics))
        half_height = self.box.rest_height(snapshot.parameters)[:, None]
        inside = self.box.between_walls(snapshot.parameters, balls)
        inside &= (balls[..., 2] > -half_height) & (balls[..., 2] < half_height + OVER_RIM)
        return inside & ~snapshot.once(self.balls_in_mug)
