"""Order fulfilment: toy planes into the green box, toy cars into the red one (paper, section IV-A)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation.observable import Observable, entry_names, observe
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.car import Car
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.plane import Plane
from handful.simulation.props.prop import offset
from handful.simulation.props.sides import OppositeSides
from handful.simulation.props.toy import Toy
from handful.simulation.randomization import Level, Parameters, ParameterSpec, draw_parameters
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import LOST_HEIGHT, Task

GREEN, RED = "green_box", "red_box"

PLANES = ("plane_1", "plane_2")
CARS = ("car_1", "car_2")
TOYS = PLANES + CARS
BOX_OF = (GREEN, GREEN, RED, RED)
"""The right box of each toy."""

IN_BOX_HEIGHT = 0.070
"""A toy is in a box when its centre is between the walls and at most this far over the floor [m]. A toy that lies on
another one counts; its underside is below the rim."""

APART = 0.100
"""Least distance between the centres of two toys at the start [m]: toys that touch end to end are nearer."""

FROM_BOX = 0.054
"""Least distance between a toy's centre and a box's outer walls at the start [m]: the widest plane's wing tip."""

MAX_DRAWS = 12800
"""Most draws of the toys' places; four toys stand apart in one draw of several hundred."""

PARKED = -20.0
"""Height of an absent toy [m]: too far from everything to touch it."""


class OrderFulfillment(Task):
    """Put the toy planes into the green box and the toy cars into the red one.

    One to four toys stand on the table between the boxes: at most two planes and two cars.

    Stages count the toys in their right boxes: *start*, none; *one*, *two*, *three*; *fulfilled*, all toys that are
    present. The reward is their number, so a small order pays less. Success is an order fulfilled over the last half
    second of the episode.
    Absent toys are far below the table, weightless and invisible, and are observed as zeros.
    Randomised: which toys and how many, their places, yaws, proportions, colours, masses and friction; which box is on
    which side, the boxes' places, yaws, sizes and shades; and what every scene randomises.
    """

    name = "order-fulfillment"
    horizon = 1000
    stages = ("start", "one", "two", "three", "fulfilled")
    stage_rewards = (0.0, 1.0, 2.0, 3.0, 4.0)

    toys_place = ParameterSpec.between(
        "toys.place",
        ((0.31, -0.080),) * 4,
        ((0.55, 0.080),) * 4,
        level=Level.TASK,
        nominal=((0.37, -0.053), (0.49, 0.053), (0.37, 0.053), (0.49, -0.053)),
    )

    def __init__(self) -> None:
        # Ranges are our choice: the toys in the middle, a box on either side, all within the arm's reach and the camera's
        # view. The toys are a little smaller than that of clearing-box: four of them and two boxes share the table.
        planes, cars = [Plane(name, scale=0.85) for name in PLANES], [Car(name, scale=0.85) for name in CARS]
        self.toys: tuple[Toy, ...] = (*planes, *cars)
        size, height, mass = ((0.072, 0.064), (0.078, 0.070)), (0.055, 0.070), (0.25, 0.40)
        shades = {GREEN: ((0.30, 0.7, 0.45), (0.40, 1.0, 0.75)), RED: ((-0.03, 0.75, 0.55), (0.03, 1.0, 0.85))}
        self.boxes = {
            name: OpenBox(name, inner_half_size=size, color_hsv=shade, height=height, mass=mass)
            for name, shade in shades.items()
        }
        place, yaw = ((0.34, 0.200), (0.41, 0.208)), (-0.15, 0.15)
        green, red = boxes = tuple(self.boxes.values())
        self.sides = OppositeSides(green, place, yaw, red, place, yaw)
        self.props = (*self.toys, *boxes)
        kinds = ("plane", "car")
        features = [name for kind in kinds for name in (f"tcp_to_nearest_{kind}", f"nearest_{kind}_to_box")]
        self.object_features = (Observable(_xyz(features), self._features),)
        self.object_positions = (Observable(_xyz(f"nearest_{kind}" for kind in kinds), self._nearest_positions),)
        toys = list(enumerate(self.toys))
        self.object_state = (
            *self.object_features,
            Observable(tuple(f"{toy}_present" for toy in TOYS), lambda snapshot: present(snapshot.parameters)),
            _if_present(
                *((k, toy.position) for k, toy in toys),
                *((k, offset(toy, self.boxes[BOX_OF[k]], f"{toy.name}_to_box")) for k, toy in toys),
                *((k, toy.rotation) for k, toy in toys),
                *((k, toy.velocity) for k, toy in toys),
                *((k, each) for k, toy in toys for each in (toy.drawn("length"), toy.half_height, toy.drawn("mass"))),
            ),
            *(box.position for box in boxes),
            *(box.rotation for box in boxes),
            *(box.velocity for box in boxes),
            *(size for box in boxes for size in (box.drawn("inner_half_size"), box.drawn("height"))),
        )

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return (
            *super().object_parameter_specs(),
            ParameterSpec.between("order.size", 1.0, 5.0, level=Level.TASK, nominal=4.0),  # rounded down
            ParameterSpec.between("order.priority", (0.0,) * 4, (1.0,) * 4, level=Level.TASK),  # the lowest are present
            *self.sides.parameter_specs(),
            self.toys_place,
            ParameterSpec.around("toys.yaw", np.zeros(4), np.pi, level=Level.TASK),
        )

    def draw(self, generator: np.random.Generator, level: Level) -> dict[str, np.ndarray]:
        """Draw parameters; repeat the toys' places until those that are present stand apart.

        Raises:
            ConfigurationError: no places fit in `MAX_DRAWS` draws.
        """
        parameters = draw_parameters(self.parameter_specs(), level, generator)
        stacked = {name: value[None] for name, value in parameters.items()}
        there = np.flatnonzero(present(stacked)[0])
        low, high = self.toys_place.low, self.toys_place.high
        candidates, at_once = stacked["toys.place"], 64
        for _ in range(1 + MAX_DRAWS // at_once):
            fits = np.flatnonzero(self._apart(stacked, candidates[:, there]))
            if len(fits):
                return {**parameters, "toys.place": candidates[fits[0]]}
            candidates = generator.uniform(low, high, (at_once, *low.shape))
        raise ConfigurationError(f"found no room for {len(there)} toys in {MAX_DRAWS} draws.")

    def _apart(self, parameters: Parameters, places: np.ndarray) -> np.ndarray:
        """Whether toys at candidate places [m], [candidate, toy, 2], are clear of each other and of an episode's boxes."""
        first, second = np.triu_indices(places.shape[1], 1)
        apart = (np.linalg.norm(places[:, first] - places[:, second], axis=-1) > APART).all(axis=1)
        for box, (place, yaw) in zip(self.boxes.values(), self.sides.poses(parameters), strict=True):
            gap = box.gap(parameters, places.reshape(1, -1, 2), place=place, yaw=yaw)
            apart &= (gap.reshape(places.shape[:2]) > FROM_BOX).all(axis=1)
        return apart

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write the shapes; absent toys get no colour in ``geom_rgba`` and no weight in ``body_gravcomp``."""
        super().apply_objects(physics, ids, parameters)
        for toy, here in zip(self.toys, present(parameters).T, strict=True):
            geoms = [physics.model.geom(f"{toy.name}/{part.name}").id for part in toy.parts]
            physics.field("geom_rgba")[(*np.ix_(ids, geoms), 3)] = here[:, None]
            physics.field("body_gravcomp")[ids, physics.model.body(toy.name).id] = ~here

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        self.sides.put(model, parameters, qpos)
        for k, (toy, here) in enumerate(zip(self.toys, present(parameters).T, strict=True)):
            place = np.where(here[:, None], parameters["toys.place"][:, k], (float(k), 0.0))
            toy.stand(model, parameters, qpos, place=place, yaw=parameters["toys.yaw"][:, k])
            qpos[~here, model.joint(toy.name).qposadr[0] + 2] = PARKED

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        count = self.delivered(snapshot).sum(axis=1)
        return np.where(count == present(snapshot.parameters).sum(axis=1), len(self.stages) - 1, count)

    def lost(self, snapshot: Snapshot) -> np.ndarray:
        heights = np.stack([snapshot.position(prop.name)[:, 2] for prop in (*self.toys, *self.boxes.values())], axis=1)
        there = present(snapshot.parameters)
        there = np.concatenate([there, np.ones((len(there), len(self.boxes)), bool)], axis=1)
        return np.asarray(((heights < LOST_HEIGHT) & there).any(axis=1))

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """The number of toys in their right boxes."""
        return self.delivered(snapshot).sum(axis=1).astype(np.float32)

    def delivered(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each toy is present and in its right box, bool [env, toy]."""
        toys = zip(TOYS, BOX_OF, strict=True)
        inside = [self.boxes[box].holds(snapshot, toy, above=IN_BOX_HEIGHT) for toy, box in toys]
        return np.stack(inside, axis=1) & present(snapshot.parameters)

    def nearest(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """The plane and the car to deliver next: the nearest to the tool of those present, preferably not delivered.

        These are their indices in `TOYS`, int64 [env, 2], and whether there is one, bool [env, 2].
        """
        there, delivered = present(snapshot.parameters), self.delivered(snapshot)
        distance = np.linalg.norm(_positions(snapshot) - snapshot.tcp_position[:, None], axis=2)
        distance = np.where(there, distance + 10.0 * delivered, np.inf).reshape(-1, 2, 2)
        return distance.argmin(axis=2) + np.array([0, 2]), np.isfinite(distance.min(axis=2))

    def _nearest(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the nearest plane and car [m], [env, kind, 3], and whether they exist, bool [env, kind, 1]."""
        index, exists = self.nearest(snapshot)
        return np.take_along_axis(_positions(snapshot), index[:, :, None], axis=1), exists[:, :, None]

    def _nearest_positions(self, snapshot: Snapshot) -> np.ndarray:
        """The nearest plane and the nearest car [m]; zeros where there is none."""
        toys, exist = self._nearest(snapshot)
        return np.where(exist, toys, 0.0).reshape(len(toys), -1)

    def _features(self, snapshot: Snapshot) -> np.ndarray:
        """From the tool to the nearest plane, from there to its box, and the same for cars; zeros where there is none."""
        toys, exist = self._nearest(snapshot)
        boxes = np.stack([snapshot.observed_position(GREEN), snapshot.observed_position(RED)], axis=1)
        features = np.concatenate([toys - snapshot.tcp_position[:, None], boxes - toys], axis=2)  # [env, kind, 6]
        return np.where(exist, features, 0.0).reshape(len(toys), -1)


def _xyz(names: Iterable[str]) -> tuple[str, ...]:
    """Names of the entries of several vectors."""
    return tuple(f"{name}_{axis}" for name in names for axis in "xyz")


def _positions(snapshot: Snapshot) -> np.ndarray:
    """Observed centres of all toys [m], [env, toy, 3]."""
    return np.stack([snapshot.observed_position(toy) for toy in TOYS], axis=1)


def _if_present(*observables: tuple[int, Observable]) -> Observable:
    """Observables of toys, each with its toy's index; zeros where the toy is absent."""
    parts: Sequence[Observable] = [observable for _, observable in observables]
    toys = np.repeat([toy for toy, _ in observables], [len(part.names) for part in parts])

    def values(snapshot: Snapshot) -> np.ndarray:
        return np.where(present(snapshot.parameters)[:, toys], observe(parts, snapshot), 0.0)

    return Observable(entry_names(parts), values)


def present(parameters: Parameters) -> np.ndarray:
    """Which toys are present, bool [env, toy]: as many as the order's size, given stacked parameters."""
    rank = parameters["order.priority"].argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return rank < np.clip(np.floor(parameters["order.size"]), 1, len(TOYS))[:, None]
