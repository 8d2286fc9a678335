"""Rigid bodies of primitive shapes, whose sizes, places and colours each episode draws.

All simulations share one compiled model. What differs between them are fields that the physics keeps per simulation, on the
CPU and on the GPU: ``geom_size``, ``geom_pos``, ``geom_quat``, ``geom_rgba``, ``geom_friction`` and the body's mass, inertia
and inertial frame. A reset writes a few arrays and compiles nothing.
"""

from __future__ import annotations

import abc
import dataclasses

import mujoco
import numpy as np

from handful.simulation.arm import COLLISION_GROUP
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.prop import RigidProp
from handful.simulation.randomization import Parameters, nominal_parameters

BOX = mujoco.mjtGeom.mjGEOM_BOX
CYLINDER = mujoco.mjtGeom.mjGEOM_CYLINDER
CAPSULE = mujoco.mjtGeom.mjGEOM_CAPSULE
ELLIPSOID = mujoco.mjtGeom.mjGEOM_ELLIPSOID


@dataclasses.dataclass(frozen=True)
class Part:
    """One primitive shape of a composite."""

    name: str
    """Name within the composite."""
    shape: mujoco.mjtGeom
    """Kind of shape, the same in every simulation."""
    seen: bool = True
    """Whether the camera sees it. Parts that are seen have mass, the others have none."""
    touches: bool = True
    """Whether it collides. Prefer boxes: their contacts are exact and cheap."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the parts of a composite are in its own frame, in each simulation."""

    sizes: np.ndarray
    """MuJoCo's sizes [m], [env, part, 3]; entries that a shape does not use are zero."""
    positions: np.ndarray
    """Centres [m], [env, part, 3]."""
    quats: np.ndarray
    """Rotations part to composite (wxyz), [env, part, 4]."""
    colors: np.ndarray
    """Red, green, blue in [0, 1], [env, part, 3]."""

    @classmethod
    def blank(cls, num_envs: int, num_parts: int) -> Layout:
        """All zero and unrotated, for the caller to fill in."""
        quats = np.zeros((num_envs, num_parts, 4))
        quats[..., 0] = 1.0
        sizes, positions, colors = np.zeros((3, num_envs, num_parts, 3))
        return cls(sizes, positions, quats, colors)


class Composite(RigidProp):
    """A free rigid body of several primitive shapes, symmetric left and right (y to -y).

    Its frame: x along its long side, z up, the origin half-way up its height. Its geoms are ``NAME/part``. Its parameters
    include ``NAME.mass`` [kg] and ``NAME.friction``.
    """

    parts: tuple[Part, ...]
    """Its shapes."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def layout(self, parameters: Parameters) -> Layout:
        """Its parts in each simulation, given stacked parameters."""

    def _values(self, parameters: Parameters, *quantities: str) -> tuple[np.ndarray, ...]:
        """Drawn values by quantity, each [env, ...]."""
        return tuple(parameters[f"{self.name}.{quantity}"] for quantity in quantities)

    def add(self, spec: mujoco.MjSpec) -> None:
        """Add the body with its parts, with nominal parameters."""
        # MuJoCo's mid-phase uses bounding boxes of bodies that were computed for the nominal parameters.
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
        nominal = nominal_parameters(self.parameter_specs())
        layout = self.layout(nominal)
        center, inertia, quat = inertia_of(self.parts, layout, nominal[f"{self.name}.mass"])
        body = spec.worldbody.add_body(name=self.name, pos=(0.0, 0.0, float(self.rest_height(nominal)[0])))
        body.add_freejoint(name=self.name)
        body.explicitinertial = True
        body.mass = float(nominal[f"{self.name}.mass"][0])
        body.ipos, body.inertia, body.iquat = center[0], inertia[0], quat[0]
        for k, part in enumerate(self.parts):
            body.add_geom(
                name=f"{self.name}/{part.name}",
                type=part.shape,
                size=layout.sizes[0, k],
                pos=layout.positions[0, k] + _NOT_AT_THE_ORIGIN,
                quat=layout.quats[0, k],
                rgba=(*layout.colors[0, k], 1.0),
                group=0 if part.seen else COLLISION_GROUP,
                contype=int(part.touches),
                conaffinity=int(part.touches),
                condim=4,  # torsional friction, so that an object pinched by three fingers does not spin
                priority=1,  # contacts use its friction; otherwise MuJoCo takes the larger of the two
                friction=(1.0, 0.005, 0.0001),
                mass=0.0,
            )

    def apply(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write ``geom_*`` and ``body_*`` fields of shape, colour, friction and mass in the simulations ``ids``."""
        body = physics.model.body(self.name).id
        geoms = [physics.model.geom(f"{self.name}/{part.name}").id for part in self.parts]
        layout = self.layout(parameters)
        rows = np.ix_(ids, geoms)
        bounds = bounding_boxes(self.parts, layout.sizes)
        physics.field("geom_size")[rows] = layout.sizes
        physics.field("geom_pos")[rows] = layout.positions
        physics.field("geom_quat")[rows] = layout.quats
        physics.field("geom_rgba")[(*rows, slice(0, 3))] = layout.colors
        physics.field("geom_friction")[(*rows, 0)] = parameters[f"{self.name}.friction"][:, None]
        physics.field("geom_aabb")[(*rows, slice(3, 6))] = bounds
        physics.field("geom_rbound")[rows] = np.linalg.norm(bounds, axis=-1)
        center, inertia, quat = inertia_of(self.parts, layout, parameters[f"{self.name}.mass"])
        physics.field("body_mass")[ids, body] = parameters[f"{self.name}.mass"]
        physics.field("body_ipos")[ids, body] = center
        physics.field("body_inertia")[ids, body] = inertia
        physics.field("body_iquat")[ids, body] = quat


_NOT_AT_THE_ORIGIN = 1e-9
"""Nominal offset of a part [m]: for geoms at their body's origin MuJoCo never reads ``geom_pos``."""


def bounding_boxes(parts: tuple[Part, ...], sizes: np.ndarray) -> np.ndarray:
    """Half sizes of the boxes around the parts in their own frames [m], [env, part, 3]."""
    boxes = np.empty_like(sizes)
    for k, part in enumerate(parts):
        a, b, c = np.moveaxis(sizes[:, k], -1, 0)
        around = {BOX: (a, b, c), ELLIPSOID: (a, b, c), CYLINDER: (a, a, b), CAPSULE: (a, a, a + b)}
        boxes[:, k] = np.stack(around[part.shape], axis=-1)
    return boxes


def volume_and_inertia(shape: mujoco.mjtGeom, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Volume [m^3], [env], and diagonal inertia for unit mass [m^2], [env, 3], of a homogeneous shape.

    MuJoCo's sizes [m], [env, 3], are half sides, semi-axes, or radius and half length along z.
    """
    a, b, c = np.moveaxis(np.asarray(size), -1, 0)
    if shape in (BOX, ELLIPSOID):
        share = 1.0 / 3.0 if shape == BOX else 1.0 / 5.0
        volume = (8.0 if shape == BOX else 4.0 / 3.0 * np.pi) * a * b * c
        return volume, share * np.stack([b * b + c * c, a * a + c * c, a * a + b * b], axis=-1)
    if shape == CYLINDER:
        across, along = a * a / 4.0 + b * b / 3.0, a * a / 2.0
        return 2.0 * np.pi * a * a * b, np.stack([across, across, along], axis=-1)
    assert shape == CAPSULE, shape
    tube, balls = 2.0 * np.pi * a * a * b, 4.0 / 3.0 * np.pi * a**3
    # A half ball's centre of mass is 3/8 of its radius from its flat face, so b + 3/8 a from the capsule's middle.
    across_balls = (2.0 / 5.0 - (3.0 / 8.0) ** 2) * a * a + (b + 3.0 / 8.0 * a) ** 2
    across = (tube * (a * a / 4.0 + b * b / 3.0) + balls * across_balls) / (tube + balls)
    along = (tube / 2.0 + balls * 2.0 / 5.0) * a * a / (tube + balls)
    return tube + balls, np.stack([across, across, along], axis=-1)


def inertia_of(parts: tuple[Part, ...], layout: Layout, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre of mass and principal inertia of a composite of one density, by the parallel-axis theorem.

    With part k of mass m_k, centre r_k from the common centre of mass and inertia I_k in its own frame R_k:

        I = sum_k  R_k I_k R_k^T + m_k (|r_k|^2 1 - r_k r_k^T)

    Left and right mirror each other, so I_xz is the only product, and a turn about y by half the angle of
    (I_xx - I_zz, 2 I_xz) makes I diagonal, smoothly in the sizes.

    Only parts that are seen have mass; ``mass`` is that of the whole [kg], [env]. Returns the centre of mass [m], [env, 3],
    the principal inertia [kg m^2], [env, 3], and the principal frame (wxyz), [env, 4].
    """
    seen = [k for k, part in enumerate(parts) if part.seen]
    shapes = [volume_and_inertia(parts[k].shape, layout.sizes[:, k]) for k in seen]
    volume = np.stack([shape[0] for shape in shapes], axis=1)  # [env, part]
    masses = np.asarray(mass)[:, None] * volume / volume.sum(axis=1, keepdims=True)
    own = np.stack([shape[1] for shape in shapes], axis=1)  # [env, part, 3]
    rotation = _matrices(layout.quats[:, seen])
    place = layout.positions[:, seen]
    center = (masses[..., None] * place).sum(axis=1) / masses.sum(axis=1)[:, None]
    offset = place - center[:, None]
    turned = np.einsum("wpij,wpj,wpkj->wpik", rotation, own, rotation)
    square = np.square(offset).sum(axis=-1)[..., None, None] * np.eye(3)
    inertia = (masses[..., None, None] * (turned + square - offset[..., :, None] * offset[..., None, :])).sum(axis=1)
    angle = 0.5 * np.arctan2(-2.0 * inertia[:, 0, 2], inertia[:, 0, 0] - inertia[:, 2, 2])
    angle = np.where(np.abs(inertia[:, 0, 2]) < 1e-12, 0.0, angle)  # a symmetric box keeps its axes in their order
    quat = np.zeros((len(angle), 4))
    quat[:, 0], quat[:, 2] = np.cos(0.5 * angle), np.sin(0.5 * angle)
    frame = _matrices(quat)
    return center, np.einsum("wji,wjk,wki->wi", frame, inertia, frame), quat


def _matrices(quats: np.ndarray) -> np.ndarray:
    """Rotation matrices of quaternions (wxyz), [..., 4]; returns [..., 3, 3]."""
    w, x, y, z = np.moveaxis(quats, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
