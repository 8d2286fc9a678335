"""Lights the surfaces that the pixels see, the second step of the rasteriser.

The light is MuJoCo's, without shadows, specular light and textures, which the scene does not have:

    (ambient + sum over lamps and headlight of diffuse * max(0, n . l)) * colour,   without attenuation,

with the normal n and the direction l to the lamp at each pixel. Each pixel is lit once, after all surfaces are known.
"""

from __future__ import annotations

import numpy as np

from handful.simulation.rendering.kernel import LANES, ONE, ZERO, compiled
from handful.simulation.rendering.shapes import CAPSULE, CYLINDER, ELLIPSOID
from handful.simulation.rendering.surfaces import CURVED

PAINT = 4 * LANES
"""Pixels that `_paint` writes at a time."""

STRIP = 512
"""Pixels that are lit together: their normals, colours and light fit into the first-level cache."""


@compiled
def light_surfaces(env, image, geoms, camera, lights, shapes, scratch):
    """Write the lit image, strip by strip; the headlight is a lamp infinitely far behind the eye."""
    light_xpos, light_xdir, light_diffuse, directional, headlight = lights
    inverse_depth, surface, ray_x, ray_y, poses, colors, projected, chosen, planes, strip, bytes_ = scratch
    cam_xpos, cam_xmat, _ = camera
    pixels, depths = image.reshape(-1), inverse_depth.reshape(-1)
    rays_x, rays_y = ray_x.reshape(-1), ray_y.reshape(-1)
    normals, albedo, light, cosine = strip[:3], strip[3:6], strip[6:9], strip[9]
    for start in range(0, len(depths), STRIP):
        stop = min(start + STRIP, len(depths))
        rays = rays_x[start:stop], rays_y[start:stop], depths[start:stop]
        _find_normals(start, stop, env, geoms[2], shapes, scratch)
        _cosines(ZERO, ZERO, ONE, ZERO, rays, normals, cosine)
        for channel in range(3):
            light[channel] = headlight[0, channel]
            _add(light[channel], headlight[1, channel], cosine)
        for k in range(len(directional)):
            x, y, z = _to_lamp(k, cam_xpos[env], cam_xmat[env], light_xpos[env], light_xdir[env], directional)
            _cosines(x, y, z, ZERO if directional[k] else ONE, rays, normals, cosine)
            for channel in range(3):
                _add(light[channel], np.float32(light_diffuse[env, k, channel]), cosine)
        for channel in range(3):
            _shade(light[channel], albedo[channel], bytes_[channel])
        count = stop - start
        _interleave(bytes_[0, :count], bytes_[1, :count], bytes_[2, :count], pixels[3 * start : 3 * stop])


@compiled
def _to_lamp(k, cam_xpos, cam_xmat, light_xpos, light_xdir, directional):
    """Vector from the eye to a lamp in the camera's frame [m]; only its direction if the lamp is directional."""
    x, y, z = 0.0, 0.0, 0.0
    for axis in range(3):
        to = -light_xdir[k, axis] if directional[k] else light_xpos[k, axis] - cam_xpos[axis]
        x, y, z = x + cam_xmat[3 * axis] * to, y + cam_xmat[3 * axis + 1] * to, z + cam_xmat[3 * axis + 2] * to
    return np.float32(x), np.float32(y), np.float32(z)


@compiled
def _cosines(lx, ly, lz, nearness, rays, normals, cosine):
    """Write max(0, n . l) of each pixel, for normals n of any length; the lamp is at l [m] or in the direction l."""
    ray_x, ray_y, inverse_depth = rays
    normal_x, normal_y, normal_z = normals[0], normals[1], normals[2]
    for pixel in range(len(ray_x)):
        depth = nearness / inverse_depth[pixel]
        x, y, z = lx - ray_x[pixel] * depth, ly - ray_y[pixel] * depth, lz + depth
        nx, ny, nz = normal_x[pixel], normal_y[pixel], normal_z[pixel]
        squares = (nx * nx + ny * ny + nz * nz) * (x * x + y * y + z * z)
        cosine[pixel] = max((nx * x + ny * y + nz * z) / np.sqrt(squares), ZERO)


@compiled
def _add(light, diffuse, cosine):
    """Add one lamp's light in one channel."""
    for column in range(len(cosine)):
        light[column] += diffuse * cosine[column]


@compiled
def _shade(light, albedo, shade):
    """Light times colour in one channel, as bytes."""
    for column in range(len(shade)):
        shade[column] = np.uint8(np.int32(min(light[column] * albedo[column], ONE) * np.float32(255.0)))


@compiled
def _interleave(red, green, blue, pixels):
    """Write three channels as interleaved pixels."""
    for pixel in range(np.uint64(len(red))):  # unsigned, or each index is tested for counting from the end
        start = np.uint64(3) * pixel
        pixels[start] = red[pixel]
        pixels[start + np.uint64(1)] = green[pixel]
        pixels[start + np.uint64(2)] = blue[pixel]


@compiled
def _find_normals(start, stop, env, geom_size, shapes, scratch):
    """Write normals in the camera's frame, of any length, and colours of the pixels from ``start`` to ``stop``."""
    geom_of, kind_of, materials, bounds, vertex_start, triangle_start, vertices, corners, faces, normals, slot_of = (
        shapes
    )
    inverse_depth, surface, ray_x, ray_y, poses, colors, projected, chosen, planes, strip, bytes_ = scratch
    surfaces, depths = surface.reshape(-1)[start:stop], inverse_depth.reshape(-1)[start:stop]
    rays_x, rays_y = ray_x.reshape(-1)[start:stop], ray_y.reshape(-1)[start:stop]
    first = 4 * len(geom_of)
    end = 0
    while end < len(surfaces):
        begin, seen = end, surfaces[end]
        end += 1
        while end < len(surfaces) and surfaces[end] == seen:
            end += 1
        if seen < 0:
            _paint(strip, begin, end, (ZERO, ZERO, ONE, ZERO, ZERO, ZERO))
            continue
        slot = seen >> 2 if seen < first else slot_of[seen - first]
        pose, r, g, b = poses[slot], colors[slot, 0], colors[slot, 1], colors[slot, 2]
        if seen < first and seen & 3 != CURVED:
            axis = seen & 3
            sign = ONE if pose[4, axis] > ZERO else -ONE
            nx, ny, nz = sign * pose[0, axis], sign * pose[1, axis], sign * pose[2, axis]
            _paint(strip, begin, end, (nx, ny, nz, r, g, b))
            continue
        for pixel in range(begin, end):
            x, y, i = rays_x[pixel], rays_y[pixel], depths[pixel]
            if seen >= first:
                triangle = seen - first
                plane, normal = planes[triangle], normals[triangle]
                v = plane[0] * x + plane[1] * y - plane[2]
                w = plane[3] * x + plane[4] * y - plane[5]
                u = i - v - w
                nx = u * normal[0, 0] + v * normal[1, 0] + w * normal[2, 0]
                ny = u * normal[0, 1] + v * normal[1, 1] + w * normal[2, 1]
                nz = u * normal[0, 2] + v * normal[1, 2] + w * normal[2, 2]
            else:
                size = geom_size[env, geom_of[slot]]
                nx, ny, nz = _curved_normal(kind_of[slot], size, pose, x, y, ONE / i)
            strip[0, pixel] = pose[0, 0] * nx + pose[0, 1] * ny + pose[0, 2] * nz
            strip[1, pixel] = pose[1, 0] * nx + pose[1, 1] * ny + pose[1, 2] * nz
            strip[2, pixel] = pose[2, 0] * nx + pose[2, 1] * ny + pose[2, 2] * nz
            strip[3, pixel], strip[4, pixel], strip[5, pixel] = r, g, b


@compiled
def _paint(strip, start, stop, values):
    """Write one normal and colour for a run of pixels, rounded up to whole vectors; later runs overwrite the excess."""
    stop = start + (stop - start + PAINT - 1) // PAINT * PAINT
    for k in range(6):
        run, value = strip[k, start:stop], values[k]
        for pixel in range(len(run)):
            run[pixel] = value


@compiled
def _curved_normal(kind, size, pose, x, y, depth):
    """Normal, of any length, of a round shape in its own frame where the ray (x, y, -1) hits it at a depth."""
    px = pose[4, 0] + depth * (pose[0, 0] * x + pose[1, 0] * y - pose[2, 0])
    py = pose[4, 1] + depth * (pose[0, 1] * x + pose[1, 1] * y - pose[2, 1])
    pz = pose[4, 2] + depth * (pose[0, 2] * x + pose[1, 2] * y - pose[2, 2])
    if kind == ELLIPSOID:
        sx, sy, sz = np.float32(size[0]), np.float32(size[1]), np.float32(size[2])
        return px / (sx * sx), py / (sy * sy), pz / (sz * sz)
    if kind == CYLINDER:
        return px, py, ZERO
    if kind == CAPSULE:
        half = np.float32(size[1])
        return px, py, pz - min(max(pz, -half), half)
    return px, py, pz
