"""What the arm's own sensors measure, and its complete state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from handful.simulation.arm import Arm
from handful.simulation.observable import Observable
from handful.simulation.snapshot import Snapshot


def arm_sensors(arm: Arm) -> tuple[Observable, ...]:
    """The group ``proprioception``, 24 numbers of the Jaco.

    Sines and cosines of the arm's joints, of which some turn without limit, their velocities [rad/s], finger positions [rad]
    and velocities [rad/s] (our choice; the paper's appendix is not public).
    """
    joints, fingers = slice(0, arm.num_arm), len(arm.finger_joints)
    return (
        _numbered("sin_joint", arm.num_arm, lambda snapshot: np.sin(snapshot.physics.qpos[:, joints])),
        _numbered("cos_joint", arm.num_arm, lambda snapshot: np.cos(snapshot.physics.qpos[:, joints])),
        _numbered("velocity_joint", arm.num_arm, lambda snapshot: snapshot.physics.qvel[:, joints]),
        _numbered("finger", fingers, lambda snapshot: snapshot.finger_positions),
        _numbered("velocity_finger", fingers, lambda snapshot: snapshot.finger_velocities),
    )


def _numbered(name: str, count: int, function: Callable[[Snapshot], np.ndarray]) -> Observable:
    """An observable of ``count`` entries, numbered from 1."""
    return Observable.vector(name, function, [str(number) for number in range(1, count + 1)])


def seen_from_tool(observables: Sequence[Observable]) -> tuple[Observable, ...]:
    """Directions and orientations of objects in the tool's frame, from the observables of a task's objects.

    A grasp is the same wherever the arm is, if it is seen from the hand. Directions are those named ``A_to_B``. A rotation
    R of an object becomes Q = T^T R for the tool's T, told by the axis that points up and by q q^T of its first axis, which
    half a turn does not change; for a block of half sizes h by Q diag(h) Q^T, which no symmetry of the block changes.
    """
    sizes = {names[0].removesuffix("_half_size_x"): each for each in observables if (names := each.names)}
    seen = []
    for each in observables:
        name = each.names[0]
        if name.endswith("_x") and "_to_" in name:
            names = tuple(f"{name[:-2]}_in_tool{name[-2:]}" for name in each.names)
            seen.append(Observable(names, _turned(each)))
        elif name.endswith("_rotation_00"):
            prop = name.removesuffix("_rotation_00")
            seen += _orientation(prop, each, sizes.get(prop))
    return tuple(seen)


def _turned(directions: Observable) -> Callable[[Snapshot], np.ndarray]:
    def turned(snapshot: Snapshot) -> np.ndarray:
        values = directions(snapshot)
        vectors = values.reshape(len(values), -1, 3)
        return np.einsum("eji,ekj->eki", snapshot.tcp_rotation, vectors).reshape(values.shape)

    return turned


def _orientation(prop: str, rotation: Observable, half_size: Observable | None) -> list[Observable]:
    upper = np.triu_indices(3)
    entries = [f"{row}{column}" for row, column in zip(*upper, strict=True)]

    def turned(snapshot: Snapshot) -> np.ndarray:
        return np.einsum("eji,ejk->eik", snapshot.tcp_rotation, rotation(snapshot).reshape(-1, 3, 3))

    def shape(snapshot: Snapshot) -> np.ndarray:
        q = turned(snapshot)
        if half_size is None:
            return np.einsum("ei,ej->eij", q[:, :, 0], q[:, :, 0])[:, *upper]
        return np.einsum("eik,ek,ejk->eij", q, half_size(snapshot) / HALF_SIZE_UNIT, q)[:, *upper]

    up = Observable.vector(f"{prop}_up_in_tool", lambda snapshot: turned(snapshot)[:, :, 2])
    return [*([] if half_size else [up]), Observable.vector(f"{prop}_shape_in_tool", shape, entries)]


HALF_SIZE_UNIT = 0.025
"""Half sizes of blocks are told in this unit [m]."""


def arm_state(arm: Arm) -> tuple[Observable, ...]:
    """Proprioception, position of the tool [m] and its rotation to the world."""
    return (
        *arm_sensors(arm),
        Observable.vector("tcp", lambda snapshot: snapshot.tcp_position),
        Observable.matrix("tcp_rotation", lambda snapshot: snapshot.tcp_rotation),
    )
