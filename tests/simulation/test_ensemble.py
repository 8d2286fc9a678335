from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from handful.simulation import scene
from handful.simulation.containers import OpenBox
from handful.simulation.cpu import BatchPhysics
from handful.simulation.ensemble import inertia_of
from handful.simulation.randomization import Level, draw_world, stack_worlds
from handful.simulation.toys import Car, Plane

ENSEMBLES = [Car, Plane, OpenBox]


def _worlds(ensemble, count, seed=0):
    generator = np.random.default_rng(seed)
    return stack_worlds([draw_world(ensemble.parameters(), Level.FULL, generator) for _ in range(count)])


def _full_inertia(diagonal, quat):
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(quat, float))
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(diagonal) @ rotation.T


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_mass_and_inertia_are_those_that_mujoco_compiles_from_the_same_shapes(kind):
    ensemble = kind("thing")
    worlds = _worlds(ensemble, 5)
    layout = ensemble.layout(worlds)
    center, inertia, quat = inertia_of(ensemble.parts, layout, worlds["thing.mass"])
    for world in range(5):
        spec = mujoco.MjSpec()
        spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
        body = spec.worldbody.add_body(name="thing")
        body.add_freejoint()
        for k, part in enumerate(ensemble.parts):
            body.add_geom(
                type=part.shape,
                size=layout.sizes[world, k],
                pos=layout.positions[world, k],
                quat=layout.quats[world, k],
                density=1000.0 if part.seen else 0.0,
            )
        model = spec.compile()
        scale = worlds["thing.mass"][world] / model.body_mass[1]
        np.testing.assert_allclose(center[world], model.body_ipos[1], atol=1e-9)
        expected = scale * _full_inertia(model.body_inertia[1], model.body_iquat[1])
        np.testing.assert_allclose(_full_inertia(inertia[world], quat[world]), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_a_world_of_its_own_moves_as_a_model_compiled_for_it(kind):
    """Nothing that the compiler derived from the nominal world (frames, bounds, trees) is left in the way."""
    ensemble = kind("thing")
    worlds = _worlds(ensemble, 4, seed=1)
    physics = BatchPhysics(_model(ensemble), num_envs=4, control_timestep=scene.CONTROL_TIMESTEP)
    ensemble.apply(physics, np.arange(4), worlds)
    physics.update_constants(np.arange(4))
    qpos = np.tile(physics.model.qpos0, (4, 1))
    address = physics.model.joint("thing").qposadr[0]
    qpos[:, address : address + 7] = (0.4, 0.2, 0.12, 0.8, 0.3, 0.5, 0.1)
    physics.place(np.arange(4), qpos)
    for _ in range(6):
        physics.step(np.zeros((4, 9)))
    for world in range(4):
        fixed = _Fixed(ensemble, {name: values[world] for name, values in worlds.items()})
        alone = BatchPhysics(_model(fixed), num_envs=1, control_timestep=scene.CONTROL_TIMESTEP)
        own = {name: values[world : world + 1] for name, values in worlds.items()}
        fixed.ensemble.apply(alone, np.arange(1), own)
        alone.update_constants(np.arange(1))
        alone.place(np.arange(1), qpos[:1])
        for _ in range(6):
            alone.step(np.zeros((1, 9)))
        np.testing.assert_allclose(physics.qpos[world], alone.qpos[0], atol=1e-6)


class _Fixed:
    """An ensemble whose nominal world is the given one."""

    def __init__(self, ensemble, world):
        self.ensemble = type(ensemble)(ensemble.name)
        drawn = self.ensemble.parameters()
        fixed = tuple(dataclasses.replace(parameter, nominal=world[parameter.name]) for parameter in drawn)
        self.ensemble.parameters = lambda: fixed
        self.add = self.ensemble.add


def _model(ensemble):
    spec = scene.build_scene()
    ensemble.add(spec)
    return spec.compile()


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_it_rests_on_the_table_where_it_is_put(kind):
    ensemble = kind("thing")
    worlds = _worlds(ensemble, 16, seed=2)
    physics = BatchPhysics(_model(ensemble), num_envs=16, control_timestep=scene.CONTROL_TIMESTEP)
    ensemble.apply(physics, np.arange(16), worlds)
    physics.update_constants(np.arange(16))
    qpos = np.tile(physics.model.qpos0, (16, 1))
    address = physics.model.joint("thing").qposadr[0]
    qpos[:, address : address + 3] = np.column_stack([np.full(16, 0.4), np.full(16, 0.2), ensemble.half_height(worlds)])
    physics.place(np.arange(16), qpos)
    for _ in range(20):
        physics.step(np.zeros((16, 9)))
    np.testing.assert_allclose(physics.qpos[:, address : address + 3], qpos[:, address : address + 3], atol=1e-3)
