"""The visible geoms of a model as triangles in unit shapes, which per-simulation sizes scale."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from handful.errors import ConfigurationError

VISIBLE_GROUPS = 3
"""Geom groups 0, 1 and 2 are drawn, as in MuJoCo's own renderer; collision shapes stand in group 3."""

_SEGMENTS = 24
"""Sides of a round shape: the silhouette of a 5 cm cylinder is then within 0.3 mm of the true one."""

_SMALL, _SMALL_SEGMENTS = 0.01, 8
"""Nominal radius below which a sphere has few sides [m], and how many: two pixels wide, it shows no more, and a liquid
has many."""

_FIXED, _SCALED, _SPHERE, _CYLINDER, _CAPSULE = range(5)
"""How a shape follows its geom's sizes; the rasteriser's ``_transform`` knows them by these numbers."""


@dataclasses.dataclass(frozen=True)
class TriangleScene:
    """Triangles of all visible geoms, geom after geom; a slot is a visible geom."""

    vertices: np.ndarray
    """Unit-shape vertices and, for capsules, the sign of their half; float32 [vertex, 4]."""
    geoms: np.ndarray
    """Geom of each slot, int32 [slot]."""
    kinds: np.ndarray
    """How each slot scales, int32 [slot]."""
    materials: np.ndarray
    """Material of each slot or -1, int32 [slot]."""
    vertex_start: np.ndarray
    """First vertex of each slot and one past the last, int32 [slot + 1]."""
    triangle_start: np.ndarray
    """First triangle of each slot and one past the last, int32 [slot + 1]."""
    corners: np.ndarray
    """Vertices of each triangle, counter-clockwise from outside, int32 [triangle, 3]."""
    normals: np.ndarray
    """Normals at the corners in the geom's frame, float32 [triangle, 3, 3]."""
    flat: np.ndarray
    """Whether the three normals are one, bool [triangle]."""
    slots: np.ndarray
    """Slot of each triangle, int32 [triangle]."""

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order in which the kernel takes them."""
        return (
            self.vertices,
            self.geoms,
            self.kinds,
            self.materials,
            self.vertex_start,
            self.triangle_start,
            self.corners,
            self.normals,
            self.flat,
            self.slots,
        )


def build_triangles(model: mujoco.MjModel) -> TriangleScene:
    """Triangles of the geoms in the visible groups.

    Raises:
        ConfigurationError: a visible geom is of a type that the rasteriser does not draw (plane, height field).
    """
    visible = np.flatnonzero(model.geom_group < VISIBLE_GROUPS)
    shapes = [_shape(model, int(geom)) for geom in visible]
    vertex_start = np.cumsum([0] + [len(shape[0]) for shape in shapes])
    triangle_start = np.cumsum([0] + [len(shape[1]) for shape in shapes])
    normals = np.concatenate([shape[2] for shape in shapes]).astype(np.float32)
    return TriangleScene(
        vertices=np.concatenate([shape[0] for shape in shapes]).astype(np.float32),
        geoms=visible.astype(np.int32),
        kinds=np.array([shape[3] for shape in shapes], np.int32),
        materials=model.geom_matid[visible].astype(np.int32),
        vertex_start=vertex_start.astype(np.int32),
        triangle_start=triangle_start.astype(np.int32),
        corners=np.concatenate(
            [shape[1] + start for shape, start in zip(shapes, vertex_start[:-1], strict=True)]
        ).astype(np.int32),
        normals=normals,
        flat=(normals == normals[:, :1]).all(axis=(1, 2)),
        slots=np.repeat(np.arange(len(shapes)), np.diff(triangle_start)).astype(np.int32),
    )


def _shape(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Vertices [v, 4], corners [t, 3], corner normals [t, 3, 3] and kind of a geom."""
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        return _mesh(model, int(model.geom_dataid[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return (*_box(), _SCALED)
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        small = model.geom_size[geom, 0] < _SMALL
        return (*_ball(stretched=False, segments=_SMALL_SEGMENTS if small else _SEGMENTS), _SPHERE)
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return (*_ball(stretched=False), _SCALED)
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return (*_ball(stretched=True), _CAPSULE)
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return (*_cylinder(), _CYLINDER)
    raise ConfigurationError(f"the rasteriser cannot draw geom '{model.geom(geom).name}' of type {kind.name}.")


def _mesh(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """A mesh with its authored normals; one more than 37 degrees off its face is unusable, as in MuJoCo's renderer."""
    vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
    corners = model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    indices = model.mesh_facenormal[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    normals = model.mesh_normal[model.mesh_normaladr[mesh] :][: model.mesh_normalnum[mesh]][indices]
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-12)
    usable = np.einsum("tkx,tx->tk", normals, faces) >= 0.8
    normals = np.where(usable[..., None], normals, faces[:, None])
    return _with_half(vertices), corners, normals, _FIXED


def _with_half(vertices: np.ndarray, half: np.ndarray | float = 0.0) -> np.ndarray:
    return np.concatenate([vertices, np.broadcast_to(np.reshape(half, (-1, 1)), (len(vertices), 1))], axis=1)


def _box() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cube from -1 to 1: six faces of two triangles."""
    vertices, corners, normals = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            u, v = np.roll(np.eye(3), axis, axis=1)[1], np.roll(np.eye(3), axis, axis=1)[2]
            v = v * sign  # keeps the four corners counter-clockwise from outside on both sides
            start = len(vertices)
            vertices += [normal - u - v, normal + u - v, normal + u + v, normal - u + v]
            corners += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
            normals += [[normal] * 3] * 2
    return _with_half(np.array(vertices)), np.array(corners), np.array(normals)


def _ball(*, stretched: bool, segments: int = _SEGMENTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The unit sphere by latitude and longitude; stretched, its equator is doubled so that a capsule can part there."""
    rings = segments // 2
    latitudes = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    halves = np.sign(latitudes)
    if stretched:
        middle = rings // 2
        latitudes = np.insert(latitudes, middle, 0.0)
        halves = np.concatenate([-np.ones(middle + 1), np.ones(len(latitudes) - middle - 1)])
    longitudes = np.arange(segments) * 2 * np.pi / segments
    lat, lon = np.meshgrid(latitudes, longitudes, indexing="ij")
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1).reshape(-1, 3)
    corners = _strips(len(latitudes), closed=True, segments=segments)
    # The last and first strip are degenerate on one side: their empty triangles go.
    a, b, c = (points[corners[:, k]] for k in range(3))
    apart = (np.linalg.norm(a - b, axis=1) > 1e-9) & (np.linalg.norm(b - c, axis=1) > 1e-9)
    apart &= np.linalg.norm(a - c, axis=1) > 1e-9
    if stretched:
        apart |= np.ptp(np.repeat(halves, segments)[corners], axis=1) > 0
    corners = corners[apart]
    return _with_half(points, np.repeat(halves, segments)), corners, points[corners]


def _cylinder() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cylinder of radius 1 and half length 1: a round side and two flat ends."""
    angles = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    points = np.concatenate([circle - up, circle + up, [-up, up]])
    side = _strips(2, closed=True)
    around = np.arange(_SEGMENTS)
    following = (around + 1) % _SEGMENTS
    below = np.stack([np.full(_SEGMENTS, 2 * _SEGMENTS), following, around], axis=1)
    above = np.stack([np.full(_SEGMENTS, 2 * _SEGMENTS + 1), around + _SEGMENTS, following + _SEGMENTS], axis=1)
    radial = np.concatenate([circle, circle])[side]
    ends = np.concatenate([np.broadcast_to(-up, (_SEGMENTS, 3, 3)), np.broadcast_to(up, (_SEGMENTS, 3, 3))])
    return _with_half(points), np.concatenate([side, below, above]), np.concatenate([radial, ends])


def _strips(rings: int, *, closed: bool, segments: int = _SEGMENTS) -> np.ndarray:
    """Two triangles for each quad between neighbouring rings of ``segments`` points, counter-clockwise from outside."""
    triangles = []
    for ring in range(rings - 1):
        for k in range(segments if closed else segments - 1):
            a, b = ring * segments + k, ring * segments + (k + 1) % segments
            triangles += [[a, b, b + segments], [a, b + segments, a + segments]]
    return np.array(triangles)
