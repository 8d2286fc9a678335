"""Draws the triangles of meshes into inverse depth and surface; see `handful.simulation.rendering.surfaces`.

A triangle a, b, c seen along the ray d at depth t is t d = u a + v b + w c with u + v + w = 1. With the edges p = b - a and
q = c - a, the determinant k = a . (p x q) and i = 1 / t, Cramer's rule gives functions that are linear on the screen:

    i = d . (p x q) / k,    v i = d . (q x a) / k,    w i = d . (a x p) / k,    u i = i - v i - w i.

A pixel is inside where none of the last three is negative. This needs no projection, so triangles that reach behind the eye
need no clipping. Up to a common factor, the three are also the weights that interpolate normals correctly in perspective.
"""

from __future__ import annotations

import numpy as np

from handful.simulation.rendering.kernel import HALF, LANES, NEAR, ONE, ZERO, compiled


@compiled
def project(vertices, start, stop, pose, focal, width, height, projected):
    """Write vertices of one mesh in the camera's frame [m], and the next column and row; ``projected`` [5, vertex].

    If the column or the row is the same for its three corners, a triangle covers no pixel's centre.
    """
    middle_x, middle_y = HALF * np.float32(width) - HALF, HALF * np.float32(height) - HALF
    last_column, last_row = np.float32(width), np.float32(height)
    for i in range(start, stop):
        x, y, z = vertices[0, i], vertices[1, i], vertices[2, i]
        cx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[3, 0]
        cy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[3, 1]
        cz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[3, 2]
        scale = focal / max(-cz, NEAR)
        projected[0, i], projected[1, i], projected[2, i] = cx, cy, cz
        projected[3, i] = np.ceil(min(max(middle_x + cx * scale, ZERO), last_column))
        projected[4, i] = np.ceil(min(max(middle_y - cy * scale, ZERO), last_row))


@compiled
def select(start, stop, pose, corners, faces, projected, whole, chosen):
    """List the triangles from ``start`` to ``stop`` that face the eye and may cover a pixel; returns how many.

    It has no branches, since a processor cannot predict which way a triangle faces. If the mesh may cover the ``whole``
    image, it may reach behind the eye: then all triangles that face the eye are listed.
    """
    ex, ey, ez = pose[4, 0], pose[4, 1], pose[4, 2]
    facing = 0
    for triangle in range(start, stop):
        chosen[facing] = triangle
        facing += faces[0, triangle] * ex + faces[1, triangle] * ey + faces[2, triangle] * ez > faces[3, triangle]
    if whole:
        return facing
    count = 0
    for k in range(facing):
        a, b, c = corners[chosen[k], 0], corners[chosen[k], 1], corners[chosen[k], 2]
        ua, ub, uc = projected[3, a], projected[3, b], projected[3, c]
        va, vb, vc = projected[4, a], projected[4, b], projected[4, c]
        chosen[count] = chosen[k]
        count += (min(ua, ub, uc) < max(ua, ub, uc)) & (min(va, vb, vc) < max(va, vb, vc))
    return count


@compiled
def fill(chosen, count, corners, projected, whole, ray_x, ray_y, first, planes, inverse_depth, surface):
    """Draw the chosen triangles, and write the coefficients that interpolate their normals to ``planes``."""
    height, width = inverse_depth.shape
    for k in range(count):
        triangle = chosen[k]
        a, b, c = corners[triangle, 0], corners[triangle, 1], corners[triangle, 2]
        left, right, top, bottom = 0, width, 0, height
        if not whole:
            left = int(min(projected[3, a], projected[3, b], projected[3, c]))
            right = int(max(projected[3, a], projected[3, b], projected[3, c]))
            top = int(min(projected[4, a], projected[4, b], projected[4, c]))
            bottom = int(max(projected[4, a], projected[4, b], projected[4, c]))
        ax, ay, az = projected[0, a], projected[1, a], projected[2, a]
        px, py, pz = projected[0, b] - ax, projected[1, b] - ay, projected[2, b] - az
        qx, qy, qz = projected[0, c] - ax, projected[1, c] - ay, projected[2, c] - az
        nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
        determinant = nx * ax + ny * ay + nz * az
        if determinant >= ZERO:
            continue
        scale = ONE / determinant
        ix, iy, iz = nx * scale, ny * scale, nz * scale
        vx, vy, vz = (qy * az - qz * ay) * scale, (qz * ax - qx * az) * scale, (qx * ay - qy * ax) * scale
        wx, wy, wz = (ay * pz - az * py) * scale, (az * px - ax * pz) * scale, (ax * py - ay * px) * scale
        plane = planes[triangle]
        plane[0], plane[1], plane[2] = vx, vy, vz
        plane[3], plane[4], plane[5] = wx, wy, wz
        # Whole vectors of pixels: pixels beside the triangle fail the test, and a partial vector would cost more.
        wide = min((right - left + LANES - 1) // LANES * LANES, width)
        left = min(left, width - wide)
        rays = ray_x[0, left : left + wide]
        for row in range(top, bottom):
            y = ray_y[row, 0]
            row_i, row_v, row_w = iy * y - iz, vy * y - vz, wy * y - wz
            depths, surfaces = inverse_depth[row, left : left + wide], surface[row, left : left + wide]
            for column in range(wide):
                x = rays[column]
                i, v, w = row_i + ix * x, row_v + vx * x, row_w + wx * x
                before = depths[column]
                hit = (min(v, w, i - v - w) >= ZERO) & (i > before) & (i * NEAR < ONE)
                depths[column] = i if hit else before
                surfaces[column] = first + triangle if hit else surfaces[column]
