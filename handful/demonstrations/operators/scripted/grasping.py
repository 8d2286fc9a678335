"""Geometry of a grasp from above, and what the fingers tell of it."""

from __future__ import annotations

import numpy as np

from handful.geometry import matrix_from_rotation_vector
from handful.simulation import jaco
from handful.simulation.snapshot import Snapshot

LOWEST_GRIP = 0.017
"""Lowest height of the tool over the table [m]: lower, the finger tips touch it."""

TOO_CLOSED = 0.65
"""Fingers further closed than this [rad] would hit a block from above: the hand opens before it descends."""

LOST_DISTANCE = 0.06
"""An object has slipped from the hand when it is this far from the tool [m]."""

_SHAPING_GAIN = 8.0
"""How fast the fingers move to a wanted angle [1/s of their highest speed]."""

_DOWN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""Tool to world in the home pose: the hand points down, thumb and fingers are opposite each other along world y."""


def pointing_down(heading: np.ndarray, tilt: np.ndarray | None = None) -> np.ndarray:
    """Rotation of a tool that points down, tool to world, [env, 3, 3].

    The tool is turned from the home pose by ``heading`` about world z [rad], [env], and leans by ``tilt`` about world x and
    y [rad], [env, 2]; None is upright.
    """
    lean = np.zeros((len(heading), 2)) if tilt is None else tilt
    turn = np.concatenate([np.zeros_like(lean), heading[:, None]], axis=1)
    leaning = np.concatenate([lean, np.zeros((len(heading), 1))], axis=1)
    return matrix_from_rotation_vector(leaning) @ matrix_from_rotation_vector(turn) @ _DOWN


def heading(rotation: np.ndarray) -> np.ndarray:
    """Turn about world z from the home pose [rad] of tools with rotations [env, 3, 3]; the inverse of `pointing_down`."""
    return np.arctan2(-rotation[:, 1, 1], -rotation[:, 0, 1])


def box_heading(rotation: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Heading [rad] at which the hand is square to a box with rotation [env, 3, 3], the nearest to ``near`` [rad].

    A box has four such headings, a quarter turn apart. They follow the one of its axes that is nearest to horizontal.
    """
    flattest = np.abs(rotation[:, 2, :]).argmin(axis=1)
    axis = rotation[np.arange(len(rotation)), :, flattest]
    return nearest_angle(np.arctan2(axis[:, 1], axis[:, 0]), near, 0.5 * np.pi)


def axis_heading(rotation: np.ndarray, near: np.ndarray, axis: int = 0) -> np.ndarray:
    """Heading [rad] at which the hand closes across a body's long ``axis``, the nearest to ``near`` [rad], [env].

    There are two, half a turn apart. The body has rotations to the world, [env, 3, 3].
    """
    return nearest_angle(np.arctan2(rotation[:, 1, axis], rotation[:, 0, axis]), near, np.pi)


def nearest_angle(angle: np.ndarray, near: np.ndarray | float, period: float = 2.0 * np.pi) -> np.ndarray:
    """Of the angles that differ from ``angle`` by whole periods, the nearest to ``near`` [rad]."""
    return near + np.mod(angle - near + 0.5 * period, period) - 0.5 * period


def gripping(snapshot: Snapshot, slower_than: float = 0.1) -> np.ndarray:
    """Whether the thumb and a finger are at rest, as with an object between them, bool [env]; speeds in rad/s."""
    still = np.abs(snapshot.finger_velocities) < slower_than
    return still[:, 0] & still[:, 1:].any(axis=1)


def holds_nothing(snapshot: Snapshot, closed: float = 0.95) -> np.ndarray:
    """Whether all fingers are closed, to that fraction of their range, so that nothing is between them; bool [env]."""
    return snapshot.finger_positions.min(axis=1) > closed * jaco.FINGER_CLOSED


def shape_fingers(wanted: np.ndarray | float, now: np.ndarray) -> np.ndarray:
    """Finger velocity [-1, 1] that brings an angle ``now`` to a wanted one [rad], [env]."""
    return np.clip(_SHAPING_GAIN * (wanted - now), -1.0, 1.0)


def within(tolerance: float, target: np.ndarray, tool: np.ndarray) -> np.ndarray:
    """Whether the tool is at a target, both sideways and in height within a tolerance [m], bool [env]."""
    miss = target - tool
    return (np.linalg.norm(miss[:, :2], axis=1) < tolerance) & (np.abs(miss[:, 2]) < tolerance)
