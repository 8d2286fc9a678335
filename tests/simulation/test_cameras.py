"""The rasteriser draws the ray caster's image, and both draw what the scene holds, as MuJoCo's own renderer does."""

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest
import torch
from pictures import differences, images_of, random_simulations

from handful.errors import ConfigurationError
from handful.simulation import jaco, scene
from handful.simulation.physics.cpu import BatchPhysics
from handful.simulation.rendering.factory import RENDERERS, make_camera
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import TASKS


@pytest.fixture(scope="module")
def simulations() -> TaskEnvironment:
    return random_simulations("block-lifting", 24)


def _differences(physics: BatchPhysics, *size: int, **options) -> tuple[np.ndarray, np.ndarray]:
    return differences(
        images_of(physics, "raycaster", *size, **options), images_of(physics, "rasterizer", *size, **options)
    )


@pytest.mark.parametrize("task", TASKS)
def test_both_renderers_draw_the_same_picture_of_every_task(task):
    """Away from edges the images are equal up to rounding: every shape has its true normal in both.

    At an edge, a pixel's centre may be within rounding of the outline, and the renderers see different sides of it. This was
    measured in 0.002% (block-lifting) to 0.008% (order-fulfillment) of the pixels, all of them at edges.
    """
    environment = random_simulations(task, 12)
    difference, edge = _differences(environment.physics)
    environment.close()
    assert difference[~edge].mean() < 0.1
    assert (difference[~edge] > 4).mean() < 0.0005
    assert (difference > 4).mean() < 0.001


@pytest.mark.parametrize("size", [(40, 40), (96, 40), (37, 21), (256, 256)])
def test_both_renderers_draw_the_same_picture_in_every_size(simulations, size):
    difference, edge = _differences(simulations.physics, *size)
    assert difference[~edge].mean() < 0.1
    assert (difference > 4).mean() < 0.001


def test_both_renderers_draw_every_primitive_alike():
    physics = BatchPhysics(_primitives().compile(), num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
    difference, edge = _differences(physics, 128, 128)
    assert difference[~edge].mean() < 0.1
    assert (difference > 4).mean() < 0.001


@pytest.mark.parametrize("distance", [0.6, 0.15, 0.05])
def test_another_camera_may_stand_before_the_hand_or_in_it(distance):
    """Triangles of near objects reach behind the eye; they are not clipped, and must still be drawn correctly."""
    spec = _primitives()
    target = np.array((0.45, 0.0, 0.2))
    position = target + distance * np.array((0.48, 0.6, 0.64))
    spec.worldbody.add_camera(name="near", pos=position, quat=scene.look_at(position, target), fovy=70.0)
    physics = BatchPhysics(spec.compile(), num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
    qpos = physics.model.qpos0.copy()[None]
    qpos[:, :9] = jaco.HOME_QPOS
    physics.place(np.arange(1), qpos)
    difference, edge = _differences(physics, camera="near")
    assert difference[~edge].mean() < 0.1
    assert (difference > 4).mean() < 0.003


def _primitives() -> mujoco.MjSpec:
    """The scene with one of every primitive in a row."""
    spec = scene.build_scene()
    kinds = {"SPHERE": (0.04, 0, 0), "CAPSULE": (0.02, 0.04, 0), "ELLIPSOID": (0.05, 0.03, 0.02)}
    kinds |= {"CYLINDER": (0.03, 0.04, 0), "BOX": (0.03, 0.02, 0.04)}
    for number, (kind, size) in enumerate(kinds.items()):
        body = spec.worldbody.add_body(name=kind, pos=(0.42, -0.24 + 0.12 * number, 0.06), quat=(0.9, 0.3, 0.2, 0.1))
        body.add_geom(type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"), size=size, rgba=(0.8, 0.3, 0.2, 1.0))
    return spec


def test_the_bits_do_not_depend_on_threads_or_batches(simulations):
    together = images_of(simulations.physics, "rasterizer", num_threads=3)
    camera = make_camera("rasterizer", simulations.physics, num_threads=1)
    alone = np.zeros_like(together)
    for i in reversed(range(24)):
        camera.render(np.array([i]), alone)
    assert (together == alone).all()


_OPENGL = """
import sys, mujoco, numpy as np
from handful.simulation import jaco, scene
model = scene.build_scene().compile()
model.vis.quality.offsamples = 0
data = mujoco.MjData(model)
data.qpos[:9] = jaco.HOME_QPOS
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 64, 64)
renderer.update_scene(data, scene.CAMERA)
for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
    renderer.scene.flags[flag] = False
lamp = renderer.scene.lights[1]  # after the headlight; OpenGL leaves out point lights, this spot shines all around
lamp.type, lamp.cutoff, lamp.attenuation[:] = mujoco.mjtLightType.mjLIGHT_SPOT, 180.0, (1.0, 0.0, 0.0)
np.save(sys.argv[1], renderer.render())
"""


def test_the_picture_is_near_that_of_mujocos_own_renderer(tmp_path):
    """Measured with Mesa 22.3: 0.8 grey levels on average, since OpenGL rounds bytes to nearest, and nowhere more than 4.

    In a process of its own, since MuJoCo chooses its OpenGL when it is imported.
    """
    for backend in ("egl", "osmesa"):
        environment = os.environ | {"MUJOCO_GL": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", _OPENGL, tmp_path / "image.npy"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        if done.returncode == 0:
            break
    else:
        pytest.skip(f"MuJoCo's renderer finds no OpenGL (EGL or OSMesa): {done.stderr.strip().splitlines()[-1]}")
    physics = BatchPhysics(scene.build_scene().compile(), num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
    qpos = physics.model.qpos0.copy()[None]
    qpos[:, :9] = jaco.HOME_QPOS
    physics.place(np.arange(1), qpos)
    difference = np.abs(images_of(physics, "rasterizer")[0].astype(int) - np.load(tmp_path / "image.npy")).max(axis=-1)
    assert difference.mean() < 1.0
    assert (difference > 8).mean() < 0.005


def test_both_renderers_draw_a_liquid_alike():
    environment = TaskEnvironment("pouring", num_envs=4, randomization="full", pixels=False, seed=3)
    environment.reset()
    balls = environment.task.liquid.positions(environment.physics)
    balls[:] += (environment.snapshot.position("box") - environment.snapshot.position("mug"))[:, None]  # in full view
    environment.physics.forward(np.arange(4))
    difference = np.abs(
        images_of(environment.physics, "rasterizer").astype(int) - images_of(environment.physics, "raycaster")
    ).max(axis=-1)
    assert (difference > 30).mean() < 0.004  # measured 0.0005
    assert difference.mean() < 0.5


def test_shadows_darken_and_nothing_else(simulations):
    lit = images_of(simulations.physics, "raycaster").astype(int)
    shaded = images_of(simulations.physics, "raycaster-shadows").astype(int)
    assert (shaded <= lit + 1).all()
    share = ((lit - shaded).max(axis=-1) > 10).mean(axis=(1, 2))
    assert (share > 0.005).all() and (share < 0.6).all()


def test_an_absent_geom_is_not_drawn(simulations):
    geom = simulations.physics.model.geom("block").id
    rgba = simulations.physics.field("geom_rgba")
    before = {renderer: images_of(simulations.physics, renderer) for renderer in RENDERERS}
    saved = rgba[:, geom, 3].copy()
    rgba[:, geom, 3] = 0.0
    after = {renderer: images_of(simulations.physics, renderer) for renderer in RENDERERS}
    rgba[:, geom, 3] = saved
    for renderer in RENDERERS:
        changed = (before[renderer] != after[renderer]).any(axis=-1).sum(axis=(1, 2))
        assert np.median(changed) > 20


def test_a_geom_that_is_not_finite_is_not_drawn(simulations):
    geom = simulations.physics.model.geom("block").id
    rgba, size = simulations.physics.field("geom_rgba"), simulations.physics.field("geom_size")
    saved = rgba[:, geom].copy(), size[:, geom].copy()
    rgba[:, geom, 3] = 0.0
    absent = images_of(simulations.physics, "rasterizer")
    rgba[:, geom], size[:, geom, 0] = saved[0], np.nan
    not_finite = images_of(simulations.physics, "rasterizer")
    size[:, geom] = saved[1]
    assert (not_finite == absent).all()


def test_an_image_of_some_simulations_leaves_the_others_alone(simulations):
    for renderer in RENDERERS:
        camera = make_camera(renderer, simulations.physics)
        images = np.full((24, 64, 64, 3), 7, np.uint8)
        camera.render(np.array([2, 5, 20]), images)
        untouched = np.setdiff1d(np.arange(24), [2, 5, 20])
        assert (images[untouched] == 7).all()
        full = images_of(simulations.physics, renderer)
        assert (images[[2, 5, 20]] == full[[2, 5, 20]]).all()
        camera.close()


def test_the_camera_sees_block_and_gripper():
    """What the policy must see: the block covers 20 pixels or more, wherever it begins, and parts of the hand show."""
    environment = TaskEnvironment("block-lifting", num_envs=64, randomization="full", seed=11)
    model = environment.physics.model
    environment.reset()
    before = environment.render()
    for name, at_least in (("block", 20), ("jaco/hand/finger_knuckle_1_look", 0)):
        rgba = environment.physics.field("geom_rgba")
        saved = rgba[:, model.geom(name).id].copy()
        rgba[:, model.geom(name).id, 3] = 0.0
        changed = (environment.render() != before).any(axis=-1).sum(axis=(1, 2))
        rgba[:, model.geom(name).id] = saved
        assert changed.min() >= at_least
        assert np.median(changed) > at_least
    environment.close()


def test_the_camera_sees_mug_liquid_and_box():
    """Wherever they begin, the mug covers 50 pixels and the box 200; most liquids are seen over the rim."""
    environment = TaskEnvironment("pouring", num_envs=64, randomization="full", seed=11)
    model = environment.physics.model
    environment.reset()
    before = environment.render()
    rgba = environment.physics.field("geom_rgba")
    for body, lowest, median in (("mug", 50, 100), ("box", 200, 300), ("liquid", 0, 1)):
        geoms = [geom for geom in range(model.ngeom) if model.geom(geom).name.startswith(f"{body}/")]
        saved = rgba[:, geoms].copy()
        rgba[:, geoms, 3] = 0.0
        changed = (environment.render() != before).any(axis=-1).sum(axis=(1, 2))
        rgba[:, geoms] = saved
        assert changed.min() >= lowest
        assert np.median(changed) >= median
    environment.close()


def test_an_unknown_camera_lists_the_choices(simulations):
    with pytest.raises(ConfigurationError, match="unknown camera 'side'.*front"):
        make_camera("rasterizer", simulations.physics, camera="side")


@pytest.mark.parametrize("renderer", ["rasterizer", "raycaster"])
def test_an_unfit_array_is_refused(simulations, renderer):
    camera = make_camera(renderer, simulations.physics)
    fitting = np.zeros((24, 64, 64, 3), np.uint8)
    for unfit in (fitting.transpose(0, 2, 1, 3), fitting[:23], fitting.astype(int), torch.from_numpy(fitting)):
        with pytest.raises(ConfigurationError, match="contiguous uint8"):
            camera.render(np.arange(24), unfit)
    camera.close()


def test_an_unknown_renderer_lists_the_choices(simulations):
    with pytest.raises(ConfigurationError, match="rasterizer, raycaster|raycaster, rasterizer"):
        make_camera("opengl", simulations.physics)
