"""Finds the surface that each pixel sees and its depth, the first step of the rasteriser.

The camera's frame has x to the right, y up, and looks along -z. The ray of a pixel is d = (x, y, -1), where x depends on
the column alone and y on the row alone, both linearly, so that the point at depth t [m] is t d. All kernels compute the
inverse depth i = 1 / t, in which a plane is linear on the screen: for a plane n . p = k, n . d = k i.

A convex shape is an intersection of parts. A ray from outside enters the shape where it has entered all parts, if it has
left none before: min of their i at entry >= max of their i at exit. The parts of a box are slabs between two planes; the
parts of a cylinder are an infinite tube and a slab. With e the eye in the shape's own frame, scaled to radius 1, the sphere
|t d + e| = 1 reads c i^2 + 2 b i + a = 0 with a = d . d, b = d . e, c = e . e - 1, which needs no division at a pixel.
"""

from __future__ import annotations

import numpy as np

from handful.simulation.rendering.kernel import HALF, NEAR, NEVER, ONE, ZERO, compiled
from handful.simulation.rendering.shapes import BOX, CAPSULE, CYLINDER, MESH, SPHERE
from handful.simulation.rendering.triangles import fill, project, select

CURVED = 3
"""Surface 4 slot + k of a primitive is flat with the normal along axis k for k = 0, 1, 2, and curved for k = 3."""


@compiled
def find_surfaces(env, geoms, camera, shapes, scratch):
    """Write the inverse depth and the surface of every pixel."""
    geom_xpos, geom_xmat, geom_size, geom_rgba, mat_rgba = geoms
    cam_xpos, cam_xmat, cam_fovy = camera
    geom_of, kind_of, materials, bounds, vertex_start, triangle_start, vertices, corners, faces, normals, slot_of = (
        shapes
    )
    inverse_depth, surface, ray_x, ray_y, poses, colors, projected, chosen, planes, strip, bytes_ = scratch
    height, width = inverse_depth.shape
    focal = np.float32(0.5 * height / np.tan(0.5 * np.deg2rad(cam_fovy[env])))
    for row in range(height):
        for column in range(width):
            ray_x[row, column] = (np.float32(np.int32(column)) + HALF - HALF * np.float32(width)) / focal
            ray_y[row, column] = (HALF * np.float32(height) - HALF - np.float32(row)) / focal
    inverse_depth[:] = ONE / NEVER
    surface[:] = -1
    for slot in range(len(geom_of)):
        geom, kind = geom_of[slot], kind_of[slot]
        rgba = geom_rgba[env, geom]
        if materials[slot] >= 0 and _is_default(rgba):
            rgba = mat_rgba[env, materials[slot]]
        if rgba[3] == 0.0:
            continue
        for k in range(3):
            colors[slot, k] = rgba[k]
        pose = poses[slot]
        _pose(geom_xpos[env, geom], geom_xmat[env, geom], cam_xpos[env], cam_xmat[env], pose)
        rx, ry, rz = _extents(kind, geom_size[env, geom])
        if not np.isfinite(pose.sum() + rx + ry + rz):  # diverged physics must not lead to pixels outside the image
            continue
        window = _window(pose, kind, rx, ry, rz, bounds[slot], focal, width, height)
        if window[0] > window[1] or window[2] > window[3]:
            continue
        if kind == MESH:
            project(vertices, vertex_start[slot], vertex_start[slot + 1], pose, focal, width, height, projected)
            start, stop, first = triangle_start[slot], triangle_start[slot + 1], 4 * len(geom_of)
            whole = window[0] == 0 and window[1] == width - 1
            count = select(start, stop, pose, corners, faces, projected, whole, chosen)
            fill(chosen, count, corners, projected, whole, ray_x, ray_y, first, planes, inverse_depth, surface)
        elif kind == BOX:
            _cast_box(4 * slot, pose, rx, ry, rz, window, ray_x, ray_y, inverse_depth, surface)
        elif kind == CYLINDER:
            _cast_cylinder(4 * slot, 2, pose, rx, rz, window, ray_x, ray_y, inverse_depth, surface)
        elif kind == CAPSULE:
            _cast_cylinder(4 * slot, CURVED, pose, rx, rz, window, ray_x, ray_y, inverse_depth, surface)
            _cast_ellipsoid(4 * slot, pose, rx, rx, rx, -rz, window, ray_x, ray_y, inverse_depth, surface)
            _cast_ellipsoid(4 * slot, pose, rx, rx, rx, rz, window, ray_x, ray_y, inverse_depth, surface)
        else:
            _cast_ellipsoid(4 * slot, pose, rx, ry, rz, ZERO, window, ray_x, ray_y, inverse_depth, surface)


@compiled
def _is_default(rgba):
    """Whether a colour is MuJoCo's default, with which a geom takes the colour of its material."""
    return rgba[0] == 0.5 and rgba[1] == 0.5 and rgba[2] == 0.5 and rgba[3] == 1.0


@compiled
def _pose(geom_xpos, geom_xmat, cam_xpos, cam_xmat, pose):
    """Write a geom's rotation and position [m] in the camera's frame, and the eye in the geom's [m]; ``pose`` [5, 3]."""
    for row in range(3):
        for column in range(3):
            total = 0.0
            for k in range(3):
                total += cam_xmat[3 * k + row] * geom_xmat[3 * k + column]
            pose[row, column] = total
    for row in range(3):
        place, eye = 0.0, 0.0
        for k in range(3):
            offset = geom_xpos[k] - cam_xpos[k]
            place += cam_xmat[3 * k + row] * offset
            eye -= geom_xmat[3 * k + row] * offset
        pose[3, row] = place
        pose[4, row] = eye


@compiled
def _extents(kind, size):
    """Radii or half sizes of a primitive along its axes [m]; a capsule's half size along z is that of its tube."""
    x, y, z = np.float32(size[0]), np.float32(size[1]), np.float32(size[2])
    if kind == SPHERE:
        return x, x, x
    if kind in (CYLINDER, CAPSULE):
        return x, x, y
    return x, y, z


@compiled
def _window(pose, kind, hx, hy, hz, bounds, focal, width, height):
    """First and last column and row that a shape may cover, from the projected corners of its bounding box.

    They span the whole image if the box reaches behind the eye.
    """
    mx, my, mz = ZERO, ZERO, ZERO
    if kind == MESH:
        mx, my, mz = bounds[0, 0], bounds[0, 1], bounds[0, 2]
        hx, hy, hz = bounds[1, 0], bounds[1, 1], bounds[1, 2]
    elif kind == CAPSULE:
        hz += hx
    cx = pose[0, 0] * mx + pose[0, 1] * my + pose[0, 2] * mz + pose[3, 0]
    cy = pose[1, 0] * mx + pose[1, 1] * my + pose[1, 2] * mz + pose[3, 1]
    cz = pose[2, 0] * mx + pose[2, 1] * my + pose[2, 2] * mz + pose[3, 2]
    reach = abs(pose[2, 0]) * hx + abs(pose[2, 1]) * hy + abs(pose[2, 2]) * hz
    if -cz + reach < NEAR:
        return 0, -1, 0, -1
    if -cz - reach < NEAR:
        return 0, width - 1, 0, height - 1
    left, right = np.float32(width), -ONE
    top, bottom = np.float32(height), -ONE
    middle_x, middle_y = HALF * np.float32(width) - HALF, HALF * np.float32(height) - HALF
    for corner in range(8):
        x = hx if corner & 1 else -hx
        y = hy if corner & 2 else -hy
        z = hz if corner & 4 else -hz
        scale = -focal / (pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + cz)
        column = middle_x + (pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + cx) * scale
        row = middle_y - (pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + cy) * scale
        left, right = min(left, column), max(right, column)
        top, bottom = min(top, row), max(bottom, row)
    left, right = max(left, ZERO), min(right, np.float32(width) - ONE)
    top, bottom = max(top, ZERO), min(bottom, np.float32(height) - ONE)
    return int(np.ceil(left)), int(np.floor(right)), int(np.ceil(top)), int(np.floor(bottom))


@compiled
def _slab(eye, half):
    """Factors of d, and a constant for the entry, that give the inverse depths at which rays enter and leave a slab.

    The slab lies between -half and half on one axis.
    """
    if abs(eye) > half:
        near = half if eye > ZERO else -half
        return ONE / (near - eye), ZERO, ONE / (-near - eye), ONE / (-near - eye)
    return ZERO, NEVER, ONE / max(half - eye, ONE / NEVER), -ONE / max(half + eye, ONE / NEVER)


@compiled
def _cast_box(first, pose, hx, hy, hz, window, ray_x, ray_y, inverse_depth, surface):
    """Draw a box of half sizes h, the intersection of three slabs."""
    near_x, from_x, far_x, back_x = _slab(pose[4, 0], hx)
    near_y, from_y, far_y, back_y = _slab(pose[4, 1], hy)
    near_z, from_z, far_z, back_z = _slab(pose[4, 2], hz)
    turn_x, turn_y, turn_z = pose[0, 0], pose[0, 1], pose[0, 2]
    left, right, top, bottom = window
    rays = ray_x[0, left : right + 1]
    for row in range(top, bottom + 1):
        y = ray_y[row, 0]
        row_x, row_y, row_z = (pose[1, 0] * y - pose[2, 0], pose[1, 1] * y - pose[2, 1], pose[1, 2] * y - pose[2, 2])
        depths, surfaces = inverse_depth[row, left : right + 1], surface[row, left : right + 1]
        for column in range(len(depths)):
            x = rays[column]
            dx, dy, dz = row_x + turn_x * x, row_y + turn_y * x, row_z + turn_z * x
            enter_x, enter_y, enter_z = dx * near_x + from_x, dy * near_y + from_y, dz * near_z + from_z
            enter = min(min(enter_x, enter_y), enter_z)
            leave = max(max(dx * far_x, dx * back_x), max(dy * far_y, dy * back_y))
            leave = max(leave, max(dz * far_z, dz * back_z))
            before = depths[column]
            hit = (enter >= leave) & (enter > before) & (enter * NEAR < ONE)
            face = first if enter == enter_x else first + 1 if enter == enter_y else first + 2
            depths[column] = enter if hit else before
            surfaces[column] = face if hit else surfaces[column]


@compiled
def _cast_cylinder(first, cap, pose, radius, half, window, ray_x, ray_y, inverse_depth, surface):
    """Draw a cylinder along z, the intersection of a tube and a slab; ``cap`` is the surface of its ends."""
    near_z, from_z, far_z, back_z = _slab(pose[4, 2], half)
    scale = ONE / radius
    ex, ey = pose[4, 0] * scale, pose[4, 1] * scale
    c = ex * ex + ey * ey - ONE
    inverse_c = ONE / c if abs(c) > ONE / NEVER else NEVER
    near_c, from_c = (inverse_c, ZERO) if c > ZERO else (ZERO, NEVER)
    turn_x, turn_y, turn_z = pose[0, 0] * scale, pose[0, 1] * scale, pose[0, 2]
    left, right, top, bottom = window
    rays = ray_x[0, left : right + 1]
    for row in range(top, bottom + 1):
        y = ray_y[row, 0]
        row_x, row_y = (pose[1, 0] * y - pose[2, 0]) * scale, (pose[1, 1] * y - pose[2, 1]) * scale
        row_z = pose[1, 2] * y - pose[2, 2]
        depths, surfaces = inverse_depth[row, left : right + 1], surface[row, left : right + 1]
        for column in range(len(depths)):
            x = rays[column]
            dx, dy, dz = row_x + turn_x * x, row_y + turn_y * x, row_z + turn_z * x
            b = dx * ex + dy * ey
            discriminant = b * b - c * (dx * dx + dy * dy)
            root = np.sqrt(max(discriminant, ZERO))
            enter_side, enter_cap = (root - b) * near_c + from_c, dz * near_z + from_z
            enter = min(enter_side, enter_cap)
            leave = max((-root - b) * inverse_c, max(dz * far_z, dz * back_z))
            before = depths[column]
            hit = (discriminant >= ZERO) & (enter >= leave) & (enter > before) & (enter * NEAR < ONE)
            depths[column] = enter if hit else before
            face = first + CURVED if enter == enter_side else first + cap
            surfaces[column] = face if hit else surfaces[column]


@compiled
def _cast_ellipsoid(first, pose, rx, ry, rz, along, window, ray_x, ray_y, inverse_depth, surface):
    """Draw an ellipsoid of radii r, moved by ``along`` on its geom's z axis."""
    sx, sy, sz = ONE / rx, ONE / ry, ONE / rz
    ex, ey, ez = pose[4, 0] * sx, pose[4, 1] * sy, (pose[4, 2] - along) * sz
    c = ex * ex + ey * ey + ez * ez - ONE
    if c <= ZERO:
        return
    inverse_c = ONE / c
    turn_x, turn_y, turn_z = pose[0, 0] * sx, pose[0, 1] * sy, pose[0, 2] * sz
    left, right, top, bottom = window
    rays = ray_x[0, left : right + 1]
    for row in range(top, bottom + 1):
        y = ray_y[row, 0]
        row_x, row_y = (pose[1, 0] * y - pose[2, 0]) * sx, (pose[1, 1] * y - pose[2, 1]) * sy
        row_z = (pose[1, 2] * y - pose[2, 2]) * sz
        depths, surfaces = inverse_depth[row, left : right + 1], surface[row, left : right + 1]
        for column in range(len(depths)):
            x = rays[column]
            dx, dy, dz = row_x + turn_x * x, row_y + turn_y * x, row_z + turn_z * x
            b = dx * ex + dy * ey + dz * ez
            discriminant = b * b - c * (dx * dx + dy * dy + dz * dz)
            enter = (np.sqrt(max(discriminant, ZERO)) - b) * inverse_c
            before = depths[column]
            hit = (discriminant >= ZERO) & (enter > before) & (enter * NEAR < ONE)
            depths[column] = enter if hit else before
            surfaces[column] = first + CURVED if hit else surfaces[column]
