"""Demonstrations as sequences that learners take: what a policy would have seen, and what was done."""

from __future__ import annotations

import numpy as np
import torch

from handful.environment import OBJECT_POSITIONS, PIXELS, TIME_LEFT
from handful.sequences import Sequences
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import Demonstrations


def demonstration_sequences(
    demonstrations: Demonstrations,
    environment: TaskEnvironment | None,
    *,
    frames: bool = True,
    groups: tuple[str, ...] = (),
) -> Sequences:
    """Whole demonstrations side by side.

    If ``frames`` are needed, the environment's camera renders them from the states at its own rate, whatever rate they were
    recorded at, and its simulations are left in states of the demonstrations. Without frames it can be None.
    ``groups`` that were not recorded are observed anew.
    """
    trajectories = demonstrations.trajectories
    lengths = np.array([len(each) for each in trajectories])
    mask = np.arange(lengths.max())[:, None] < lengths
    recorded = [group for group in trajectories[0].observations if group != PIXELS]
    observed = {g: _side_by_side([np.asarray(each.observations[g]) for each in trajectories]) for g in recorded}
    missing = [group for group in groups if group not in (*recorded, PIXELS, TIME_LEFT)]
    if missing:
        assert environment is not None, "only an environment can observe anew"
        observed |= _observed_anew(demonstrations, environment, missing)
    actions = [each.actions for each in trajectories if each.actions is not None]
    start = np.zeros_like(mask)
    start[0] = True
    sequences = Sequences(
        vectors={group: torch.from_numpy(values[:-1]) for group, values in observed.items()},
        outcomes={group: torch.from_numpy(values[1:]) for group, values in observed.items()},
        actions=torch.from_numpy(_side_by_side(actions)) if demonstrations.hold_actions else None,
        mask=torch.from_numpy(mask),
        episode_start=torch.from_numpy(start),
    )
    if frames:
        assert environment is not None, "images need a camera"
        period = environment.spec.camera_period
        seen = [(number, step) for number, length in enumerate(lengths) for step in range(0, length, period)]
        images_of = -(-lengths // period)
        first_frame = np.cumsum(images_of) - images_of
        index = np.where(mask, first_frame + np.arange(lengths.max())[:, None] // period, 0)
        sequences.frames = torch.from_numpy(_images(demonstrations, environment, seen))
        sequences.frame_positions = torch.from_numpy(
            np.stack([trajectories[number].observations[OBJECT_POSITIONS][step] for number, step in seen])
        )
        sequences.frame_index = torch.from_numpy(index)
    return sequences


def _side_by_side(episodes: list[np.ndarray]) -> np.ndarray:
    """Rows of several episodes, float32 [time, episode, ...], with zeros after the shorter ones."""
    rows = np.zeros((max(map(len, episodes)), len(episodes), *episodes[0].shape[1:]), np.float32)
    for number, values in enumerate(episodes):
        rows[: len(values), number] = values
    return rows


def _observed_anew(
    demonstrations: Demonstrations, environment: TaskEnvironment, groups: list[str]
) -> dict[str, np.ndarray]:
    """Groups of every state of every demonstration, float32 [time, episode, entry]."""
    rows: dict[str, list[np.ndarray]] = {group: [] for group in groups}
    for each in demonstrations.trajectories:
        observations = []
        for begin in range(0, len(each.states), environment.num_envs):
            states = each.states[begin : begin + environment.num_envs]
            environment.restore(np.arange(len(states)), [each.parameters] * len(states), states)
            observations.append({group: environment.observe()[group][: len(states)] for group in groups})
        for group in groups:
            rows[group].append(np.concatenate([observation[group] for observation in observations]))
    return {group: _side_by_side(episodes) for group, episodes in rows.items()}


def _images(demonstrations: Demonstrations, environment: TaskEnvironment, seen: list[tuple[int, int]]) -> np.ndarray:
    """Images of states, by number of the demonstration and step, uint8 [state, height, width, channel]."""
    images = []
    for begin in range(0, len(seen), environment.num_envs):
        part = seen[begin : begin + environment.num_envs]
        parameters = [demonstrations.trajectories[number].parameters for number, _ in part]
        states = np.stack([demonstrations.trajectories[number].states[step] for number, step in part])
        environment.restore(np.arange(len(part)), parameters, states)
        images.append(environment.render()[: len(part)])
    return np.concatenate(images)
