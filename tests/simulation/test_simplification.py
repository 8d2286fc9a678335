"""The arm that is seen has the outline of the arm that is there."""

import mujoco
import numpy as np
import pytest
from pictures import images_of

from handful.simulation import jaco, scene
from handful.simulation.arm import COLLISION_GROUP, VISUAL_GROUP
from handful.simulation.simplification import FACES_PER_MESH
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import TASKS


def _silhouette(physics, geoms: list[int]) -> np.ndarray:
    """Pixels that see some geoms if nothing else were there, bool [env, height, width]."""
    model = physics.model
    groups = model.geom_group.copy()
    model.geom_group[:] = COLLISION_GROUP
    model.geom_group[geoms] = 0
    images = images_of(physics, "rasterizer")
    model.geom_group[:] = groups
    return images.any(axis=-1)


def _nearly(region: np.ndarray) -> np.ndarray:
    """The region with a pixel around it; all along the image's edges, since what lies beyond is not known."""
    around = np.pad(region, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    height, width = region.shape[1:]
    return np.any([around[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)


@pytest.mark.parametrize("task", TASKS)
def test_the_silhouette_is_that_of_the_full_meshes_within_a_pixel(task):
    """In every task's random views, with the arm up to 20 degrees a joint from home and the fingers anyhow.

    Of the arm's pixels 3% see it in one of the two pictures alone, all at its outline (measured).
    """
    num_envs = 16
    environment = TaskEnvironment(task, num_envs=num_envs, randomization="full", pixels=False, seed=5)
    environment.reset()
    physics = environment.physics
    generator = np.random.default_rng(1)
    qpos = np.array(physics.qpos)
    qpos[:, :6] = jaco.HOME_QPOS[:6] + generator.uniform(-0.35, 0.35, (num_envs, 6))
    qpos[:, 6:9] = generator.uniform(jaco.FINGER_OPEN, jaco.FINGER_CLOSED, (num_envs, 3))
    physics.place(np.arange(num_envs), qpos)
    physics.field("geom_rgba")[:] = 1.0
    geoms = [physics.model.geom(i) for i in range(physics.model.ngeom)]
    looks = [geom.id for geom in geoms if geom.name.endswith("_look")]
    full = [physics.model.geom(geoms[look].name.removesuffix("_look")).id for look in looks]
    rings = [geom.id for geom in geoms if geom.name.startswith(jaco.ARM_PREFIX) and geom.group[0] == 0]
    seen, there = _silhouette(physics, looks + rings), _silhouette(physics, full + rings)
    environment.close()
    assert there.mean() > 0.02
    assert not (seen & ~_nearly(there)).any()
    assert not (there & ~_nearly(seen)).any()
    assert (seen ^ there).sum() < 0.06 * there.sum()


def test_no_mesh_that_is_seen_has_more_triangles_than_asked_for():
    model = scene.build_scene().compile()
    looks = (model.geom_group == VISUAL_GROUP) & (model.geom_type == mujoco.mjtGeom.mjGEOM_MESH)
    counts = model.mesh_facenum[model.geom_dataid[looks]]
    assert counts.max() <= FACES_PER_MESH
    assert counts.sum() < 900
