"""Rotations and poses, batched over leading axes. Quaternions are wxyz; rotation matrices map body to world."""

from __future__ import annotations

import numpy as np


def yaw_quaternion(yaw: np.ndarray) -> np.ndarray:
    """Quaternion (wxyz) of a rotation about z. Angles [rad], shape [...]; returns [..., 4]."""
    half = 0.5 * np.asarray(yaw, dtype=np.float64)
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1)


def quaternion_from_rotation_vector(vector: np.ndarray) -> np.ndarray:
    """Quaternion (wxyz) of a rotation vector (axis times angle [rad]), shape [..., 3]; returns [..., 4]."""
    vector = np.asarray(vector, dtype=np.float64)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    scale = 0.5 * np.sinc(angle / (2.0 * np.pi))  # sin(angle / 2) / angle, smooth at zero
    return np.concatenate([np.cos(0.5 * angle), scale * vector], axis=-1)


def multiply_quaternions(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions (wxyz), shape [..., 4]: the rotation ``right`` followed by ``left``."""
    lw, lx, ly, lz = np.moveaxis(np.asarray(left, np.float64), -1, 0)
    rw, rx, ry, rz = np.moveaxis(np.asarray(right, np.float64), -1, 0)
    return np.stack(
        [
            lw * rw - lx * rx - ly * ry - lz * rz,
            lw * rx + lx * rw + ly * rz - lz * ry,
            lw * ry - lx * rz + ly * rw + lz * rx,
            lw * rz + lx * ry - ly * rx + lz * rw,
        ],
        axis=-1,
    )


def rotation_error(current: np.ndarray, desired: np.ndarray) -> np.ndarray:
    """Rotation vector [rad], world frame, that turns ``current`` into ``desired``; matrices [..., 3, 3].

    For R = desired current^T with angle theta, the vector is theta / (2 sin theta) times the skew part of R; exact below
    a half turn.
    """
    relative = desired @ np.swapaxes(current, -1, -2)
    skew = np.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        axis=-1,
    )
    cosine = np.clip(0.5 * (np.trace(relative, axis1=-2, axis2=-1) - 1.0), -1.0, 1.0)
    angle = np.arccos(cosine)[..., None]
    return skew / (2.0 * np.maximum(np.sinc(angle / np.pi), 1e-6))


def matrix_from_rotation_vector(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of a rotation vector (axis times angle [rad]), shape [..., 3]; returns [..., 3, 3].

    Rodrigues: R = I + sin(a)/a K + (1 - cos(a))/a^2 K^2 for the cross-product matrix K of the vector and its length a.
    """
    vector = np.asarray(vector, dtype=np.float64)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vector.shape[:-1], 3, 3)
    half = 0.5 * np.sinc(angle / (2.0 * np.pi)) ** 2  # (1 - cos(a)) / a^2, smooth at zero
    return np.eye(3) + np.sinc(angle / np.pi) * cross + half * (cross @ cross)
