"""What the safety limits know of an arm's body: its joints, and the shape of its links. Pure NumPy.

A body is read from a JSON file that ships with handful. `handful.transfer.measuring` makes it from the arm's model, and a
test holds it to that model.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
from typing import Any

import numpy as np

from handful.errors import unknown_name

BODIES = ("jaco",)
"""Arms whose body is known."""


@dataclasses.dataclass(frozen=True)
class Link:
    """A rigid part, whose frame turns about its own z axis if it has a joint."""

    name: str
    parent: int
    """Index of the link that carries it; -1 for the base, which stands at the origin of the world."""
    position: np.ndarray
    """Origin in the parent's frame [m], [3]."""
    rotation: np.ndarray
    """Orientation in the parent's frame at joint angle 0, [3, 3]."""
    joint: int
    """Index of its joint; -1 where it is fixed to its parent."""
    points: np.ndarray
    """Outermost points of its hull [m], in its frame, [point, 3]."""
    spheres: np.ndarray
    """Spheres that cover it: centre and radius [m], in its frame, [sphere, 4]."""


@dataclasses.dataclass(frozen=True)
class Body:
    """An arm as a chain of links."""

    arm: str
    """Name of the arm."""
    joints: tuple[str, ...]
    """Names of the joints, fingers last."""
    low: np.ndarray
    """Lowest position of each joint [rad]; minus infinity where it turns without limit."""
    high: np.ndarray
    """Highest position of each joint [rad]."""
    speed: np.ndarray
    """Highest speed of each joint [rad/s]."""
    num_arm: int
    """Joints without the fingers."""
    links: tuple[Link, ...]
    """Parents before their children."""
    apart: np.ndarray
    """Pairs of spheres that must not touch, as indices into all spheres, [pair, 2]."""

    def poses(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Origins [m], [..., link, 3], and rotations, [..., link, 3, 3], of the links in the world at joint positions."""
        origins, rotations = [], []
        shape = positions.shape[:-1]
        for link in self.links:
            base = np.zeros((*shape, 3)) if link.parent < 0 else origins[link.parent]
            turned = np.broadcast_to(np.eye(3), (*shape, 3, 3)) if link.parent < 0 else rotations[link.parent]
            origins.append(base + turned @ link.position)
            rotation = turned @ link.rotation
            rotations.append(rotation if link.joint < 0 else rotation @ _about_z(positions[..., link.joint]))
        return np.stack(origins, axis=-2), np.stack(rotations, axis=-3)

    def points(self, poses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Outermost points of the links that move, in the world [m], [..., point, 3]."""
        return _placed([link.points for link in self.links], *poses, moving=self._moving)

    def sphere_gaps(self, poses: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Distances between the surfaces of the spheres that must not touch [m], [..., pair]."""
        centers = _placed([link.spheres[:, :3] for link in self.links], *poses, moving=range(len(self.links)))
        radii = np.concatenate([link.spheres[:, 3] for link in self.links])
        first, second = self.apart.T
        distance = np.linalg.norm(centers[..., first, :] - centers[..., second, :], axis=-1)
        return distance - radii[first] - radii[second]

    @functools.cached_property
    def _moving(self) -> tuple[int, ...]:
        return tuple(index for index, link in enumerate(self.links) if link.parent >= 0)


def find_body(arm: str) -> Body:
    """The body of an arm; a `ConfigurationError` lists those that are known."""
    if arm not in BODIES:
        raise unknown_name("robot body", arm, BODIES)
    return body_from_json(
        json.loads((importlib.resources.files("handful.transfer.robots") / f"{arm}.json").read_text())
    )


def body_from_json(values: dict[str, Any]) -> Body:
    """What `body_to_json` made."""
    links = tuple(
        Link(
            name=each["name"],
            parent=each["parent"],
            position=np.array(each["position"], float),
            rotation=np.array(each["rotation"], float),
            joint=each["joint"],
            points=np.array(each["points"], float).reshape(-1, 3),
            spheres=np.array(each["spheres"], float).reshape(-1, 4),
        )
        for each in values["links"]
    )
    limits = [[-np.inf, np.inf] if limit is None else limit for limit in values["limits"]]
    low, high = np.array(limits, float).T
    return Body(
        arm=values["arm"],
        joints=tuple(values["joints"]),
        low=low,
        high=high,
        speed=np.array(values["speed"], float),
        num_arm=values["num_arm"],
        links=links,
        apart=np.array(values["apart"], int).reshape(-1, 2),
    )


def _placed(parts: list[np.ndarray], origins: np.ndarray, rotations: np.ndarray, *, moving: Any) -> np.ndarray:
    """Points of the links' frames in the world, [..., point, 3]."""
    placed = [
        origins[..., i, None, :] + parts[i] @ np.swapaxes(rotations[..., i, :, :], -1, -2)
        for i in moving
        if len(parts[i])
    ]
    return np.concatenate(placed, axis=-2)


def _about_z(angle: np.ndarray) -> np.ndarray:
    """Rotation matrices about z, [..., 3, 3]."""
    sin, cos, zero = np.sin(angle), np.cos(angle), np.zeros_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1.0]
    return np.stack(rows, axis=-1).reshape(*angle.shape, 3, 3)
