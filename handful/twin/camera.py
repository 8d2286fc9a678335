"""The twin's camera: MuJoCo's own OpenGL renderer over the full meshes, then a lens and a sensor."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.errors import RobotError
from handful.simulation import scene
from handful.simulation.arm import COLLISION_GROUP, VISUAL_GROUP
from handful.twin.laboratory import Camera

WIDTH, HEIGHT = 192, 144
"""Size of its pictures [px]."""


class OpenGLCamera:
    """Draws one scene."""

    def __init__(self, model: mujoco.MjModel, camera: Camera, *, seed: int = 0) -> None:
        """Start OpenGL; a `RobotError` says that there is none."""
        try:
            self._renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
        except Exception as error:  # the bindings raise whatever they like
            raise RobotError(
                f"MuJoCo's OpenGL renderer, the twin's eye, does not start ({str(error)[:100]}): install EGL or OSMesa."
            ) from error
        self.exposure: float | None = None
        """Factor of brightness; None: the next picture chooses it."""
        self._camera, self._data = camera, mujoco.MjData(model)
        self._model = model
        self._options = mujoco.MjvOption()
        self._options.geomgroup[VISUAL_GROUP], self._options.geomgroup[COLLISION_GROUP] = 0, 1
        self._generator = np.random.default_rng([41, seed])
        self._rows, self._columns, self._shade = _lens(camera)

    def picture(self, qpos: np.ndarray) -> np.ndarray:
        """A picture of the scene at positions ``qpos``, uint8 [height, width, 3]."""
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, scene.CAMERA, self._options)
        drawn = self._renderer.render().astype(np.float64) / 255.0
        seen = drawn[self._rows, self._columns] * self._shade[..., None]
        if self._camera.blur:
            padded = np.pad(seen, ((1, 1), (1, 1), (0, 0)), mode="edge")
            around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
            seen = seen + self._camera.blur * (around - 4.0 * seen)
        if self.exposure is None:
            self.exposure = self._camera.brightness / max(float(seen.mean()), 1e-3)
        seen = np.clip(seen * self.exposure * np.array(self._camera.white_balance), 0.0, 1.0) ** self._camera.gamma
        seen += self._camera.noise * self._generator.normal(size=seen.shape)
        return (np.clip(seen, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)

    def close(self) -> None:
        """Let go of OpenGL."""
        self._renderer.close()


def _lens(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel is taken from, row and column, and how bright it is, each [height, width]."""
    half = HEIGHT / 2.0
    y, x = (np.mgrid[:HEIGHT, :WIDTH] + 0.5 - np.array([HEIGHT, WIDTH])[:, None, None] / 2.0) / half
    squared = x**2 + y**2
    stretched = 1.0 - camera.distortion * squared  # the inverse of r (1 + k r^2), to first order
    rows = np.clip((y * stretched + 1.0) * half, 0, HEIGHT - 1).astype(int)
    columns = np.clip(x * stretched * half + WIDTH / 2.0, 0, WIDTH - 1).astype(int)
    return rows, columns, 1.0 - camera.vignette * squared / squared.max()
