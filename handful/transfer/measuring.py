"""Makes the file of an arm's body from its model: ``python -m handful.transfer.measuring ARM FILE``."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import mujoco
import numpy as np

from handful.simulation import scene
from handful.simulation.arm import Arm
from handful.simulation.arms import find_arm
from handful.storage import write_atomically

NUM_DIRECTIONS = 64
"""Directions in which the outermost points of a link are taken; between them it reaches at most 2 mm further (tested)."""

SPHERE_LENGTH = 0.06
"""A link gets a sphere for about so much of its length [m]."""

MOUNTS = 1
"""Links at the foot of the arm, which do not move."""


def measure(arm: Arm) -> dict[str, Any]:
    """The body of an arm, as `handful.transfer.robots.body.body_from_json` reads it."""
    model = scene.build_scene(arm).compile()
    bodies = [i for i in range(1, model.nbody) if model.body(i).name.startswith(arm.prefix)]
    joints = [model.joint(name) for name in arm.all_joints]
    links, spheres = [], []
    for body in bodies:
        points = _hull(model, body)
        cover = _cover(points)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.body_quat[body])
        own = [k for k, joint in enumerate(joints) if model.jnt_bodyid[joint.id] == body]
        parent = int(model.body_parentid[body])
        links.append(
            {
                "name": model.body(body).name.removeprefix(arm.prefix),
                "parent": bodies.index(parent) if parent in bodies else -1,
                "position": _rounded(model.body_pos[body]),
                "rotation": _rounded(rotation.reshape(3, 3), 9),
                "joint": own[0] if own else -1,
                "points": _rounded(_outermost(points)),
                "spheres": _rounded(cover),
            }
        )
        spheres += [len(links) - 1] * len(cover)
    return {
        "arm": arm.name,
        "joints": [name.removeprefix(arm.prefix).split("/")[-1] for name in arm.all_joints],
        "limits": [_rounded(joint.range) if model.jnt_limited[joint.id] else None for joint in joints],
        "speed": _rounded([*arm.velocity_limits, *[arm.finger_velocity_limit] * len(arm.finger_joints)], 9),
        "num_arm": arm.num_arm,
        "links": links,
        "apart": _apart(links, spheres, arm.num_arm),
    }


def _hull(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Points of all touching geoms of a body in its frame [m], [point, 3]."""
    points = [np.zeros((0, 3))]
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] != body or not model.geom_contype[geom]:
            continue
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = model.geom_dataid[geom]
            begin, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
            local = model.mesh_vert[begin : begin + count].astype(float)
        else:  # a cylinder
            radius, half = model.geom_size[geom, :2]
            angles = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
            rim = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
            local = np.concatenate([np.insert(rim, 2, z, axis=1) for z in (-half, half)])
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        points.append(model.geom_pos[geom] + local @ rotation.reshape(3, 3).T)
    return np.concatenate(points)


def _outermost(points: np.ndarray) -> np.ndarray:
    """The points that reach furthest in some direction of a Fibonacci lattice."""
    if not len(points):
        return points
    index = np.arange(NUM_DIRECTIONS) + 0.5
    height, turn = 1.0 - 2.0 * index / NUM_DIRECTIONS, np.pi * (1.0 + 5.0**0.5) * index
    width = np.sqrt(1.0 - height**2)
    directions = np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1)
    return points[np.unique(np.argmax(points @ directions.T, axis=0))]


def _cover(points: np.ndarray) -> np.ndarray:
    """Spheres that hold all points: slices along the longest axis, a sphere for each; [sphere, 4]."""
    if not len(points):
        return np.zeros((0, 4))
    center = points.mean(axis=0)
    axis = np.linalg.svd(points - center, full_matrices=False)[2][0]
    along = (points - center) @ axis
    count = max(1, round(np.ptp(along) / SPHERE_LENGTH))
    slices = np.minimum(((along - along.min()) / (np.ptp(along) + 1e-9) * count).astype(int), count - 1)
    spheres = []
    for number in np.unique(slices):
        part = points[slices == number]
        middle = 0.5 * (part.min(axis=0) + part.max(axis=0))
        spheres.append([*middle, np.linalg.norm(part - middle, axis=1).max() + 1e-3])
    return np.array(spheres)


def _apart(links: list[dict[str, Any]], spheres: list[int], num_arm: int) -> list[list[int]]:
    """Pairs of spheres of links with at least two links of the arm between them; the hand and its fingers are one."""
    rank = []
    for link in links:
        moves = 0 <= link["joint"] < num_arm
        rank.append((0 if link["parent"] < 0 else rank[link["parent"]]) + int(moves))
    pairs = [(i, j) for i in range(len(spheres)) for j in range(i)]
    return [[i, j] for i, j in pairs if abs(rank[spheres[i]] - rank[spheres[j]]) >= 3]


def _rounded(values: Any, digits: int = 5) -> Any:
    return np.round(np.asarray(values, float), digits).tolist()


if __name__ == "__main__":
    text = json.dumps(measure(find_arm(sys.argv[1])), separators=(",", ":"))
    write_atomically(pathlib.Path(sys.argv[2]), text.encode() + b"\n")
