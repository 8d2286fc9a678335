"""Pictures of many worlds on the CPU, by rasterising triangles; the same picture as the ray caster's, much sooner.

A frame of 64 x 64 pixels sees a few thousand triangles, so transforming each vertex once and filling a depth buffer beats
casting 4,096 rays through trees. Every thread works on whole worlds: transform and project the vertices, drop back faces,
clip at the near plane, fill depth and triangle index, then light each pixel once with the lamp and the headlight as MuJoCo
does (Lambert, no attenuation). The scene asks for no shadows, specular light or textures.
"""

from __future__ import annotations

import concurrent.futures
import os
from typing import TYPE_CHECKING

import mujoco
import numba
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.triangles import TriangleScene, build_triangles

if TYPE_CHECKING:
    from handful.simulation.cpu import BatchPhysics

_NEAR = 0.01
"""Nearest depth that is drawn [m]."""

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc"})
"""How the kernels are compiled. Reordering sums is allowed, assuming finite numbers is not; same machine, same bits."""

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
"""A bare 1.0 in a kernel is a double and makes its whole expression one."""

_WORLDS_PER_CHUNK = 4
"""Worlds that a thread takes at a time."""


class Rasterizer:
    """Draws images of the simulations of a batch; see `handful.simulation.raycaster.RayCaster` for the same by rays."""

    def __init__(
        self, physics: BatchPhysics, *, width: int = 64, height: int = 64, num_threads: int | None = None
    ) -> None:
        """Prepare the triangles; the first time on a machine, Numba compiles the kernel (some seconds, then cached).

        Args:
            physics: The simulations to look at.
            width: Image width [px].
            height: Image height [px].
            num_threads: Threads that draw; None takes every core.

        Raises:
            ConfigurationError: the model has a light that is neither a point nor a directional light.
        """
        self.width, self.height = width, height
        self._physics = physics
        model = physics.model
        kinds = (mujoco.mjtLightType.mjLIGHT_POINT, mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        if not np.isin(model.light_type, [int(kind) for kind in kinds]).all():
            raise ConfigurationError("the rasteriser draws point and directional lights only.")
        self._triangles = build_triangles(model)
        self._camera = model.camera(scene.CAMERA).id
        self._directional = model.light_type == int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        headlight = model.vis.headlight
        self._headlight = np.stack([headlight.ambient, headlight.diffuse]).astype(np.float32) * np.float32(
            headlight.active
        )
        self._fields = {
            name: physics.field(name) for name in ("geom_size", "geom_rgba", "mat_rgba", "light_diffuse", "cam_fovy")
        }
        num_threads = min(num_threads or os.cpu_count() or 1, physics.num_envs)
        self._scratch = [_Scratch(self._triangles, width, height) for _ in range(num_threads)]
        self._threads = concurrent.futures.ThreadPoolExecutor(num_threads) if num_threads > 1 else None

    def render(self, ids: np.ndarray, out: np.ndarray) -> None:
        """Draw the simulations ``ids`` into the rows ``ids`` of ``out``, uint8 [env, height, width, 3]."""
        ids = np.asarray(ids, np.int64)
        num_threads = len(self._scratch)
        if self._threads is None or len(ids) <= _WORLDS_PER_CHUNK:
            self._draw(self._scratch[0], ids, out)
            return
        shares = [
            self._threads.submit(self._draw, scratch, ids[k::num_threads], out)
            for k, scratch in enumerate(self._scratch)
        ]
        for share in shares:
            share.result()

    def close(self) -> None:
        """Stop the threads."""
        if self._threads is not None:
            self._threads.shutdown()

    def _draw(self, scratch: _Scratch, ids: np.ndarray, out: np.ndarray) -> None:
        physics, triangles, fields = self._physics, self._triangles, self._fields
        _draw_worlds(
            ids,
            out,
            (physics.geom_xpos, physics.geom_xmat, fields["geom_size"], fields["geom_rgba"], fields["mat_rgba"]),
            (physics.cam_xpos[:, self._camera], physics.cam_xmat[:, self._camera], fields["cam_fovy"][:, self._camera]),
            (physics.light_xpos, physics.light_xdir, fields["light_diffuse"], self._directional, self._headlight),
            triangles.arrays(),
            scratch.arrays(),
        )


class _Scratch:
    """One thread's buffers."""

    def __init__(self, triangles: TriangleScene, width: int, height: int) -> None:
        self.vertices = np.empty((len(triangles.vertices), 3), np.float32)
        self.inverse_depth = np.empty((height, width), np.float32)
        self.triangle = np.empty((height, width), np.int32)
        self.rotations = np.empty((len(triangles.geoms), 3, 3), np.float32)
        self.colors = np.empty((len(triangles.geoms), 3), np.float32)

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.vertices, self.inverse_depth, self.triangle, self.rotations, self.colors


@_compiled
def _draw_worlds(ids, out, geoms, camera, lights, triangles, scratch):
    for world in ids:
        _draw_world(world, out[world], geoms, camera, lights, triangles, scratch)


@_compiled
def _draw_world(world, image, geoms, camera, lights, triangles, scratch):
    """Fill depth and triangle index, then light every pixel. Camera frame: x right, y up, looking along -z."""
    geom_xpos, geom_xmat, geom_size, geom_rgba, mat_rgba = geoms
    cam_xpos, cam_xmat, cam_fovy = camera
    base, geom_of, kind_of, material_of, vertex_start, triangle_start, corners, normals, flat, slot_of = triangles
    vertices, inverse_depth, index, rotations, colors = scratch
    height, width = inverse_depth.shape
    view = cam_xmat[world].reshape(3, 3).T.astype(np.float32)
    origin = cam_xpos[world]
    focal = np.float32(0.5 * height / np.tan(0.5 * np.deg2rad(cam_fovy[world])))
    offset = np.empty(3, np.float32)
    inverse_depth[:] = 0.0
    index[:] = -1
    for slot in range(len(geom_of)):
        geom = geom_of[slot]
        rgba = geom_rgba[world, geom]
        if material_of[slot] >= 0 and _is_default(rgba):
            rgba = mat_rgba[world, material_of[slot]]
        if rgba[3] == 0.0:
            continue
        for k in range(3):
            colors[slot, k] = rgba[k]
        rotation = rotations[slot]
        for row in range(3):
            for column in range(3):
                total = _ZERO
                for k in range(3):
                    total += view[row, k] * np.float32(geom_xmat[world, geom, 3 * k + column])
                rotation[row, column] = total
            total = _ZERO
            for k in range(3):
                total += view[row, k] * np.float32(geom_xpos[world, geom, k] - origin[k])
            offset[row] = total
        size = geom_size[world, geom]
        _transform(vertices, base, vertex_start[slot], vertex_start[slot + 1], rotation, offset, size, kind_of[slot])
        _fill(triangle_start[slot], triangle_start[slot + 1], corners, vertices, focal, inverse_depth, index)
    _shade(world, image, geom_size, view, origin, focal, lights, triangles, scratch)


@_compiled
def _is_default(rgba):
    """MuJoCo's default colour: the geom takes its material's."""
    return rgba[0] == 0.5 and rgba[1] == 0.5 and rgba[2] == 0.5 and rgba[3] == 1.0


@_compiled
def _transform(vertices, base, start, stop, rotation, offset, size, kind):
    """Vertices of one geom from its unit shape to the camera frame [m]."""
    sx, sy, sz, cap = _ONE, _ONE, _ONE, _ZERO
    if kind == 1:  # scaled by three sizes: box, ellipsoid
        sx, sy, sz = np.float32(size[0]), np.float32(size[1]), np.float32(size[2])
    elif kind == 2:  # radius: sphere
        sx = sy = sz = np.float32(size[0])
    elif kind == 3:  # radius and half length: cylinder
        sx = sy = np.float32(size[0])
        sz = np.float32(size[1])
    elif kind == 4:  # radius and half length: capsule, its halves pushed apart
        sx = sy = sz = np.float32(size[0])
        cap = np.float32(size[1])
    for i in range(start, stop):
        x, y, z = base[i, 0] * sx, base[i, 1] * sy, base[i, 2] * sz + cap * base[i, 3]
        for k in range(3):
            vertices[i, k] = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z + offset[k]


@_compiled
def _fill(start, stop, corners, vertices, focal, inverse_depth, index):
    """Draw the triangles from ``start`` to ``stop``, each clipped at the near plane into at most two.

    One call for many triangles and one place that fills, since a call costs more than most of these triangles.
    """
    near = np.float32(_NEAR)
    polygon = np.empty((4, 3), np.float32)
    for triangle in range(start, stop):
        a, b, c = corners[triangle, 0], corners[triangle, 1], corners[triangle, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        bx, by, bz = vertices[b, 0], vertices[b, 1], vertices[b, 2]
        cx, cy, cz = vertices[c, 0], vertices[c, 1], vertices[c, 2]
        # A face is seen from the front where its normal, (b - a) x (c - a), points against the view of a.
        nx = (by - ay) * (cz - az) - (bz - az) * (cy - ay)
        ny = (bz - az) * (cx - ax) - (bx - ax) * (cz - az)
        nz = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if nx * ax + ny * ay + nz * az >= _ZERO:
            continue
        clipped = max(az, bz, cz) >= -near
        count = _clip(triangle, corners, vertices, near, polygon) if clipped else 3
        for k in range(1, count - 1):
            if clipped:
                ax, ay, az = polygon[0, 0], polygon[0, 1], polygon[0, 2]
                bx, by, bz = polygon[k, 0], polygon[k, 1], polygon[k, 2]
                cx, cy, cz = polygon[k + 1, 0], polygon[k + 1, 1], polygon[k + 1, 2]
            _fill_visible(triangle, ax, ay, -az, bx, by, -bz, cx, cy, -cz, focal, inverse_depth, index)


@_compiled
def _clip(triangle, corners, vertices, near, polygon):
    """Cut a triangle at the near plane into ``polygon`` [4, 3]; returns how many corners are left, 0, 3 or 4."""
    count = 0
    for k in range(3):
        p, q = corners[triangle, k], corners[triangle, (k + 1) % 3]
        inside, next_inside = vertices[p, 2] < -near, vertices[q, 2] < -near
        if inside:
            polygon[count] = vertices[p]
            count += 1
        if inside != next_inside:
            t = (-near - vertices[p, 2]) / (vertices[q, 2] - vertices[p, 2])
            for axis in range(3):
                polygon[count, axis] = vertices[p, axis] + t * (vertices[q, axis] - vertices[p, axis])
            count += 1
    return count


@_compiled
def _fill_visible(triangle, ax, ay, az, bx, by, bz, cx, cy, cz, focal, inverse_depth, index):
    """Draw a triangle in front of the camera; depths az, bz, cz > 0 [m]. 1 / depth is linear on the screen."""
    height, width = inverse_depth.shape
    middle_x, middle_y = np.float32(0.5 * width), np.float32(0.5 * height)
    ia, ib, ic = _ONE / az, _ONE / bz, _ONE / cz
    ux, uy = middle_x + focal * ax * ia, middle_y - focal * ay * ia
    vx, vy = middle_x + focal * bx * ib, middle_y - focal * by * ib
    wx, wy = middle_x + focal * cx * ic, middle_y - focal * cy * ic
    # Rows grow downwards, so that a front face, counter-clockwise in space, has a negative area here.
    area = (vx - ux) * (wy - uy) - (vy - uy) * (wx - ux)
    if area >= _ZERO:
        return
    half = np.float32(0.5)
    left = max(0, int(np.ceil(max(min(ux, vx, wx), _ZERO) - half)))
    right = min(width - 1, int(np.floor(min(max(ux, vx, wx), np.float32(width)) - half)))
    top = max(0, int(np.ceil(max(min(uy, vy, wy), _ZERO) - half)))
    bottom = min(height - 1, int(np.floor(min(max(uy, vy, wy), np.float32(height)) - half)))
    if left > right or top > bottom:
        return
    scale = _ONE / area
    # Barycentric weights of v and w, and 1 / depth, as linear functions of the pixel.
    v_dx, v_dy = (wy - uy) * scale, -(wx - ux) * scale
    w_dx, w_dy = -(vy - uy) * scale, (vx - ux) * scale
    d_dx = v_dx * (ib - ia) + w_dx * (ic - ia)
    start_x = np.float32(left) + half - ux
    for row in range(top, bottom + 1):
        dy = np.float32(row) + half - uy
        v = v_dx * start_x + v_dy * dy
        w = w_dx * start_x + w_dy * dy
        depth = ia + v * (ib - ia) + w * (ic - ia)
        for column in range(left, right + 1):
            if v >= _ZERO and w >= _ZERO and v + w <= _ONE and depth > inverse_depth[row, column]:
                inverse_depth[row, column] = depth
                index[row, column] = triangle
            v += v_dx
            w += w_dx
            depth += d_dx


@_compiled
def _shade(world, image, geom_size, view, origin, focal, lights, triangles, scratch):
    """Light every pixel: ambient + sum over lights of diffuse * max(0, n . l), times the colour of the geom."""
    light_xpos, light_xdir, light_diffuse, directional, headlight = lights
    base, geom_of, kind_of, material_of, vertex_start, triangle_start, corners, normals, flat, slot_of = triangles
    vertices, inverse_depth, index, rotations, colors = scratch
    height, width = inverse_depth.shape
    num_lights = len(directional)
    light = np.empty((num_lights, 3), np.float32)
    diffuse = light_diffuse[world].astype(np.float32)
    for k in range(num_lights):
        if directional[k]:
            light[k] = -np.dot(view, light_xdir[world, k].astype(np.float32))
        else:
            light[k] = np.dot(view, (light_xpos[world, k] - origin).astype(np.float32))
    for row in range(height):
        for column in range(width):
            triangle = index[row, column]
            if triangle < 0:
                image[row, column, 0] = image[row, column, 1] = image[row, column, 2] = 0
                continue
            slot = slot_of[triangle]
            depth = _ONE / inverse_depth[row, column]
            px = (np.float32(column) + np.float32(0.5 - 0.5 * width)) / focal * depth
            py = (np.float32(0.5 * height - 0.5) - np.float32(row)) / focal * depth
            pz = -depth
            nx, ny, nz = normals[triangle, 0, 0], normals[triangle, 0, 1], normals[triangle, 0, 2]
            if not flat[triangle]:
                nx, ny, nz = _interpolate_normal(triangle, corners, vertices, normals, px, py, pz)
            if kind_of[slot] == 1 and not flat[triangle]:  # an ellipsoid's normals turn with its sizes
                nx /= np.float32(geom_size[world, geom_of[slot], 0])
                ny /= np.float32(geom_size[world, geom_of[slot], 1])
                nz /= np.float32(geom_size[world, geom_of[slot], 2])
            mx = rotations[slot, 0, 0] * nx + rotations[slot, 0, 1] * ny + rotations[slot, 0, 2] * nz
            my = rotations[slot, 1, 0] * nx + rotations[slot, 1, 1] * ny + rotations[slot, 1, 2] * nz
            mz = rotations[slot, 2, 0] * nx + rotations[slot, 2, 1] * ny + rotations[slot, 2, 2] * nz
            norm = _ONE / np.sqrt(mx * mx + my * my + mz * mz)
            mx, my, mz = mx * norm, my * norm, mz * norm
            facing = max(mz, _ZERO)  # the headlight shines along the view
            red = headlight[0, 0] + headlight[1, 0] * facing
            green = headlight[0, 1] + headlight[1, 1] * facing
            blue = headlight[0, 2] + headlight[1, 2] * facing
            for k in range(num_lights):
                lx, ly, lz = light[k, 0], light[k, 1], light[k, 2]
                if not directional[k]:
                    lx, ly, lz = lx - px, ly - py, lz - pz
                cosine = (mx * lx + my * ly + mz * lz) / np.sqrt(lx * lx + ly * ly + lz * lz)
                if cosine > _ZERO:
                    red += diffuse[k, 0] * cosine
                    green += diffuse[k, 1] * cosine
                    blue += diffuse[k, 2] * cosine
            image[row, column, 0] = np.uint8(min(red * colors[slot, 0], _ONE) * np.float32(255.0))
            image[row, column, 1] = np.uint8(min(green * colors[slot, 1], _ONE) * np.float32(255.0))
            image[row, column, 2] = np.uint8(min(blue * colors[slot, 2], _ONE) * np.float32(255.0))


@_compiled
def _interpolate_normal(triangle, corners, vertices, normals, px, py, pz):
    """Normal in the geom's frame at the camera-frame point p of a triangle, by barycentric weights; not normalised."""
    a, b, c = corners[triangle, 0], corners[triangle, 1], corners[triangle, 2]
    ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    bx, by, bz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
    cx, cy, cz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
    dx, dy, dz = px - ax, py - ay, pz - az
    bb, bc, cc = bx * bx + by * by + bz * bz, bx * cx + by * cy + bz * cz, cx * cx + cy * cy + cz * cz
    db, dc = dx * bx + dy * by + dz * bz, dx * cx + dy * cy + dz * cz
    scale = _ONE / max(bb * cc - bc * bc, np.float32(1e-30))
    v = min(max((cc * db - bc * dc) * scale, _ZERO), _ONE)
    w = min(max((bb * dc - bc * db) * scale, _ZERO), _ONE - v)
    u = _ONE - v - w
    nx = u * normals[triangle, 0, 0] + v * normals[triangle, 1, 0] + w * normals[triangle, 2, 0]
    ny = u * normals[triangle, 0, 1] + v * normals[triangle, 1, 1] + w * normals[triangle, 2, 1]
    nz = u * normals[triangle, 0, 2] + v * normals[triangle, 1, 2] + w * normals[triangle, 2, 2]
    return nx, ny, nz
