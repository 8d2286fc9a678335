"""Pouring a liquid of small balls from a mug into a box (paper, section IV-A)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation import scene
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.liquid import NUM_BALLS, Liquid
from handful.simulation.props.mug import Mug
from handful.simulation.props.open_box import OpenBox
from handful.simulation.randomization import Level, Parameters, ParameterSpec
from handful.tasks.task import Snapshot, Task

MUG = "mug"
BOX = "box"
LIQUID = "liquid"

GRASP_HEIGHT = 0.02
"""The mug is grasped when its centre is this far above where it rested [m], by the tool: it hangs in the hand."""

GRASP_DISTANCE = 0.06
"""How near the tool the centre of a grasped mug is [m]: the hand holds it about its middle."""

GRASP_REWARD = 0.05
"""Reward for a grasped mug (paper, recalled)."""

BALL_REWARD = 0.1
"""Reward for each ball in the box (paper, recalled)."""

STAGE_COUNTS = (1, NUM_BALLS // 4, NUM_BALLS // 2, 26)
"""Balls in the box from which the stages after the grasp begin (ours). Success, 26 of 32, is four in five: most of the
liquid, without a few balls that jump the rim spoiling an episode. The script gets 31.9 in (mean of 64 episodes)."""

OVER_RIM = 0.01
"""A ball is in the box up to this far over its rim [m], its centre: the heap below the mouth of the mug stands out."""


class Pouring(Task):
    """Pour the balls from the mug into the box.

    A mug with 32 small balls stands on one side of the table, an open box on the other.

    The paper pays .05 for a grasped mug and then .1 for each ball in the box, every step. That is a count, and a stage
    for each of its 32 values would spread the curriculum over moments a few hundredths of a second apart. So the stages
    are the count's milestones: *start*; *grasp*, the mug hangs in the hand, 2 cm up; *first*, *quarter* and *half*, so
    many balls are in the box; *poured*, 26 of them. What a stage is said to pay is what it pays at its beginning; within
    it the reward goes on counting. A ball in the mug does not count, even if the mug is in the box.
    Success is to have poured over the last half second of the episode.
    Randomised: which side the mug is on, places and yaws, the mug's and the box's sizes, colours, mass and friction, the
    balls' size, heap, colour and mass, and what every scene randomises.
    """

    name = "pouring"
    horizon = 500
    begins_by_cloning = True
    stages = ("start", "grasp", "first", "quarter", "half", "poured")
    stage_rewards = (0.0, GRASP_REWARD, *(BALL_REWARD * count for count in STAGE_COUNTS))
    object_feature_names = (
        *(f"mug_{axis}" for axis in "xyz"),
        *(f"mug_up_{axis}" for axis in "xyz"),
        *(f"tcp_to_mug_{axis}" for axis in "xyz"),
        *(f"hand_forward_{axis}" for axis in "xyz"),
        *(f"mug_to_box_{axis}" for axis in "xyz"),
    )
    object_position_names = tuple(f"mug_{axis}" for axis in "xyz")
    object_state_names = (
        *object_feature_names,
        *(f"{thing}_rotation_{row}{column}" for thing in (MUG, BOX) for row in range(3) for column in range(3)),
        *(f"{thing}_velocity_{axis}" for thing in (MUG, BOX) for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
        *(f"box_{axis}" for axis in "xyz"),
        "share_in_mug",
        "share_in_box",
        *(f"{quantity}_{axis}" for quantity in ("balls_mean", "balls_spread", "balls_velocity") for axis in "xyz"),
        "ball_radius",
        "ball_mass",
        "mug_inner_radius",
        "mug_height",
        "mug_mass",
        "box_inner_half_size_x",
        "box_inner_half_size_y",
        "box_height",
    )

    def __init__(self) -> None:
        """The task with its objects."""
        self.mug = Mug(MUG)
        self.box = OpenBox(
            BOX, inner_half_size=((0.060, 0.060), (0.070, 0.070)), height=(0.045, 0.060), mass=(0.25, 0.40)
        )
        self.liquid = Liquid(LIQUID, self.mug)

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: both within the arm's reach and the camera's view, the mug's handle away from the robot."""
        return (
            *self.mug.parameter_specs(),
            *self.box.parameter_specs(),
            *self.liquid.parameter_specs(),
            ParameterSpec.between("mug.side", -1.0, 1.0, level=Level.TASK, nominal=1.0),  # its sign: left or right
            # Outwards on the side's half of the table; the box's side is the other one.
            ParameterSpec.between("mug.place", (0.38, 0.090), (0.46, 0.140), level=Level.TASK),
            ParameterSpec.between("mug.yaw", -0.2, 0.9, level=Level.TASK),  # counted inwards from straight ahead
            ParameterSpec.between("box.place", (0.40, 0.100), (0.46, 0.140), level=Level.TASK),
            ParameterSpec.around("box.yaw", 0.0, 0.4, level=Level.TASK),
        )

    def why_impossible(self, parameters: Parameters) -> str | None:
        """A mug too near the box, or too small for its balls."""
        stacked = {name: np.asarray(value)[None] for name, value in parameters.items()}
        room = stacked["mug.height"] - stacked["mug.floor"]
        surface = self.liquid.surface(stacked)
        if surface[0] > room[0]:
            return f"the balls would stand {surface[0]:.3f} m high in a mug with room for {room[0]:.3f} m"
        places, yaws = self._places(stacked)
        offset = (places[MUG] - places[BOX])[0]
        cosine, sine = np.cos(yaws[BOX][0]), np.sin(yaws[BOX][0])
        in_box_frame = np.array([cosine * offset[0] + sine * offset[1], cosine * offset[1] - sine * offset[0]])
        outside = np.abs(in_box_frame) - stacked["box.inner_half_size"][0] - stacked["box.thickness"][0]
        gap, reach = float(np.linalg.norm(np.maximum(outside, 0.0))), float(self.mug.reach(stacked)[0])
        if gap < reach:
            return f"the mug's axis is {gap:.3f} m from the box, nearer than its handle reaches ({reach:.3f} m)"
        return None

    def add_props(self, spec: mujoco.MjSpec) -> None:
        self.box.add(spec)
        self.mug.add(spec)
        self.liquid.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        self.mug.apply(physics, ids, parameters)
        self.box.apply(physics, ids, parameters)
        self.liquid.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        places, yaws = self._places(parameters)
        for thing in (self.mug, self.box):
            address = model.joint(thing.name).qposadr[0]
            qpos[:, address : address + 2] = places[thing.name]
            qpos[:, address + 2] = thing.half_height(parameters)
            qpos[:, address + 3 : address + 7] = yaw_quaternion(yaws[thing.name])
        mug = model.joint(MUG).qposadr[0]
        self.liquid.place(model, parameters, qpos, position=qpos[:, mug : mug + 3], yaw=yaws[MUG])

    def _places(self, parameters: Parameters) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Places on the table [m], [env, 2], and yaws [rad], [env], of mug and box."""
        side = np.where(parameters["mug.side"] < 0.0, -1.0, 1.0)
        places = {
            name: parameters[f"{name}.place"] * np.stack([np.ones_like(side), direction], axis=1)
            for name, direction in ((MUG, side), (BOX, -side))
        }
        return places, {MUG: -side * parameters["mug.yaw"], BOX: parameters["box.yaw"]}

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        count = self.balls_in_box(snapshot).sum(axis=1)
        reached = (count[:, None] >= np.array(STAGE_COUNTS)).sum(axis=1)
        return np.where(reached > 0, 1 + reached, self.grasped(snapshot))

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """.1 for each ball in the box; before the first, what the stage pays."""
        count = self.balls_in_box(snapshot).sum(axis=1)
        return np.where(count > 0, BALL_REWARD * count, super().reward(snapshot, stage)).astype(np.float32)

    def grasped(self, snapshot: Snapshot) -> np.ndarray:
        """Whether the mug hangs in the hand, bool [env]."""
        mug = snapshot.position(MUG)
        height = mug[:, 2] - self.mug.half_height(snapshot.parameters)
        distance = np.linalg.norm(mug - snapshot.tcp_position, axis=1)
        return (height > GRASP_HEIGHT) & (distance < GRASP_DISTANCE)

    def balls_in_mug(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each ball is in the mug, however it is held, bool [env, ball]."""
        return self.mug.holds(snapshot.parameters, self._balls_from(snapshot, MUG))

    def balls_in_box(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each ball is in the box and not in the mug, bool [env, ball]."""
        points = self._balls_from(snapshot, BOX)
        inside = (np.abs(points[..., :2]) < snapshot.parameters["box.inner_half_size"][:, None]).all(axis=2)
        half_height = self.box.half_height(snapshot.parameters)[:, None]
        inside &= (points[..., 2] > -half_height) & (points[..., 2] < half_height + OVER_RIM)
        return inside & ~self.balls_in_mug(snapshot)

    def _balls_from(self, snapshot: Snapshot, body: str) -> np.ndarray:
        """Centres of the balls in a body's frame [m], [env, ball, 3]."""
        offset = self.liquid.positions(snapshot.physics) - snapshot.position(body)[:, None]
        return offset @ snapshot.rotation(body)

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        """Mug, hand to mug, mug to box; the hand with where its fingers point, as a mug is held from the side."""
        mug, up = snapshot.observed_position(MUG), snapshot.rotation(MUG)[:, :, 2]
        forward = snapshot.tcp_rotation[:, :, 2]
        to_box = snapshot.observed_position(BOX) - mug
        return np.concatenate([mug, up, mug - snapshot.tcp_position, forward, to_box], axis=1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.observed_position(MUG)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        parameters, box = snapshot.parameters, snapshot.observed_position(BOX)
        balls = self.liquid.positions(snapshot.physics).clip(*scene.OBSERVED_REGION)
        return np.concatenate(
            [
                self.object_features(snapshot),
                snapshot.rotation(MUG).reshape(-1, 9),
                snapshot.rotation(BOX).reshape(-1, 9),
                snapshot.velocity(MUG),
                snapshot.velocity(BOX),
                box,
                self.balls_in_mug(snapshot).mean(axis=1, keepdims=True),
                self.balls_in_box(snapshot).mean(axis=1, keepdims=True),
                balls.mean(axis=1),
                balls.std(axis=1),
                self.liquid.velocities(snapshot.physics).mean(axis=1),
                np.column_stack(
                    [
                        self.liquid.ball_radius(parameters),
                        parameters["liquid.ball_mass"],
                        parameters["mug.inner_radius"],
                        parameters["mug.height"],
                        parameters["mug.mass"],
                        parameters["box.inner_half_size"],
                        parameters["box.height"],
                    ]
                ),
            ],
            axis=1,
        )
