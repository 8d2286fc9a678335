"""Clearing the table with a box: a toy car into the box, then the box off the table (paper, section IV-A)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.toys import Car
from handful.simulation.randomization import Level, Parameters, ParameterSpec
from handful.tasks.task import Snapshot, Task

TOY = "toy"
BOX = "box"

REACH_DISTANCE = 0.05
"""The tool has reached the toy when it is this near its centre [m]: about where a grasp can close."""

GRASP_HEIGHT = 0.02
"""The toy is grasped when its centre is this far above where it rested [m], by the tool: it hangs in the hand."""

GRASP_DISTANCE = 0.07
"""How near the tool the centre of a grasped toy is [m]: a toy held by one end still counts."""

IN_BOX_HEIGHT = 0.055
"""The toy is in the box when its centre is between the walls and at most this far over the floor [m]: lying there,
on its wheels or tipped, not held over it. The longest toy standing on its nose has its centre at 5.3 cm."""

LIFT_HEIGHT = 0.05
"""The box is lifted when its centre is this far above where it rested [m], with the toy in it: tilting cannot do that."""


class ClearingBox(Task):
    """Put the toy car into the box, then lift the box.

    An open box stands on one side of the table, a toy car on the other.

    Stages: *start*; *reach*, the tool is within 5 cm of the toy's centre; *grasp*, the toy hangs in the hand, 2 cm up;
    *toy in box*, it lies between the walls; *box lifted*, with the toy in it, 5 cm up. Success is to hold the box up
    over the last half second of the episode.
    Randomised: which side the box is on, places and yaws, the toy's proportions, colours, mass and friction, the box's
    sizes, colour, mass and friction, and what every scene randomises.
    """

    name = "clearing-box"
    horizon = 500
    stages = ("start", "reach", "grasp", "toy in box", "box lifted")
    stage_rewards = (0.0, 0.125, 0.25, 1.0, 2.0)
    object_feature_names = (
        *(f"{thing}_{axis}" for thing in (TOY, BOX) for axis in "xyz"),
        *(f"tcp_to_{thing}_{axis}" for thing in (TOY, BOX) for axis in "xyz"),
        *(f"toy_to_box_{axis}" for axis in "xyz"),
    )
    object_position_names = tuple(f"{thing}_{axis}" for thing in (TOY, BOX) for axis in "xyz")
    object_state_names = (
        *object_feature_names,
        *(f"{thing}_rotation_{row}{column}" for thing in (TOY, BOX) for row in range(3) for column in range(3)),
        *(f"{thing}_velocity_{axis}" for thing in (TOY, BOX) for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
        "toy_length",
        "toy_width",
        "toy_half_height",
        "toy_mass",
        "box_inner_half_size_x",
        "box_inner_half_size_y",
        "box_height",
        "box_mass",
    )

    def __init__(self) -> None:
        """The task with its two objects."""
        self.toy = Car(TOY)
        self.box = OpenBox(BOX)

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: both within the arm's reach and the camera's view, at least a centimetre apart."""
        return (
            *self.toy.parameter_specs(),
            *self.box.parameter_specs(),
            ParameterSpec.between("box.side", -1.0, 1.0, level=Level.TASK, nominal=1.0),  # its sign: left or right
            # Outwards on the side's half of the table; the toy's side is the other one.
            ParameterSpec.between("box.place", (0.40, 0.110), (0.46, 0.135), level=Level.TASK),
            ParameterSpec.around("box.yaw", 0.0, 0.3, level=Level.TASK),
            ParameterSpec.between("toy.place", (0.38, 0.060), (0.48, 0.140), level=Level.TASK),
            ParameterSpec.around("toy.yaw", 0.0, np.pi, level=Level.TASK),
        )

    def add_props(self, spec: mujoco.MjSpec) -> None:
        self.toy.add(spec)
        self.box.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        self.toy.apply(physics, ids, parameters)
        self.box.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        side = np.where(parameters["box.side"] < 0.0, -1.0, 1.0)
        for thing, direction in ((self.box, side), (self.toy, -side)):
            address = model.joint(thing.name).qposadr[0]
            qpos[:, address] = parameters[f"{thing.name}.place"][:, 0]
            qpos[:, address + 1] = direction * parameters[f"{thing.name}.place"][:, 1]
            qpos[:, address + 2] = thing.half_height(parameters)
            qpos[:, address + 3 : address + 7] = yaw_quaternion(parameters[f"{thing.name}.yaw"])

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        toy, box = snapshot.position(TOY), snapshot.position(BOX)
        distance = np.linalg.norm(toy - snapshot.tcp_position, axis=1)
        toy_height = toy[:, 2] - self.toy.half_height(snapshot.parameters)
        box_height = box[:, 2] - self.box.half_height(snapshot.parameters)
        grasped = (toy_height > GRASP_HEIGHT) & (distance < GRASP_DISTANCE)
        in_box = self.toy_in_box(snapshot)
        return np.select(
            [in_box & (box_height > LIFT_HEIGHT), in_box, grasped, distance < REACH_DISTANCE], [4, 3, 2, 1], 0
        )

    def toy_in_box(self, snapshot: Snapshot) -> np.ndarray:
        """Whether the toy lies in the box, however the box is held, bool [env]."""
        offset = snapshot.position(TOY) - snapshot.position(BOX)
        in_box_frame = np.einsum("eji,ej->ei", snapshot.rotation(BOX), offset)
        return self.box.holds(snapshot.parameters, in_box_frame, above=IN_BOX_HEIGHT)

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        toy, box, tcp = snapshot.observed_position(TOY), snapshot.observed_position(BOX), snapshot.tcp_position
        return np.concatenate([toy, box, toy - tcp, box - tcp, box - toy], axis=1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate([snapshot.observed_position(TOY), snapshot.observed_position(BOX)], axis=1)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        parameters = snapshot.parameters
        return np.concatenate(
            [
                self.object_features(snapshot),
                snapshot.rotation(TOY).reshape(-1, 9),
                snapshot.rotation(BOX).reshape(-1, 9),
                snapshot.velocity(TOY),
                snapshot.velocity(BOX),
                np.column_stack(
                    [
                        parameters["toy.length"],
                        parameters["toy.width"],
                        self.toy.half_height(parameters),
                        parameters["toy.mass"],
                        parameters["box.inner_half_size"],
                        parameters["box.height"],
                        parameters["box.mass"],
                    ]
                ),
            ],
            axis=1,
        )
