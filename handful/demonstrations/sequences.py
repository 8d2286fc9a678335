"""Demonstrations as a policy would have seen them, for behavioural cloning."""

from __future__ import annotations

import numpy as np

from handful.demonstrations.starts import cut_all
from handful.environment import OBJECT_POSITIONS, PROPRIOCEPTION
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import Demonstrations, ExpertSequences


def expert_sequences(
    demonstrations: Demonstrations, environment: TaskEnvironment, *, cut_after_success_s: float = 1.0
) -> ExpertSequences:
    """The demonstrations with images taken anew from their states, by this environment's camera at its rate.

    So it does not matter at which rate they were recorded, or whether with images at all.

    Args:
        demonstrations: Of the environment's task.
        environment: Whose camera looks; its simulations are left in states of the demonstrations.
        cut_after_success_s: How long after success a demonstration still counts [s].
    """
    trajectories = cut_all(demonstrations, cut_after_success_s).trajectories
    period = environment.spec.camera_period
    length, count = max(len(each) for each in trajectories), len(trajectories)
    seen = [(number, step) for number, each in enumerate(trajectories) for step in range(0, len(each), period)]
    frame_index = np.zeros((length, count), np.int64)
    proprioception = np.zeros((length, count, environment.spec.observations[PROPRIOCEPTION].shape[0]), np.float32)
    action = np.zeros((length, count, environment.spec.action.shape[0]), np.float32)
    taken = np.zeros((length, count), bool)
    first_frame = 0
    for number, each in enumerate(trajectories):
        steps = np.arange(len(each))
        frame_index[: len(each), number] = first_frame + steps // period
        proprioception[: len(each), number] = each.observations[PROPRIOCEPTION][:-1]
        action[: len(each), number] = each.actions
        taken[: len(each), number] = True
        first_frame += -(-len(each) // period)
    frames = []
    for begin in range(0, len(seen), environment.num_envs):
        part = seen[begin : begin + environment.num_envs]
        parameters = [trajectories[number].parameters for number, _ in part]
        states = np.stack([trajectories[number].states[step] for number, step in part])
        environment.restore(np.arange(len(part)), parameters, states)
        frames.append(environment.render()[: len(part)])
    positions = np.stack([trajectories[number].observations[OBJECT_POSITIONS][step] for number, step in seen])
    return ExpertSequences(
        frames=np.concatenate(frames),
        frame_positions=positions.astype(np.float32),
        frame_index=frame_index,
        proprioception=proprioception,
        action=action,
        taken=taken,
    )
