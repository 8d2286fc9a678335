"""Demonstrations of a task for a variant of it, whose physical states may have another size."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from handful.demonstrations.specification import UNRECORDED_GROUPS
from handful.errors import DataError
from handful.simulation.physics.protocol import STATE_FIELDS
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.tasks.task import compile_task
from handful.trajectory import Demonstrations, Trajectory


def converted(demonstrations: Demonstrations, environment: TaskEnvironment) -> Demonstrations:
    """Demonstrations of the environment's task as they would have been in the environment's variant of it.

    Each state keeps what the variant's model has, such as the first eight balls of a liquid of 32. What is observed of it,
    its stage and its reward are found anew; actions and parameters stay. Demonstrations that do not end in the top stage of
    the variant are left out. The environment's simulations are left in states of the demonstrations. A variant that has the
    task's own bodies, and differs in what episodes draw, takes the demonstrations as they are.

    Raises:
        DataError: no demonstration ends in the top stage.
    """
    source, target = (
        compile_task(make_task(demonstrations.task, arm=environment.task.arm.name)),
        environment.physics.model,
    )
    if (source.nq, source.opt.timestep) == (target.nq, target.opt.timestep):
        return demonstrations
    columns = state_columns(source, target)
    trajectories = [
        each
        for trajectory in demonstrations.trajectories
        if (each := _seen_anew(trajectory, trajectory.states[:, columns], environment)) is not None
    ]
    if not trajectories:
        raise DataError(
            f"none of {len(demonstrations)} demonstrations succeeds in the variant of {demonstrations.task}."
        )
    return dataclasses.replace(demonstrations, trajectories=tuple(trajectories))


def state_columns(source: mujoco.MjModel, target: mujoco.MjModel) -> np.ndarray:
    """Columns of a saved state of one model that make a state of another, whose bodies it has, int64 [state_size].

    Bodies are the same if they have the same name; the actuators are the same in both.
    """
    positions, velocities = _addresses(source)
    bodies = [target.body(body).name for body in range(target.nbody)]
    qpos = np.concatenate([positions[body] for body in bodies])
    dofs = np.concatenate([velocities[body] for body in bodies])
    fields = {
        "time": (np.zeros(1, np.int64), 1),
        "qpos": (qpos, source.nq),
        "qvel": (dofs, source.nv),
        "qacc_warmstart": (dofs, source.nv),
        "ctrl": (np.arange(target.nu), source.nu),
    }
    columns, begin = [], 0
    for name in STATE_FIELDS:
        kept, width = fields[name]
        columns.append(begin + kept)
        begin += width
    return np.concatenate(columns)


def _addresses(model: mujoco.MjModel) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Entries of ``qpos`` and of ``qvel`` of each body's joints, by the body's name, in the order of the model."""
    widths = {int(mujoco.mjtJoint.mjJNT_FREE): 7, int(mujoco.mjtJoint.mjJNT_BALL): 4}
    positions, velocities = {}, {}
    for number in range(model.nbody):
        body = model.body(number)
        joints = range(body.jntadr[0], body.jntadr[0] + body.jntnum[0])
        entries = [model.jnt_qposadr[k] + np.arange(widths.get(int(model.jnt_type[k]), 1)) for k in joints]
        positions[body.name] = np.concatenate([np.zeros(0, np.int64), *entries])
        velocities[body.name] = body.dofadr[0] + np.arange(body.dofnum[0])
    return positions, velocities


def _seen_anew(trajectory: Trajectory, states: np.ndarray, environment: TaskEnvironment) -> Trajectory | None:
    """An episode with other states, [T+1, state_size]; None if it does not end in the top stage."""
    observations: dict[str, list[np.ndarray]] = {}
    stages, rewards = [], []
    for begin in range(0, len(states), environment.num_envs):
        part = states[begin : begin + environment.num_envs]
        environment.restore(np.arange(len(part)), [trajectory.parameters] * len(part), part)
        snapshot = environment.snapshot
        stage = environment.task.stage(snapshot)
        stages.append(stage[: len(part)])
        rewards.append(environment.task.reward(snapshot, stage)[: len(part)])
        for group, values in environment.observe().items():
            if group not in UNRECORDED_GROUPS:
                observations.setdefault(group, []).append(np.asarray(values)[: len(part)])
    stage, top = np.concatenate(stages), len(environment.task.stages) - 1
    if stage[-1] != top:
        return None
    before = np.flatnonzero(stage != top)
    return dataclasses.replace(
        trajectory,
        states=states,
        observations={group: np.concatenate(rows) for group, rows in observations.items()},
        stages=stage,
        rewards=np.concatenate(rewards)[1:],
        success_step=int(before[-1]) + 1 if len(before) else 0,
    )
