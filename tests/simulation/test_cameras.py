"""The rasteriser is held to the ray caster's picture, and both to what the scene says."""

import mujoco
import numpy as np
import pytest

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.camera import RENDERERS, make_camera
from handful.simulation.cpu import BatchPhysics
from handful.tasks.environment import TaskEnvironment


@pytest.fixture(scope="module")
def worlds() -> TaskEnvironment:
    environment = TaskEnvironment("block-lifting", num_envs=24, randomization="full", pixels=False, seed=3)
    environment.reset()
    generator = np.random.default_rng(0)
    for _ in range(25):
        environment.step(generator.uniform(-1, 1, (24, 9)))
    return environment


def _images(physics: BatchPhysics, renderer: str, size: int = 64) -> np.ndarray:
    camera = make_camera(renderer, physics, width=size, height=size)
    images = np.zeros((physics.num_envs, size, size, 3), np.uint8)
    camera.render(np.arange(physics.num_envs), images)
    camera.close()
    return images


@pytest.mark.parametrize("size", [64, 40])
def test_both_renderers_draw_the_same_picture(worlds, size):
    difference = np.abs(
        _images(worlds.physics, "rasterizer", size).astype(int) - _images(worlds.physics, "raycaster", size)
    ).max(axis=-1)
    # Where they differ by more, an edge passes within rounding of a pixel's centre: measured 0.014% of pixels.
    assert (difference > 4).mean() < 0.001
    assert difference[difference <= 4].mean() < 0.1


def test_both_renderers_draw_every_primitive_alike():
    spec = scene.build_scene()
    kinds = {"SPHERE": (0.04, 0, 0), "CAPSULE": (0.02, 0.04, 0), "ELLIPSOID": (0.05, 0.03, 0.02)}
    kinds |= {"CYLINDER": (0.03, 0.04, 0), "BOX": (0.03, 0.02, 0.04)}
    for number, (kind, size) in enumerate(kinds.items()):
        body = spec.worldbody.add_body(name=kind, pos=(0.42, -0.24 + 0.12 * number, 0.06), quat=(0.9, 0.3, 0.2, 0.1))
        body.add_geom(type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"), size=size, rgba=(0.8, 0.3, 0.2, 1.0))
    physics = BatchPhysics(spec.compile(), num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
    difference = np.abs(_images(physics, "rasterizer", 128).astype(int) - _images(physics, "raycaster", 128)).max(
        axis=-1
    )
    assert (difference > 30).mean() < 0.004  # silhouettes of round shapes are polygons of 24 sides
    assert np.median(difference) == 0
    assert difference.mean() < 0.5


def test_both_renderers_draw_a_liquid_alike():
    environment = TaskEnvironment("pouring", num_envs=4, randomization="full", pixels=False, seed=3)
    environment.reset()
    balls = environment.task.liquid.positions(environment.physics)
    balls[:] += (environment.snapshot.position("box") - environment.snapshot.position("mug"))[:, None]  # in full view
    environment.physics.forward(np.arange(4))
    difference = np.abs(
        _images(environment.physics, "rasterizer").astype(int) - _images(environment.physics, "raycaster")
    ).max(axis=-1)
    assert (difference > 30).mean() < 0.004  # measured 0.0005
    assert difference.mean() < 0.5


def test_an_absent_geom_is_not_drawn(worlds):
    geom = worlds.physics.model.geom("block").id
    rgba = worlds.physics.field("geom_rgba")
    before = {renderer: _images(worlds.physics, renderer) for renderer in RENDERERS}
    saved = rgba[:, geom, 3].copy()
    rgba[:, geom, 3] = 0.0
    after = {renderer: _images(worlds.physics, renderer) for renderer in RENDERERS}
    rgba[:, geom, 3] = saved
    for renderer in RENDERERS:
        changed = (before[renderer] != after[renderer]).any(axis=-1).sum(axis=(1, 2))
        assert np.median(changed) > 20


def test_a_picture_of_some_worlds_leaves_the_others_alone(worlds):
    for renderer in RENDERERS:
        camera = make_camera(renderer, worlds.physics)
        images = np.full((24, 64, 64, 3), 7, np.uint8)
        camera.render(np.array([2, 5, 20]), images)
        untouched = np.setdiff1d(np.arange(24), [2, 5, 20])
        assert (images[untouched] == 7).all()
        full = _images(worlds.physics, renderer)
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


def test_an_unknown_renderer_lists_the_choices(worlds):
    with pytest.raises(ConfigurationError, match="rasterizer, raycaster|raycaster, rasterizer"):
        make_camera("opengl", worlds.physics)
