"""Clearing the table with a box: a toy car into the box, then the box off the table (paper, section IV-A)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.simulation.props.car import Car
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.prop import from_tcp, offset
from handful.simulation.props.sides import OppositeSides
from handful.simulation.randomization import Parameters, ParameterSpec
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import REACH_DISTANCE, Task

TOY = "toy"
BOX = "box"

GRASP_HEIGHT = 0.02
"""The toy is grasped when its centre is near the tool and this far above where it rested [m]."""

GRASP_DISTANCE = 0.07
"""Distance from the tool to the centre of a grasped toy [m]: a toy held by one end counts."""

IN_BOX_HEIGHT = 0.055
"""The toy is in the box when its centre is between the walls and at most this far over the floor [m]. The longest toy,
standing on its nose, has its centre at 5.3 cm."""

LIFT_HEIGHT = 0.05
"""The box is lifted when its centre is this far above where it rested [m]: tilting cannot do that."""


class ClearingBox(Task):
    """Put the toy car into the box, then lift the box.

    An open box stands on one side of the table, a toy car on the other.

    Stages: *start*; *reach*, the tool is within 5 cm of the toy's centre; *grasp*, the toy is in the hand, 2 cm up;
    *toy in box*, it lies between the walls; *box lifted*, with the toy in it, 5 cm up. Success is to hold the box up
    over the last half second of the episode.
    Randomised: which side the box is on, places and yaws, the toy's proportions, colours, mass and friction, the box's
    sizes, colour, mass and friction, and what every scene randomises.
    """

    name = "clearing-box"
    horizon = 500
    stages = ("start", "reach", "grasp", "toy in box", "box lifted")
    stage_rewards = (0.0, 0.125, 0.25, 1.0, 2.0)

    def __init__(self) -> None:
        # Ranges are our choice: all within the arm's reach and the camera's view, at least a centimetre apart.
        self.toy, self.box = toy, box = Car(TOY), OpenBox(BOX)
        self.sides = OppositeSides(
            first=box,
            first_place=((0.40, 0.110), (0.46, 0.135)),
            first_yaw=(-0.3, 0.3),
            second=toy,
            second_place=((0.38, 0.060), (0.48, 0.140)),
            second_yaw=(-np.pi, np.pi),
        )
        self.props = (toy, box)
        self.object_features = (toy.position, box.position, from_tcp(toy), from_tcp(box), offset(toy, box))
        self.object_positions = (toy.position, box.position)
        self.object_state = (
            *self.object_features,
            *(toy.rotation, box.rotation, toy.velocity, box.velocity),
            *(toy.drawn("length"), toy.drawn("width"), toy.half_height, toy.drawn("mass")),
            *(box.drawn("inner_half_size"), box.drawn("height"), box.drawn("mass")),
        )

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return (*super().object_parameter_specs(), *self.sides.parameter_specs())

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        self.sides.put(model, parameters, qpos)

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        toy, box = snapshot.position(TOY), snapshot.position(BOX)
        distance = np.linalg.norm(toy - snapshot.tcp_position, axis=1)
        toy_height = toy[:, 2] - self.toy.rest_height(snapshot.parameters)
        box_height = box[:, 2] - self.box.rest_height(snapshot.parameters)
        grasped = (toy_height > GRASP_HEIGHT) & (distance < GRASP_DISTANCE)
        in_box = self.toy_in_box(snapshot)
        return np.select(
            [in_box & (box_height > LIFT_HEIGHT), in_box, grasped, distance < REACH_DISTANCE], [4, 3, 2, 1], 0
        )

    def toy_in_box(self, snapshot: Snapshot) -> np.ndarray:
        """Whether the toy is in the box, however the box is turned, bool [env]."""
        return self.box.holds(snapshot, TOY, above=IN_BOX_HEIGHT)
