"""``handful calibrate camera``: find the camera's pose by clicks on known points, and look at it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from handful.errors import ConfigurationError, DataError
from handful.storage import check_file_name, write_atomically, written_when_complete

if TYPE_CHECKING:
    import numpy as np

    from handful.transfer.calibration import CameraPose


@dataclasses.dataclass(frozen=True)
class Options:
    """Fit the camera's pose to points whose places are known, and draw the simulated picture on the real one.

    The file lists where each point is in the picture [px] and on the table [m]: JSON [{"pixel": [column, row], "point":
    [x, y, z]}, ...], or CSV with the columns u,v,x,y,z. The arm's base is at the origin, x points away from it, z up.
    """

    points: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="POINTS")]
    """The file with the points, .json or .csv: at least 6, or 4 with --fovy-deg, not on a line."""
    picture: Path | None = None
    """The picture in which they were clicked, as the camera delivers it."""
    output: Path = Path("camera.json")
    """File for the pose, .json."""
    overlay: Path = Path("camera.png")
    """Picture to draw, .png: the simulated one on the real one, clicks as red circles, their places as green crosses."""
    fovy_deg: float | None = None
    """Angle that the shorter side of the picture spans [deg], from the camera's data sheet; by default it is fitted too."""
    task: str = "block-lifting"
    """Task whose scene is drawn."""
    joints_deg: tuple[float, ...] = ()
    """Six angles of the arm when the picture was taken [deg]; by default its start."""


def run(options: Options) -> None:
    """Fit, print how well, and write."""
    check_file_name(options.output, "camera's pose", (".json",))
    check_file_name(options.overlay, "picture", (".png",))
    if options.picture is None:
        raise ConfigurationError("expected --picture FILE, the picture in which the points were clicked.")
    if options.fovy_deg is not None and not 5.0 <= options.fovy_deg <= 150.0:
        raise ConfigurationError(f"expected --fovy-deg from 5 to 150, got {options.fovy_deg}.")
    if len(options.joints_deg) not in (0, 6):
        raise ConfigurationError(f"expected six angles after --joints-deg, got {len(options.joints_deg)}.")

    import numpy as np
    from PIL import Image

    from handful.simulation import scene
    from handful.transfer.calibration import difference, fit_camera, overlay, read_points

    pixels, points = read_points(options.points)
    try:
        with Image.open(options.picture) as image:
            real = np.array(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{options.picture} is no picture that can be read.") from error
    height, width = real.shape[:2]
    pose = fit_camera(pixels, points, size=(width, height), fovy_deg=options.fovy_deg)
    shift, angle = difference(
        pose, np.array(scene.CAMERA_POSITION), scene.look_at(scene.CAMERA_POSITION, scene.CAMERA_TARGET)
    )
    simulated = _simulated(options, pose)
    write_atomically(options.output, pose.to_json())
    with written_when_complete(options.overlay) as temporary:
        overlay(real, simulated, pose, pixels, points).save(temporary)
    misses = np.linalg.norm(pose.project(points) - pixels, axis=1)
    worst = misses.argmax()
    print(f"points miss by {pose.error:.2f} px (root mean square), point {worst + 1} by {misses[worst]:.2f} px.")
    x, y, z = pose.position
    print(f"the camera is at ({x:.3f}, {y:.3f}, {z:.3f}) m and sees {pose.fovy_deg:.1f} degrees.")
    print(
        f"training's is {1000.0 * shift:.0f} mm and {np.rad2deg(angle):.1f} degrees away and sees {scene.CAMERA_FOVY:.1f}; "
        "at full, training moves it by up to 30 mm and 2.5 degrees along each axis."
    )
    print(f"Wrote {options.output} and {options.overlay}.")


def _simulated(options: Options, pose: CameraPose) -> np.ndarray:
    """What the simulation's camera sees at a pose, uint8 [side, side, 3]."""
    import contextlib

    import numpy as np

    from handful.simulation import scene
    from handful.tasks.environment import TaskEnvironment

    side = min(pose.width, pose.height, 480)
    environment = TaskEnvironment(options.task, num_envs=1, randomization="none", image_size=side, num_threads=1)
    with contextlib.closing(environment):
        environment.reset(seeds=[0])
        physics = environment.physics
        camera = physics.model.camera(scene.CAMERA).id
        physics.field("cam_pos")[0, camera] = pose.position
        physics.field("cam_quat")[0, camera] = pose.quaternion
        physics.field("cam_fovy")[0, camera] = pose.fovy_deg
        qpos = physics.qpos[:1].copy()
        if options.joints_deg:
            qpos[0, :6] = np.deg2rad(options.joints_deg)
        physics.place(np.arange(1), qpos)
        return environment.render()[0].copy()
