"""Order fulfilment: toy planes into the green box, toy cars into the red one (paper, section IV-A)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.geometry import yaw_quaternion
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.toys import Car, Plane, Toy
from handful.simulation.randomization import Level, Parameters, ParameterSpec, draw_parameters
from handful.tasks.task import Snapshot, Task

GREEN, RED = "green_box", "red_box"

PLANES = ("plane_1", "plane_2")
CARS = ("car_1", "car_2")
TOYS = PLANES + CARS
BOX_OF = (GREEN, GREEN, RED, RED)
"""The right box of each toy."""

IN_BOX_HEIGHT = 0.070
"""A toy is in a box when its centre is between the walls and at most this far over the floor [m]: a toy that lies on
another still counts, and the underside of one that does is below the rim."""

APART = 0.100
"""Least distance between the centres of two toys at the start [m]: two that touch end to end are nearer."""

FROM_BOX = 0.054
"""Least distance between a toy's centre and a box's outer walls at the start [m]: the widest plane's wing tip."""

MAX_DRAWS = 12800
"""How often places are drawn until the toys stand apart; four do at one draw in several hundred."""

PARKED = -20.0
"""Height at which an absent toy stands [m]: too far from everything to touch it."""


class OrderFulfillment(Task):
    """Put the toy planes into the green box and the toy cars into the red one.

    One to four toys stand on the table between the boxes: at most two planes and two cars.

    Stages count the toys in their right boxes: *start*, none; *one*, *two*, *three*; and *fulfilled*, all toys that are
    there, however many. The reward is their number, so that a small order pays less. Success is an order fulfilled over
    the last half second of the episode.
    Absent toys stand still far below the table, weightless and unseen, and count as zeros in what is observed.
    Randomised: which toys and how many, their places, yaws, proportions, colours, masses and friction; which box is on
    which side, the boxes' places, yaws, sizes and shades; and what every scene randomises.
    """

    name = "order-fulfillment"
    horizon = 1000
    begins_by_cloning = True
    stages = ("start", "one", "two", "three", "fulfilled")
    stage_rewards = (0.0, 1.0, 2.0, 3.0, 4.0)
    object_feature_names = tuple(
        f"{feature}_{axis}"
        for kind in ("plane", "car")
        for feature in (f"tcp_to_nearest_{kind}", f"nearest_{kind}_to_box")
        for axis in "xyz"
    )
    object_position_names = tuple(f"nearest_{kind}_{axis}" for kind in ("plane", "car") for axis in "xyz")
    object_state_names = (
        *object_feature_names,
        *(f"{toy}_present" for toy in TOYS),
        *(f"{toy}_{axis}" for toy in TOYS for axis in "xyz"),
        *(f"{toy}_to_box_{axis}" for toy in TOYS for axis in "xyz"),
        *(f"{toy}_rotation_{row}{column}" for toy in TOYS for row in range(3) for column in range(3)),
        *(f"{toy}_velocity_{axis}" for toy in TOYS for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
        *(f"{toy}_{quantity}" for toy in TOYS for quantity in ("length", "half_height", "mass")),
        *(f"{box}_{axis}" for box in (GREEN, RED) for axis in "xyz"),
        *(f"{box}_rotation_{row}{column}" for box in (GREEN, RED) for row in range(3) for column in range(3)),
        *(f"{box}_velocity_{axis}" for box in (GREEN, RED) for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
        *(
            f"{box}_{quantity}"
            for box in (GREEN, RED)
            for quantity in ("inner_half_size_x", "inner_half_size_y", "height")
        ),
    )

    def __init__(self) -> None:
        """The task with its toys and boxes."""
        # A little smaller than the toy of clearing-box: four of them and two boxes share the table.
        self.toys: tuple[Toy, ...] = (
            *(Plane(name, scale=0.85) for name in PLANES),
            *(Car(name, scale=0.85) for name in CARS),
        )
        size, height, mass = ((0.072, 0.064), (0.078, 0.070)), (0.055, 0.070), (0.25, 0.40)
        green, red = ((0.30, 0.7, 0.45), (0.40, 1.0, 0.75)), ((-0.03, 0.75, 0.55), (0.03, 1.0, 0.85))
        self.boxes = {
            GREEN: OpenBox(GREEN, inner_half_size=size, color_hsv=green, height=height, mass=mass),
            RED: OpenBox(RED, inner_half_size=size, color_hsv=red, height=height, mass=mass),
        }

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """Ranges are ours: toys in the middle, a box on either side, all within the arm's reach and the camera's view."""
        parameter_specs = [
            parameter for thing in (*self.toys, *self.boxes.values()) for parameter in thing.parameter_specs()
        ]
        return (
            *parameter_specs,
            ParameterSpec.between("order.size", 1.0, 5.0, level=Level.TASK, nominal=4.0),  # rounded down
            ParameterSpec.between("order.priority", (0.0,) * 4, (1.0,) * 4, level=Level.TASK),  # the lowest are there
            ParameterSpec.between(
                "green_box.side", -1.0, 1.0, level=Level.TASK, nominal=1.0
            ),  # its sign: left or right
            *(
                parameter
                for box in (GREEN, RED)
                for parameter in (
                    ParameterSpec.between(f"{box}.place", (0.34, 0.200), (0.41, 0.208), level=Level.TASK),
                    ParameterSpec.around(f"{box}.yaw", 0.0, 0.15, level=Level.TASK),
                )
            ),
            ParameterSpec.between(
                "toys.place",
                ((0.31, -0.080),) * 4,
                ((0.55, 0.080),) * 4,
                level=Level.TASK,
                nominal=((0.37, -0.053), (0.49, 0.053), (0.37, 0.053), (0.49, -0.053)),
            ),
            ParameterSpec.around("toys.yaw", np.zeros(4), np.pi, level=Level.TASK),
        )

    def draw(self, generator: np.random.Generator, level: Level) -> dict[str, np.ndarray]:
        """Draw a world, and the toys' places again until those that are there stand apart.

        Raises:
            ConfigurationError: they did not in `MAX_DRAWS` draws.
        """
        parameters = draw_parameters(self.parameter_specs(), level, generator)
        stacked = {name: value[None] for name, value in parameters.items()}
        there = np.flatnonzero(present(stacked)[0])
        place = next(parameter for parameter in self.object_parameter_specs() if parameter.name == "toys.place")
        candidates, at_once = stacked["toys.place"], 64
        for _ in range(1 + MAX_DRAWS // at_once):
            fits = np.flatnonzero(self._apart(stacked, candidates[:, there]))
            if len(fits):
                return {**parameters, "toys.place": candidates[fits[0]]}
            candidates = generator.uniform(place.low, place.high, (at_once, *place.low.shape))
        raise ConfigurationError(f"found no room for {len(there)} toys in {MAX_DRAWS} draws.")

    def _apart(self, parameters: Parameters, places: np.ndarray) -> np.ndarray:
        """Whether toys at candidate places [m], [candidate, toy, 2], stand clear of each other and the boxes of a world."""
        first, second = np.triu_indices(places.shape[1], 1)
        apart = (np.linalg.norm(places[:, first] - places[:, second], axis=-1) > APART).all(axis=1)
        for name, (position, yaw) in self._box_poses(parameters).items():
            turn = np.array([[np.cos(yaw[0]), -np.sin(yaw[0])], [np.sin(yaw[0]), np.cos(yaw[0])]])
            outer = parameters[f"{name}.inner_half_size"][0] + parameters[f"{name}.thickness"][0]
            outside = np.maximum(np.abs((places - position[0]) @ turn) - outer, 0.0)
            apart &= (np.linalg.norm(outside, axis=-1) > FROM_BOX).all(axis=1)
        return apart

    def _box_poses(self, parameters: Parameters) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Place [m], [env, 2], and yaw [rad], [env], of each box."""
        side = np.where(parameters["green_box.side"] < 0.0, -1.0, 1.0)
        poses = {}
        for name, direction in ((GREEN, side), (RED, -side)):
            x, y = parameters[f"{name}.place"].T
            poses[name] = np.stack([x, direction * y], axis=1), parameters[f"{name}.yaw"]
        return poses

    def add_props(self, spec: mujoco.MjSpec) -> None:
        for thing in (*self.toys, *self.boxes.values()):
            thing.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write the shapes, and for absent toys no colour in ``geom_rgba`` and no weight in ``body_gravcomp``."""
        there = present(parameters)
        for toy, here in zip(self.toys, there.T, strict=True):
            toy.apply(physics, ids, parameters)
            geoms = [physics.model.geom(f"{toy.name}/{part.name}").id for part in toy.parts]
            physics.field("geom_rgba")[(*np.ix_(ids, geoms), 3)] = here[:, None]
            physics.field("body_gravcomp")[ids, physics.model.body(toy.name).id] = ~here
        for box in self.boxes.values():
            box.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        there = present(parameters)
        for k, toy in enumerate(self.toys):
            address = model.joint(toy.name).qposadr[0]
            here = there[:, k]
            qpos[:, address : address + 2] = np.where(here[:, None], parameters["toys.place"][:, k], (float(k), 0.0))
            qpos[:, address + 2] = np.where(here, toy.half_height(parameters), PARKED)
            qpos[:, address + 3 : address + 7] = yaw_quaternion(parameters["toys.yaw"][:, k])
        for name, (position, yaw) in self._box_poses(parameters).items():
            address = model.joint(name).qposadr[0]
            qpos[:, address : address + 2] = position
            qpos[:, address + 2] = self.boxes[name].half_height(parameters)
            qpos[:, address + 3 : address + 7] = yaw_quaternion(yaw)

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        delivered = self.delivered(snapshot)
        count = delivered.sum(axis=1)
        return np.where(count == present(snapshot.parameters).sum(axis=1), len(self.stages) - 1, count)

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """The number of toys in their right boxes."""
        return self.delivered(snapshot).sum(axis=1).astype(np.float32)

    def delivered(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each toy is there and in its right box, bool [env, toy]."""
        inside = []
        for toy, name in zip(self.toys, BOX_OF, strict=True):
            offset = snapshot.position(toy.name) - snapshot.position(name)
            in_box_frame = np.einsum("eji,ej->ei", snapshot.rotation(name), offset)
            inside.append(self.boxes[name].holds(snapshot.parameters, in_box_frame, above=IN_BOX_HEIGHT))
        return np.stack(inside, axis=1) & present(snapshot.parameters)

    def nearest(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """The plane and the car to deliver next: of those there, not delivered if any is left, the nearest to the tool.

        Returns:
            Their indices in `TOYS`, int64 [env, 2], and whether there is one at all, bool [env, 2].
        """
        there, delivered = present(snapshot.parameters), self.delivered(snapshot)
        position = self._positions(snapshot)
        distance = np.linalg.norm(position - snapshot.tcp_position[:, None], axis=2)
        distance = np.where(there, distance + 10.0 * delivered, np.inf).reshape(-1, 2, 2)
        return distance.argmin(axis=2) + np.array([0, 2]), np.isfinite(distance.min(axis=2))

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        toys = self._nearest_positions(snapshot)  # [env, kind, 3]
        boxes = np.stack([snapshot.observed_position(GREEN), snapshot.observed_position(RED)], axis=1)
        there = self.nearest(snapshot)[1][:, :, None, None]
        features = np.stack([toys - snapshot.tcp_position[:, None], boxes - toys], axis=2)  # [env, kind, feature, 3]
        return np.where(there, features, 0.0).reshape(len(toys), -1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        """The nearest plane and the nearest car; zeros where there is none."""
        there = self.nearest(snapshot)[1][:, :, None]
        return np.where(there, self._nearest_positions(snapshot), 0.0).reshape(len(there), -1)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        there, parameters = present(snapshot.parameters), snapshot.parameters
        position = self._positions(snapshot)
        of_toys = [
            position,
            np.stack([snapshot.observed_position(box) for box in BOX_OF], axis=1) - position,
            np.stack([snapshot.rotation(toy).reshape(-1, 9) for toy in TOYS], axis=1),
            np.stack([snapshot.velocity(toy) for toy in TOYS], axis=1),
            np.stack(
                [
                    np.column_stack(
                        [parameters[f"{toy.name}.length"], toy.half_height(parameters), parameters[f"{toy.name}.mass"]]
                    )
                    for toy in self.toys
                ],
                axis=1,
            ),
        ]
        boxes = (GREEN, RED)
        return np.concatenate(
            [
                self.object_features(snapshot),
                there,
                *(np.where(there[:, :, None], values, 0.0).reshape(len(there), -1) for values in of_toys),
                *(snapshot.observed_position(box) for box in boxes),
                *(snapshot.rotation(box).reshape(-1, 9) for box in boxes),
                *(snapshot.velocity(box) for box in boxes),
                *(
                    np.column_stack([parameters[f"{box}.inner_half_size"], parameters[f"{box}.height"]])
                    for box in boxes
                ),
            ],
            axis=1,
        )

    def _positions(self, snapshot: Snapshot) -> np.ndarray:
        """Known centres of all toys [m], [env, toy, 3]."""
        return np.stack([snapshot.observed_position(toy) for toy in TOYS], axis=1)

    def _nearest_positions(self, snapshot: Snapshot) -> np.ndarray:
        """Centres of the nearest plane and car [m], [env, 2, 3]."""
        index = self.nearest(snapshot)[0]
        return np.take_along_axis(self._positions(snapshot), index[:, :, None], axis=1)


def present(parameters: Parameters) -> np.ndarray:
    """Which toys are there in each of the stacked worlds, bool [env, toy]: as many as the order's size says."""
    rank = parameters["order.priority"].argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return rank < np.clip(np.floor(parameters["order.size"]), 1, len(TOYS))[:, None]
