"""The toys of an order: their names, their right boxes, which are present, and quantities of all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from handful.simulation.randomization import Parameters
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import hand_is_open

GREEN, RED = "green_box", "red_box"

PLANES = ("plane_1", "plane_2")
CARS = ("car_1", "car_2")
TOYS = PLANES + CARS
BOX_OF = (GREEN, GREEN, RED, RED)
"""The right box of each toy."""

GRASP_DISTANCE = 0.07
"""Distance from the tool to the centre of a held toy [m]: a toy held by one end counts."""


def present(parameters: Parameters) -> np.ndarray:
    """Which toys are present, bool [env, toy]: as many as the order's size, given stacked parameters."""
    rank = parameters["order.priority"].argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return rank < np.clip(np.floor(parameters["order.size"]), 1, len(TOYS))[:, None]


def xyz(names: Iterable[str]) -> tuple[str, ...]:
    """Names of the entries of several vectors."""
    return tuple(f"{name}_{axis}" for name in names for axis in "xyz")


def positions(snapshot: Snapshot) -> np.ndarray:
    """Observed centres of all toys [m], [env, toy, 3]."""
    return np.stack([snapshot.observed_position(toy) for toy in TOYS], axis=1)


def from_tcp(snapshot: Snapshot) -> np.ndarray:
    """From the tool to all toys [m], [env, toy, 3]."""
    return snapshot.once(positions) - snapshot.tcp_position[:, None]


def to_box(snapshot: Snapshot) -> np.ndarray:
    """From all toys to their right boxes [m], [env, toy, 3]."""
    return np.stack([snapshot.observed_position(box) for box in BOX_OF], axis=1) - snapshot.once(positions)


def distances(snapshot: Snapshot) -> np.ndarray:
    """Distances from the tool to the centres of all toys [m], [env, toy]."""
    centers = np.stack([snapshot.position(toy) for toy in TOYS], axis=1)
    return np.linalg.norm(centers - snapshot.tcp_position[:, None], axis=2)


def in_hand(snapshot: Snapshot) -> np.ndarray:
    """Whether each toy may be held, bool [env, toy]: of those present the nearest to the tool, near it, a finger closed."""
    distance = np.where(present(snapshot.parameters), snapshot.once(distances), np.inf)
    nearest = np.arange(len(TOYS)) == distance.argmin(axis=1)[:, None]
    return np.asarray(nearest & (distance < GRASP_DISTANCE) & ~hand_is_open(snapshot)[:, None])


def rotations(snapshot: Snapshot) -> np.ndarray:
    """Rotations of all toys to the world, [env, toy, 3, 3]."""
    return np.stack([snapshot.rotation(toy) for toy in TOYS], axis=1)


def velocities(snapshot: Snapshot) -> np.ndarray:
    """Velocities of all toys, [env, toy, 6]; see `Snapshot.velocity`."""
    return np.stack([snapshot.velocity(toy) for toy in TOYS], axis=1)


def if_present(snapshot: Snapshot, of_toys: Callable[[Snapshot], np.ndarray]) -> np.ndarray:
    """A vector of every toy side by side, [env, entry]; zeros where the toy is absent."""
    values = np.where(present(snapshot.parameters)[:, :, None], of_toys(snapshot), 0.0)
    return values.reshape(len(values), -1)
