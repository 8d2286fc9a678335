"""Makes cameras by the name of their renderer."""

from __future__ import annotations

from handful.errors import ConfigurationError, unknown_name
from handful.simulation import scene
from handful.simulation.physics.protocol import DevicePhysics, Physics
from handful.simulation.rendering.camera import Camera

RENDERERS = ("rasterizer", "raycaster", "raycaster-shadows")
"""The rasteriser, which draws on the CPU; `mujoco_warp`'s ray caster, whose image is the reference in the tests; and the ray
caster with shadows, which the other two do not draw. If the physics is on a GPU, the image is cast there, with or without
shadows."""


def check_renderer(renderer: str | None) -> None:
    """Check that a renderer exists; None stands for the default.

    Raises:
        ConfigurationError: no renderer has that name.
    """
    if renderer not in (None, *RENDERERS):
        raise unknown_name("renderer", str(renderer), RENDERERS)


def make_camera(
    renderer: str | None,
    physics: Physics,
    *,
    camera: str = scene.CAMERA,
    width: int = 64,
    height: int = 64,
    num_threads: int | None = None,
) -> Camera:
    """Make a camera of the simulations.

    Args:
        renderer: One of `RENDERERS`; None takes the fastest: the rasteriser on the CPU, the ray caster on a GPU.
        physics: The simulations.
        camera: Name of the model's camera.
        width: Image width [px].
        height: Image height [px].
        num_threads: Threads that draw, on the CPU; None takes every core.

    Raises:
        ConfigurationError: no renderer or no camera of the model has that name, or the renderer cannot draw this physics.
    """
    check_renderer(renderer)
    names = [physics.model.camera(i).name for i in range(physics.model.ncam)]
    if camera not in names:
        raise unknown_name("camera", camera, names)
    shadows = renderer == "raycaster-shadows"
    if isinstance(physics, DevicePhysics):
        if renderer == "rasterizer":
            raise ConfigurationError(
                f"the rasterizer draws on the CPU, but the physics is on {physics.device}; the choices there are: "
                "raycaster, raycaster-shadows."
            )
        from handful.simulation.rendering.device_raycaster import DeviceRayCaster

        return DeviceRayCaster(physics, camera=camera, width=width, height=height, shadows=shadows)
    if renderer in ("raycaster", "raycaster-shadows"):
        from handful.simulation.rendering.raycaster import RayCaster

        return RayCaster(physics, camera=camera, width=width, height=height, shadows=shadows, num_threads=num_threads)
    from handful.simulation.rendering.rasterizer import Rasterizer

    return Rasterizer(physics, camera=camera, width=width, height=height, num_threads=num_threads)
