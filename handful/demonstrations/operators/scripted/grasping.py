"""How the hand must stand to grasp from above, and how far it has closed."""

from __future__ import annotations

import numpy as np

from handful.geometry import matrix_from_rotation_vector
from handful.simulation.snapshot import Snapshot

_DOWN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""Tool to world with the hand pointing down, its thumb and fingers opposing along world y: the home pose's rotation."""


def pointing_down(heading: np.ndarray, tilt: np.ndarray | None = None) -> np.ndarray:
    """Rotation of the tool that points down, turned about z from the home pose's.

    Args:
        heading: Turn about world z [rad], [env].
        tilt: Small lean about world x and y [rad], [env, 2]; None stands upright.

    Returns:
        Tool to world, [env, 3, 3].
    """
    lean = np.zeros((len(heading), 2)) if tilt is None else tilt
    turn = np.concatenate([np.zeros_like(lean), heading[:, None]], axis=1)
    leaning = np.concatenate([lean, np.zeros((len(heading), 1))], axis=1)
    return matrix_from_rotation_vector(leaning) @ matrix_from_rotation_vector(turn) @ _DOWN


def heading(rotation: np.ndarray) -> np.ndarray:
    """Turn of a tool about world z from the home pose's [rad], of rotations [env, 3, 3]; inverse of `pointing_down`."""
    return np.arctan2(-rotation[:, 1, 1], -rotation[:, 0, 1])


def box_heading(rotation: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Heading [rad] at which the hand is square to a box with rotation [env, 3, 3], the nearest to ``near`` [rad].

    A box has four such headings, a quarter turn apart: those of whichever of its axes lies flattest.
    """
    flattest = np.abs(rotation[:, 2, :]).argmin(axis=1)
    axis = rotation[np.arange(len(rotation)), :, flattest]
    angle = np.arctan2(axis[:, 1], axis[:, 0])
    quarter = 0.5 * np.pi
    return near + np.mod(angle - near + 0.5 * quarter, quarter) - 0.5 * quarter


def gripping(snapshot: Snapshot, slower_than: float = 0.1) -> np.ndarray:
    """Whether the thumb and a finger stand still [rad/s], as they do with something between them; bool [env]."""
    still = np.abs(snapshot.finger_velocities) < slower_than
    return still[:, 0] & still[:, 1:].any(axis=1)
