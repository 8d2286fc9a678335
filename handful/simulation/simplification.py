"""Simplifies meshes for cameras that see them at a few pixels."""

from __future__ import annotations

import fast_simplification
import mujoco
import numpy as np

FACES_PER_MESH = 80
"""Triangles of a simplified mesh."""

FACES_PER_HULL = 40
"""Triangles of a simplified convex hull."""

HULL_DEPTH = 0.004
"""A mesh is drawn as its convex hull if all of its vertices are less than this below the hull [m]. It is half the size of a
pixel of the 64 x 64 image at the workspace, which is 8 mm. The arm's fingers are such meshes: an image of this size shows
none of their hollows and holes. Edge collapse does not work for a finger tip: it keeps 232 triangles, whatever the target,
and the result is 10 mm too short."""

_UNITS_PER_METRE = 1000.0
"""Edge collapse runs in millimetres, since the thresholds of `fast_simplification` are absolute: in metres its first pass
already accepts errors of a millimetre, in any order. Largest distance of the original vertices from 100 triangles, in metres
and in millimetres: wrist 10.0 and 2.8 mm, forearm 6.4 and 4.7 mm, first link 7.9 and 4.7 mm."""


def simplified_mesh(model: mujoco.MjModel, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [v, 3], in the frame of the mesh's file [m], and faces [f, 3] of a simplified mesh.

    Silhouettes stay within a pixel of the 64 x 64 image. The meshes of the arm have 879 triangles instead of 13,000.
    """
    mesh = model.mesh(name).id
    vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]].astype(np.float64)
    faces = model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    num_faces = FACES_PER_MESH
    hull = _hull_faces(model, mesh)
    if hull is not None and _depth_below(hull, vertices) < HULL_DEPTH:
        corners, hull = np.unique(hull, return_inverse=True)
        vertices, faces, num_faces = vertices[corners], hull.reshape(-1, 3), FACES_PER_HULL
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.mesh_quat[mesh])
    # The compiler has moved the mesh to its inertia frame.
    in_file = vertices @ rotation.reshape(3, 3).T + model.mesh_pos[mesh]
    simple, simple_faces, *_ = fast_simplification.simplify(
        (in_file * _UNITS_PER_METRE).astype(np.float32), faces.astype(np.int32), target_count=min(num_faces, len(faces))
    )
    return simple.astype(np.float64) / _UNITS_PER_METRE, simple_faces.astype(np.int32)


def _hull_faces(model: mujoco.MjModel, mesh: int) -> np.ndarray | None:
    """Faces [f, 3] of a mesh's convex hull, counter-clockwise from outside; None if the compiler made none.

    ``mesh_graph`` stores counts v and f, v addresses of edges, v vertex numbers, v + 3 f edges and 3 f corners.
    """
    start = model.mesh_graphadr[mesh]
    if start < 0:
        return None
    graph = model.mesh_graph[start:]
    num_vertices, num_faces = graph[:2]
    return graph[2 + 3 * num_vertices + 3 * num_faces :][: 3 * num_faces].reshape(-1, 3)


def _depth_below(hull: np.ndarray, vertices: np.ndarray) -> float:
    """Distance [m] from the surface of a hull to the vertex deepest inside it."""
    a, b, c = (vertices[hull[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return float(((normals * a).sum(axis=1) - vertices @ normals.T).min(axis=1).max())
