from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from handful.simulation import scene
from handful.simulation.physics.cpu import BatchPhysics
from handful.simulation.props.car import Car
from handful.simulation.props.composite import inertia_of
from handful.simulation.props.open_box import OpenBox
from handful.simulation.props.plane import Plane
from handful.simulation.randomization import Level, draw_parameters, stack_parameters

COMPOSITES = [Car, Plane, OpenBox]


def _parameters(composite, count, seed=0):
    generator = np.random.default_rng(seed)
    return stack_parameters([draw_parameters(composite.parameter_specs(), Level.FULL, generator) for _ in range(count)])


def _full_inertia(diagonal, quat):
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(quat, float))
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(diagonal) @ rotation.T


@pytest.mark.parametrize("kind", COMPOSITES)
def test_mass_and_inertia_are_those_that_mujoco_compiles_from_the_same_shapes(kind):
    composite = kind("thing")
    parameters = _parameters(composite, 5)
    layout = composite.layout(parameters)
    center, inertia, quat = inertia_of(composite.parts, layout, parameters["thing.mass"])
    for env in range(5):
        spec = mujoco.MjSpec()
        spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
        body = spec.worldbody.add_body(name="thing")
        body.add_freejoint()
        for k, part in enumerate(composite.parts):
            body.add_geom(
                type=part.shape,
                size=layout.sizes[env, k],
                pos=layout.positions[env, k],
                quat=layout.quats[env, k],
                density=1000.0 if part.seen else 0.0,
            )
        model = spec.compile()
        scale = parameters["thing.mass"][env] / model.body_mass[1]
        np.testing.assert_allclose(center[env], model.body_ipos[1], atol=1e-9)
        expected = scale * _full_inertia(model.body_inertia[1], model.body_iquat[1])
        np.testing.assert_allclose(_full_inertia(inertia[env], quat[env]), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", COMPOSITES)
def test_a_simulation_moves_as_a_model_compiled_for_its_parameters(kind):
    """No field that the compiler derived from the nominal parameters (frames, bounds, trees) is left unchanged."""
    composite = kind("thing")
    parameters = _parameters(composite, 4, seed=1)
    physics = _physics(composite, composite, parameters)
    qpos = np.tile(physics.model.qpos0, (4, 1))
    address = physics.model.joint("thing").qposadr[0]
    qpos[:, address : address + 7] = (0.4, 0.2, 0.12, 0.8, 0.3, 0.5, 0.1)
    physics.place(np.arange(4), qpos)
    for _ in range(6):
        physics.step(np.zeros((4, 9)))
    for env in range(4):
        fixed = _Fixed(composite, {name: values[env] for name, values in parameters.items()})
        own = {name: values[env : env + 1] for name, values in parameters.items()}
        alone = _physics(fixed, fixed.composite, own)
        alone.place(np.arange(1), qpos[:1])
        for _ in range(6):
            alone.step(np.zeros((1, 9)))
        np.testing.assert_allclose(physics.qpos[env], alone.qpos[0], atol=1e-6)


class _Fixed:
    """A composite whose nominal parameters are the given ones."""

    def __init__(self, composite, parameters):
        self.composite = type(composite)(composite.name)
        drawn = self.composite.parameter_specs()
        fixed = tuple(dataclasses.replace(parameter, nominal=parameters[parameter.name]) for parameter in drawn)
        self.composite.parameter_specs = lambda: fixed
        self.add = self.composite.add


def _physics(added, composite, parameters):
    """Simulations with those parameters, of a model compiled with what is ``added``."""
    spec, ids = scene.build_scene(), np.arange(len(parameters["thing.mass"]))
    added.add(spec)
    physics = BatchPhysics(spec.compile(), num_envs=len(ids), control_timestep=scene.CONTROL_TIMESTEP)
    composite.apply(physics, ids, parameters)
    physics.update_constants(ids)
    return physics


@pytest.mark.parametrize("kind", COMPOSITES)
def test_it_rests_on_the_table_where_it_is_put(kind):
    composite = kind("thing")
    parameters = _parameters(composite, 16, seed=2)
    physics = _physics(composite, composite, parameters)
    qpos = np.tile(physics.model.qpos0, (16, 1))
    address = physics.model.joint("thing").qposadr[0]
    composite.stand(physics.model, parameters, qpos, place=np.array([0.4, 0.2]), yaw=np.zeros(16))
    physics.place(np.arange(16), qpos)
    for _ in range(20):
        physics.step(np.zeros((16, 9)))
    np.testing.assert_allclose(physics.qpos[:, address : address + 3], qpos[:, address : address + 3], atol=1e-3)
