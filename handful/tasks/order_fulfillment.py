"""Order fulfilment: toy planes into the green box, toy cars into the red one (paper, section IV-A)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.car import Car
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.plane import Plane
from handful.simulation.props.sides import OppositeSides
from handful.simulation.props.toy import Toy
from handful.simulation.randomization import Level, Parameters, ParameterSpec, draw_parameters
from handful.simulation.snapshot import Snapshot
from handful.tasks.order import (
    BOX_OF,
    CARS,
    GRASP_DISTANCE,
    GREEN,
    PLANES,
    RED,
    TOYS,
    distances,
    from_tcp,
    if_present,
    in_hand,
    positions,
    present,
    rotations,
    to_box,
    velocities,
    xyz,
)
from handful.tasks.task import LOST_HEIGHT, REACH_DISTANCE, Task

IN_BOX_HEIGHT = 0.070
"""A toy is in a box when its centre is between the walls and at most this far over the floor [m]. A toy that lies on
another one counts; its underside is below the rim."""

GRASP_HEIGHT = 0.02
"""A toy is held when its centre is near the tool and this far above where it rested [m]."""

PROGRESS = ("", "reach", "hold", "over")
"""What has been done for the toy to deliver next: nothing; the tool is near it; it is held; it is held over its box."""

PROGRESS_REWARDS = (0.0, 0.125, 0.25, 0.5)
"""What that is worth, where a delivered toy is worth 1 (our choice, as in the other tasks)."""

APART = 0.100
"""Least distance between the centres of two toys at the start [m]: toys that touch end to end are nearer."""

FROM_BOX = 0.054
"""Least distance between a toy's centre and a box's outer walls at the start [m]: the widest plane's wing tip."""

MAX_DRAWS = 12800
"""Most draws of the toys' places; four toys stand apart in one draw of several hundred."""

PARKED = -20.0
"""Height of an absent toy [m]: too far from everything to touch it."""


def _stages_of(count: str) -> tuple[str, ...]:
    """Names of the stages in which so many toys are delivered."""
    return tuple(f"{count} {progress}".strip() or "start" for progress in PROGRESS)


class OrderFulfillment(Task):
    """Put the toy planes into the green box and the toy cars into the red one.

    One to four toys stand on the table between the boxes: at most two planes and two cars.

    Stages count the toys in their right boxes, and within that what has been done for the next toy, the nearest to the
    tool of those that wait: *reach*, the tool is within 5 cm of its centre; *hold*, it is in the hand, 2 cm up; *over*, it
    is held between the walls of its box. So *one hold* is one toy delivered and a second one in the hand. *fulfilled* is all
    toys that are present, however many.
    A toy is delivered once the hand has let go of it: while held inside its box, it is still the next one, *over* its box.
    A delivered toy is worth 1, the next one 1/8, 1/4 and 1/2 on its way; the reward is their sum by the number of toys that
    are present, so every fulfilled order pays 1. The rewards by stage are those of an order of four.
    Success is an order fulfilled over the last half second of the episode.
    Absent toys are far below the table, weightless and invisible, and are observed as zeros.
    Randomised: which toys and how many, their places, yaws, proportions, colours, masses and friction; which box is on
    which side, the boxes' places, yaws, sizes and shades; and what every scene randomises.
    """

    name = "order-fulfillment"
    horizon = 1000
    stages = (*_stages_of(""), *_stages_of("one"), *_stages_of("two"), *_stages_of("three"), "fulfilled")
    stage_rewards = (*((count + reward) / 4 for count in range(4) for reward in PROGRESS_REWARDS), 1.0)
    score_name = "toys in their right boxes"
    variants: ClassVar = {"one-toy": {"max_toys": 1}, "two-toys": {"max_toys": 2}}

    toys_place = ParameterSpec.between(
        "toys.place",
        ((0.31, -0.080),) * 4,
        ((0.55, 0.080),) * 4,
        level=Level.TASK,
        nominal=((0.37, -0.053), (0.49, 0.053), (0.37, 0.053), (0.49, -0.053)),
    )

    def __init__(self, *, max_toys: int = len(TOYS)) -> None:
        """The task, with orders of at most ``max_toys``."""
        self._max_toys = max_toys
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
        self.object_positions = (
            Observable(xyz(f"nearest_{kind}" for kind in ("plane", "car")), self._nearest_positions),
        )
        self.object_features = (
            Observable.vector("tcp_to_target", lambda snapshot: self._of_target(snapshot, from_tcp)),
            Observable.vector("target_to_its_box", lambda snapshot: self._of_target(snapshot, to_box)),
            Observable.scalar("target_is_plane", lambda snapshot: self._target_is(snapshot)[:, :2].sum(axis=1)),
            Observable.scalar("share_delivered", self._share_delivered),
        )
        velocity_axes = ("x", "y", "z", "roll", "pitch", "yaw")
        self.object_state = (
            *self.object_features,
            Observable.matrix("target_rotation", lambda snapshot: self._of_target(snapshot, rotations)),
            Observable.vector("target_velocity", lambda snapshot: self._of_target(snapshot, velocities), velocity_axes),
            Observable.vector(
                "target",
                lambda snapshot: self._of_target(snapshot, self._sizes_and_masses),
                ("length", "half_height", "mass"),
            ),
            Observable(tuple(f"target_is_{toy}" for toy in TOYS), self._target_is),
            Observable(tuple(f"{toy}_present" for toy in TOYS), lambda snapshot: present(snapshot.parameters)),
            Observable(tuple(f"{toy}_delivered" for toy in TOYS), lambda snapshot: snapshot.once(self.delivered)),
            Observable(xyz(f"tcp_to_{toy}" for toy in TOYS), lambda snapshot: if_present(snapshot, from_tcp)),
            Observable(xyz(f"{toy}_to_its_box" for toy in TOYS), lambda snapshot: if_present(snapshot, to_box)),
            *(box.position for box in boxes),
            *(box.rotation for box in boxes),
        )

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        most = float(self._max_toys)
        return (
            *super().object_parameter_specs(),
            ParameterSpec.between("order.size", 1.0, 1.0 + most, level=Level.TASK, nominal=most),  # rounded down
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
        count = snapshot.once(self.delivered).sum(axis=1)
        fulfilled = count == present(snapshot.parameters).sum(axis=1)
        return np.where(fulfilled, len(self.stages) - 1, len(PROGRESS) * count + self._progress(snapshot))

    def lost(self, snapshot: Snapshot) -> np.ndarray:
        heights = np.stack([snapshot.position(prop.name)[:, 2] for prop in (*self.toys, *self.boxes.values())], axis=1)
        there = present(snapshot.parameters)
        there = np.concatenate([there, np.ones((len(there), len(self.boxes)), bool)], axis=1)
        return np.asarray(((heights < LOST_HEIGHT) & there).any(axis=1))

    def reward(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """Toys in their right boxes, and what the next one is worth on its way, as a share of the order."""
        worth = len(TOYS) * np.asarray(self.stage_rewards)[stage]  # in toys; of an order that is fulfilled, four
        return np.minimum(worth / present(snapshot.parameters).sum(axis=1), 1.0).astype(np.float32)

    def score(self, snapshot: Snapshot, stage: np.ndarray) -> np.ndarray:
        """Share of the order that is in its right boxes."""
        return self._share_delivered(snapshot)

    def delivered(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each toy is present, in its right box and out of the hand, bool [env, toy]."""
        toys = zip(TOYS, BOX_OF, strict=True)
        inside = [self.boxes[box].holds(snapshot, toy, above=IN_BOX_HEIGHT) for toy, box in toys]
        return np.stack(inside, axis=1) & present(snapshot.parameters) & ~snapshot.once(in_hand)

    def target(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """The toy to deliver next: the nearest to the tool of those present and not delivered.

        These are its index in `TOYS`, int64 [env], and whether there is one, bool [env].
        """
        waiting = present(snapshot.parameters) & ~snapshot.once(self.delivered)
        distance = np.where(waiting, np.linalg.norm(snapshot.once(from_tcp), axis=2), np.inf)
        return distance.argmin(axis=1), np.asarray(waiting.any(axis=1))

    def nearest(self, snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
        """The plane and the car to deliver next: the nearest to the tool of those present, preferably not delivered.

        These are their indices in `TOYS`, int64 [env, 2], and whether there is one, bool [env, 2].
        """
        distance = np.linalg.norm(snapshot.once(from_tcp), axis=2) + 10.0 * snapshot.once(self.delivered)
        distance = np.where(present(snapshot.parameters), distance, np.inf).reshape(-1, 2, 2)
        return distance.argmin(axis=2) + np.array([0, 2]), np.isfinite(distance.min(axis=2))

    def _nearest_positions(self, snapshot: Snapshot) -> np.ndarray:
        """The nearest plane and the nearest car [m]; zeros where there is none."""
        index, exists = self.nearest(snapshot)
        toys = np.take_along_axis(snapshot.once(positions), index[:, :, None], axis=1)
        return np.where(exists[:, :, None], toys, 0.0).reshape(len(toys), -1)

    def _progress(self, snapshot: Snapshot) -> np.ndarray:
        """What has been done for the target, as an index in `PROGRESS`, [env]."""
        index, _ = snapshot.once(self.target)
        rows, parameters = np.arange(len(index)), snapshot.parameters
        position = np.stack([snapshot.position(toy) for toy in TOYS], axis=1)[rows, index]
        rest_height = self._half_heights(snapshot)[rows, index]
        distance = snapshot.once(distances)[rows, index]
        held = (position[:, 2] - rest_height > GRASP_HEIGHT) & (distance < GRASP_DISTANCE)
        over = [
            box.between_walls(parameters, snapshot.in_frame_of(name, position[:, None]))[:, 0]
            for name, box in self.boxes.items()
        ]
        carried = held | snapshot.once(in_hand)[rows, index]  # also where the hand has reached down into the box
        over_its_box = carried & np.where(index < len(PLANES), *over)
        return np.select([over_its_box, held, distance < REACH_DISTANCE], [3, 2, 1], 0)

    def _share_delivered(self, snapshot: Snapshot) -> np.ndarray:
        """Share of the order that is delivered, [env]."""
        return snapshot.once(self.delivered).sum(axis=1) / present(snapshot.parameters).sum(axis=1)

    def _of_target(self, snapshot: Snapshot, of_toys: Callable[[Snapshot], np.ndarray]) -> np.ndarray:
        """The target's part of a quantity of all toys, [env, toy, ...]; zeros where there is no target."""
        return np.einsum("et,et...->e...", self._target_is(snapshot), of_toys(snapshot))

    def _target_is(self, snapshot: Snapshot) -> np.ndarray:
        """Whether each toy is the target, bool [env, toy]."""
        index, exists = snapshot.once(self.target)
        return (index[:, None] == np.arange(len(TOYS))) & exists[:, None]

    def _sizes_and_masses(self, snapshot: Snapshot) -> np.ndarray:
        """Length [m], half height [m] and mass [kg] of all toys, [env, toy, 3]."""
        drawn, heights = snapshot.parameters, self._half_heights(snapshot)
        lengths, masses = (np.stack([drawn[f"{toy}.{what}"] for toy in TOYS], axis=1) for what in ("length", "mass"))
        return np.stack([lengths, heights, masses], axis=2)

    def _half_heights(self, snapshot: Snapshot) -> np.ndarray:
        """Height of all toys' centres when they stand on the table [m], [env, toy]."""
        return np.stack([toy.rest_height(snapshot.parameters) for toy in self.toys], axis=1)
