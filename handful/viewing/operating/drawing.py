"""What a browser needs to draw a simulation: triangles of every visible shape once, and their poses at every step."""

from __future__ import annotations

import base64
from typing import Any

import mujoco
import numpy as np
import trimesh

from handful.simulation.arm import VISUAL_GROUP
from handful.simulation.physics.protocol import Physics

POSES, PICTURE = b"\x01", b"\x02"
"""First bytes of the binary messages: poses of all shapes, and the camera's picture as JPEG."""


def visible_geoms(model: mujoco.MjModel) -> list[int]:
    """The geoms that are drawn."""
    shown = [g for g in range(model.ngeom) if model.geom_group[g] <= VISUAL_GROUP and _color(model, g)[3] > 0.0]
    return [g for g in shown if _mesh(model, g) is not None]


def scene_of(physics: Physics) -> list[dict[str, Any]]:
    """Shapes of the first simulation in the order of `visible_geoms`: triangles (float32, base64), colour and body.

    The triangles are corners and normals, six numbers each, in the shape's own frame [m].
    """
    model = physics.model_of(0)
    shapes = []
    for geom in visible_geoms(model):
        mesh = _mesh(model, geom)
        assert mesh is not None
        corners = mesh.triangles.reshape(-1, 3)
        normals = np.repeat(mesh.face_normals, 3, axis=0)
        data = np.concatenate([corners, normals], axis=1).astype("<f4")
        triangles = base64.b64encode(data.tobytes()).decode()
        name = model.body(model.geom_bodyid[geom]).name
        shapes.append({"triangles": triangles, "color": _color(model, geom)[:3].tolist(), "body": name})
    return shapes


def poses_of(physics: Physics, geoms: list[int]) -> bytes:
    """The message with position [m] and rotation of each geom in the first simulation, twelve float32 each."""
    place, rotation = physics.geom_xpos[0, geoms], physics.geom_xmat[0, geoms].reshape(-1, 9)
    return POSES + np.concatenate([place, rotation], axis=1).astype("<f4").tobytes()


def _color(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Red, green, blue and opacity, of the geom or of its material."""
    rgba, material = model.geom_rgba[geom], model.geom_matid[geom]
    if material >= 0 and np.array_equal(rgba, np.array([0.5, 0.5, 0.5, 1.0], np.float32)):
        return model.mat_rgba[material]
    return rgba


def _mesh(model: mujoco.MjModel, geom: int) -> trimesh.Trimesh | None:
    """The triangles of a geom in its own frame; None for a kind that is not drawn."""
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    types = mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return trimesh.creation.box(2.0 * size)
    if kind == types.mjGEOM_SPHERE:
        return trimesh.creation.icosphere(subdivisions=1, radius=float(size[0]))
    if kind == types.mjGEOM_ELLIPSOID:
        return trimesh.creation.icosphere(subdivisions=2).apply_transform(np.diag([*size, 1.0]))
    if kind == types.mjGEOM_CYLINDER:
        return trimesh.creation.cylinder(radius=float(size[0]), height=2.0 * float(size[1]), sections=20)
    if kind == types.mjGEOM_CAPSULE:
        capsule = trimesh.creation.capsule(height=2.0 * float(size[1]), radius=float(size[0]), count=[12, 12])
        return capsule.apply_translation(-capsule.bounds.mean(axis=0))
    if kind == types.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
        faces = model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
        return trimesh.Trimesh(vertices, faces, process=False)
    return None
