"""Where a real camera is: its pose and field of view from points that are known on the table and clicked in its picture.

A pinhole without distortion, with square pixels and its axis through the middle of the picture, as the simulation's. The fit
is a least squares of the distances in the picture, by SciPy, from many starts.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from handful.errors import ConfigurationError, DataError
from handful.storage import read_text

MIN_POINTS, MIN_POINTS_FOVY_KNOWN = 6, 4
"""Fewest points where the field of view is fitted too, and where it is given."""

MAX_ERROR = 0.05
"""Points that miss by more than this share of the picture's height, on average, belong to no camera."""

LEAST_SPREAD = 0.02
"""Points that lie within this of a line [m] determine no pose."""

LEAST_CERTAINTY = 1e-4
"""Smallest ratio of singular values of the fit (columns scaled to one length) at which it determines every number."""

NUM_FITS = 8
"""Starts from which a fit is tried: those that miss the least."""

START_FOVY = np.deg2rad(45.0)
"""Where the search for the field of view begins [rad]."""


@dataclasses.dataclass(frozen=True)
class CameraPose:
    """A camera in the world: base of the arm at the origin, table top at z = 0, x away from the base."""

    position: tuple[float, ...]
    """Where it is [m], [3]."""
    quaternion: tuple[float, ...]
    """Its orientation (wxyz), as MuJoCo's: it looks along -z, and y is up, [4]."""
    fovy_deg: float
    """Angle that the shorter side of the picture spans [deg]: of the square in its middle, which the policy sees."""
    width: int
    """Width of the picture that it was fitted to [px]."""
    height: int
    """Its height [px]."""
    error: float
    """Root of the mean squared distance between points and clicks [px]."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (column, row, from the upper left corner) of points [m], [point, 3]."""
        turn = Rotation.from_quat(self.quaternion, scalar_first=True)
        return _project(points, np.array(self.position), turn, np.deg2rad(self.fovy_deg), (self.width, self.height))

    def to_json(self) -> bytes:
        """A file's content."""
        return json.dumps({"format": "handful-camera-1", **dataclasses.asdict(self)}, indent=2).encode() + b"\n"


def read_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Clicks [px], [point, 2], and their places [m], [point, 3].

    JSON: a list of objects with ``pixel`` (column, row) and ``point`` (x, y, z). CSV: the columns u, v, x, y, z.

    Raises:
        ConfigurationError: there is no such file.
        DataError: it holds something else.
    """
    try:
        text = read_text(path)
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no file '{path}'.") from error
    try:
        if path.suffix == ".csv":
            rows = [[float(row[name]) for name in "uvxyz"] for row in csv.DictReader(io.StringIO(text))]
        else:
            rows = [[*map(float, each["pixel"]), *map(float, each["point"])] for each in json.loads(text)]
        values = np.array(rows, float).reshape(len(rows), 5)
        if not np.isfinite(values).all():
            raise ValueError("a number that is not finite")
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise DataError(
            f"{path}: expected JSON [{{'pixel': [column, row], 'point': [x, y, z]}}, ...] or CSV u,v,x,y,z "
            f"({type(error).__name__}: {str(error)[:60]})."
        ) from error
    return values[:, :2], values[:, 2:]


def fit_camera(
    pixels: np.ndarray, points: np.ndarray, *, size: tuple[int, int], fovy_deg: float | None = None
) -> CameraPose:
    """The camera that sees points [m], [point, 3], nearest to pixels (column, row), [point, 2].

    Args:
        pixels: Clicks.
        points: Their places.
        size: Width and height of the picture [px].
        fovy_deg: Angle that its shorter side spans [deg]; None fits it too.

    Raises:
        DataError: too few points, points on a line, or points that fit no camera.
    """
    least = MIN_POINTS if fovy_deg is None else MIN_POINTS_FOVY_KNOWN
    if len(points) < least:
        also = ", or 4 with --fovy-deg" if fovy_deg is None else ""
        raise DataError(f"expected at least {least} points{also}, got {len(points)}.")
    for values, spread, unit in ((points, LEAST_SPREAD, "on the table"), (pixels, 0.01 * min(size), "in the picture")):
        beside = np.linalg.svd(values - values.mean(axis=0), compute_uv=False)[1] / np.sqrt(len(values))
        if beside < spread:
            raise DataError(f"the points lie on a line {unit}: choose points that are spread in two directions.")
    fixed = None if fovy_deg is None else np.deg2rad(fovy_deg)

    def residuals(values: np.ndarray) -> np.ndarray:
        fovy = fixed if fixed is not None else np.clip(values[6], 0.05, 3.0)
        seen = _project(points, values[3:6], Rotation.from_rotvec(values[:3]), fovy, size)
        return (seen - pixels).ravel() / min(size)

    starts = sorted(_starts(points, fovy=fixed is None), key=lambda start: np.sum(residuals(start) ** 2))
    fits = [least_squares(residuals, start) for start in starts[:NUM_FITS]]
    best = min(fits, key=lambda fit: fit.cost)
    error = float(np.sqrt(2.0 * best.cost / len(points)) * min(size))
    if not error <= MAX_ERROR * size[1]:
        raise DataError(f"the points fit no camera: they miss by {error:.1f} px; look for a click on the wrong point.")
    scaled = best.jac / np.maximum(np.linalg.norm(best.jac, axis=0), 1e-12)
    certain = np.linalg.svd(scaled, compute_uv=False)
    if certain[-1] < LEAST_CERTAINTY * certain[0]:
        raise DataError("the points do not determine the camera: add points at other heights, or give --fovy-deg.")
    fovy = fixed if fixed is not None else best.x[6]
    quaternion = Rotation.from_rotvec(best.x[:3]).as_quat(canonical=True, scalar_first=True)
    place, turn = (tuple(float(each) for each in values) for values in (best.x[3:6], quaternion))
    return CameraPose(place, turn, float(np.rad2deg(fovy)), *size, error)


def difference(pose: CameraPose, position: np.ndarray, quaternion: np.ndarray) -> tuple[float, float]:
    """Distance [m] and angle [rad] of a camera to another position [3] and orientation (wxyz) [4]."""
    turns = [Rotation.from_quat(each, scalar_first=True) for each in (pose.quaternion, quaternion)]
    return float(np.linalg.norm(np.array(pose.position) - position)), float((turns[0].inv() * turns[1]).magnitude())


def overlay(real: np.ndarray, simulated: np.ndarray, pose: CameraPose, pixels: np.ndarray, points: np.ndarray) -> Any:
    """The simulated picture of the middle square on the real one, both uint8 [height, width, 3], half and half.

    Clicks are red circles, and green crosses are where the fitted camera sees their places.
    """
    from PIL import Image, ImageDraw

    side = min(pose.width, pose.height)
    corner = ((pose.width - side) // 2, (pose.height - side) // 2)
    under = Image.fromarray(real)
    square = under.crop((*corner, corner[0] + side, corner[1] + side))
    drawn = Image.fromarray(simulated).resize((side, side), Image.Resampling.BILINEAR)
    under.paste(Image.blend(square, drawn, 0.5), corner)
    draw, radius = ImageDraw.Draw(under), max(3, side // 80)
    for column, row in pixels:
        draw.ellipse((column - radius, row - radius, column + radius, row + radius), outline=(255, 0, 0))
    for column, row in pose.project(points):
        draw.line((column - radius, row, column + radius, row), fill=(0, 255, 0))
        draw.line((column, row - radius, column, row + radius), fill=(0, 255, 0))
    return under


def _project(
    points: np.ndarray, position: np.ndarray, turn: Rotation, fovy: float, size: tuple[int, int]
) -> np.ndarray:
    """Pixels of points [m], [point, 2]; what is behind the camera lands far outside."""
    local = turn.inv().apply(points - position)
    depth = np.maximum(-local[:, 2], 1e-3)
    focal = 0.5 * min(size) / np.tan(0.5 * fovy)
    return np.stack([0.5 * size[0] + focal * local[:, 0] / depth, 0.5 * size[1] - focal * local[:, 1] / depth], axis=1)


def _starts(points: np.ndarray, *, fovy: bool) -> list[np.ndarray]:
    """Cameras all around that look at the points, [6], or [7] with the field of view."""
    starts, middle = [], points.mean(axis=0)
    for azimuth, height, distance in itertools.product(
        np.arange(0.0, 2.0 * np.pi, np.pi / 4.0), (0.5, 1.1), (0.6, 1.2)
    ):
        backward = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
        right = np.cross((0.0, 0.0, 1.0), backward)
        right /= np.linalg.norm(right)
        turn = Rotation.from_matrix(np.stack([right, np.cross(backward, right), backward], axis=1))
        start = np.concatenate([turn.as_rotvec(), middle + distance * backward])
        starts.append(np.append(start, START_FOVY) if fovy else start)
    return starts
