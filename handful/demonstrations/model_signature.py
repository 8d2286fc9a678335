"""Which compiled model a physical state belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import mujoco
import numpy as np

from handful.simulation.physics.protocol import STATE_FIELDS
from handful.simulation.randomization import ParameterSpec

_NUMBERS = (
    *("jnt_type", "jnt_axis", "jnt_range", "body_parentid", "body_pos", "body_mass"),
    *("dof_armature", "dof_damping", "dof_frictionloss"),
    *("actuator_gainprm", "actuator_forcerange", "actuator_ctrlrange"),
)
"""Model fields on which the dynamics depend; looks are not among them."""

_SHAPE_NUMBERS = ("geom_type", "geom_size", "geom_friction", "geom_condim")
"""The same of geoms, for those that touch; geoms that are only seen do not count."""


def model_signature(model: mujoco.MjModel, parameter_specs: Iterable[ParameterSpec]) -> str:
    """Sixteen hexadecimal digits; they differ where states or parameters recorded with one model do not fit the other.

    They cover what a saved state holds, the names of joints, bodies and touching geoms, the numbers on which the dynamics
    depend (to six digits, so that compilers that round differently agree) and the names and shapes of the parameters.
    Ranges of parameters are left out: parameters recorded under other ranges still fit.
    """
    digest = hashlib.sha256()
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    names = [
        *(f"{model.joint(i).name}:{model.jnt_qposadr[i]}" for i in range(model.njnt)),
        *(model.body(i).name for i in range(model.nbody)),
        *(model.geom(i).name for i in np.flatnonzero(touching)),
        *(f"{parameter.name}{parameter.nominal.shape}" for parameter in parameter_specs),
        *STATE_FIELDS,
        f"nq={model.nq} nv={model.nv} nu={model.nu} timestep={model.opt.timestep:.6g}",
    ]
    digest.update("\n".join(names).encode())
    numbers = {field: getattr(model, field) for field in _NUMBERS}
    numbers |= {field: getattr(model, field)[touching] for field in _SHAPE_NUMBERS}
    for field, array in numbers.items():
        values = np.asarray(array, np.float64).ravel()
        digest.update(f"\n{field}:".encode())
        digest.update(",".join(f"{value + 0.0:.6g}" for value in values).encode())
    return digest.hexdigest()[:16]
