"""The visible geoms of a model in the arrays that the rasteriser draws from: triangles of meshes, and primitives."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

from handful.errors import ConfigurationError

VISIBLE_GROUPS = 3
"""Geom groups 0, 1 and 2 are drawn, as in MuJoCo's own renderer; collision shapes are in group 3."""

MESH, BOX, SPHERE, ELLIPSOID, CYLINDER, CAPSULE = range(6)
"""Kinds of shape, as the rasteriser's kernels number them."""

_KINDS = {
    mujoco.mjtGeom.mjGEOM_MESH: MESH,
    mujoco.mjtGeom.mjGEOM_BOX: BOX,
    mujoco.mjtGeom.mjGEOM_SPHERE: SPHERE,
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: ELLIPSOID,
    mujoco.mjtGeom.mjGEOM_CYLINDER: CYLINDER,
    mujoco.mjtGeom.mjGEOM_CAPSULE: CAPSULE,
}

_USABLE_NORMAL = 0.8
"""Cosine between a corner's normal and its face below which MuJoCo's renderer takes the face's normal instead."""


class Shapes(NamedTuple):
    """All visible geoms. Each has a slot; the triangles of a mesh are consecutive."""

    geoms: np.ndarray
    """Geom of each slot, int32 [slot]."""
    kinds: np.ndarray
    """Kind of each slot, int32 [slot]."""
    materials: np.ndarray
    """Material of each slot, or -1 for none; int32 [slot]."""
    bounds: np.ndarray
    """Centre and half sizes [m] of the bounding box of each mesh, in the geom's frame; float32 [slot, 2, 3]."""
    vertex_start: np.ndarray
    """First vertex of each slot, and the number of all vertices; int32 [slot + 1]."""
    triangle_start: np.ndarray
    """First triangle of each slot, and the number of all triangles; int32 [slot + 1]."""
    vertices: np.ndarray
    """Vertices [m] in their geom's frame, one coordinate in each row; float32 [3, vertex]."""
    corners: np.ndarray
    """Vertices of each triangle, counter-clockwise from outside, int32 [triangle, 3]."""
    faces: np.ndarray
    """Planes of the triangles in the geom's frame: a normal n of any length, and n . a; float32 [4, triangle]."""
    normals: np.ndarray
    """Normals at the corners in the geom's frame, float32 [triangle, 3, 3]."""
    slots: np.ndarray
    """Slot of each triangle, int32 [triangle]."""


def visible_shapes(model: mujoco.MjModel) -> Shapes:
    """Collect the geoms in the visible groups.

    Raises:
        ConfigurationError: a visible geom is of a type that the rasteriser does not draw (plane, height field).
    """
    visible = np.flatnonzero(model.geom_group < VISIBLE_GROUPS)
    meshes = [_triangles(model, int(geom)) for geom in visible]
    vertex_start = np.cumsum([0, *(len(vertices) for vertices, _, _ in meshes)])
    triangle_start = np.cumsum([0, *(len(corners) for _, corners, _ in meshes)])
    corners = [corners + start for (_, corners, _), start in zip(meshes, vertex_start[:-1], strict=True)]
    return Shapes(
        geoms=visible.astype(np.int32),
        kinds=np.array([_kind(model, int(geom)) for geom in visible], np.int32),
        materials=model.geom_matid[visible].astype(np.int32),
        bounds=np.stack([_bounds(vertices) for vertices, _, _ in meshes]).astype(np.float32),
        vertex_start=vertex_start.astype(np.int32),
        triangle_start=triangle_start.astype(np.int32),
        vertices=np.concatenate([vertices for vertices, _, _ in meshes]).T.astype(np.float32, order="C"),
        corners=np.concatenate(corners).astype(np.int32),
        faces=np.concatenate([_planes(vertices, corners) for vertices, corners, _ in meshes], axis=1).astype(
            np.float32
        ),
        normals=np.concatenate([normals for _, _, normals in meshes]).astype(np.float32),
        slots=np.repeat(np.arange(len(visible)), np.diff(triangle_start)).astype(np.int32),
    )


def _kind(model: mujoco.MjModel, geom: int) -> int:
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if kind not in _KINDS:
        raise ConfigurationError(f"the rasteriser cannot draw geom '{model.geom(geom).name}' of type {kind.name}.")
    return _KINDS[kind]


def _triangles(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [v, 3], corners [t, 3] and corner normals [t, 3, 3] of a mesh; empty for any other shape."""
    if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH:
        return np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros((0, 3, 3))
    mesh = model.geom_dataid[geom]
    vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
    corners = model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    indices = model.mesh_facenormal[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    normals = model.mesh_normal[model.mesh_normaladr[mesh] :][: model.mesh_normalnum[mesh]][indices]
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-12)
    usable = np.einsum("tkx,tx->tk", normals, faces) >= _USABLE_NORMAL
    return vertices, corners, np.where(usable[..., None], normals, faces[:, None])


def _planes(vertices: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Planes n . x = n . a of triangles a, b, c, [4, t]; a point x with n . x > n . a sees their front."""
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return np.concatenate([normals.T, (normals * a).sum(axis=1)[None]])


def _bounds(vertices: np.ndarray) -> np.ndarray:
    """Centre and half sizes of the bounding box of vertices, [2, 3]."""
    if not len(vertices):
        return np.zeros((2, 3))
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return np.stack([0.5 * (low + high), 0.5 * (high - low)])
