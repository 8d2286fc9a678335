"""What a demonstration file holds, in a few numbers and words."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Any

import numpy as np

from handful.demonstrations.files.reading import opened
from handful.environment import PIXELS
from handful.trajectory import ACTORS, Trajectory


def summarize(path: pathlib.Path) -> dict[str, Any]:
    """The description of a file, as plain values by name; ``episodes`` is a list with one entry each.

    Raises:
        ConfigurationError: no such file.
        DataError: what is in it cannot be read.
    """
    with opened(path) as file:
        timestep, stages = file.spec.control_timestep, file.spec.stages
        episodes, steps_by = [], Counter[str]()
        seconds_in_stage = dict.fromkeys(stages, 0.0)
        for name, trajectory in file.episodes(pixels=False):
            actors = _actors(trajectory)
            episodes.append(
                {
                    "name": name,
                    "steps": len(trajectory),
                    "seconds": round(len(trajectory) * timestep, 3),
                    "success_at": round(trajectory.success_step * timestep, 3),
                    "return": round(float(trajectory.rewards.sum()), 3),
                    "seed": list(trajectory.seed),
                    "acted": " and ".join(actors) or "unknown",
                }
            )
            for stage, count in zip(*np.unique(trajectory.stages[:-1], return_counts=True), strict=True):
                seconds_in_stage[stages[stage]] += int(count) * timestep
            steps_by.update(actors)
        images = file.data[file.names[0]].get(f"obs/{PIXELS}")
        masks = file.data.file.get("mask")
        count = len(episodes)
        return {
            "file": str(path),
            "bytes": path.stat().st_size,
            "format_version": file.version,
            "task": file.spec.task,
            "num_episodes": count,
            "num_steps": sum(each["steps"] for each in episodes),
            "seconds": round(sum(each["seconds"] for each in episodes), 3),
            "randomization": file.level,
            "camera_hz": file.camera_hz or 0,
            "images": "none" if images is None else " x ".join(map(str, images.shape[1:3])),
            "actions": "yes" if file.actions else "none, states alone",
            "body": file.body,
            "steps_by": dict(steps_by) or {"unknown": sum(each["steps"] for each in episodes)},
            "mean_seconds_in_stage": {name: round(seconds_in_stage[name] / count, 2) for name in stages},
            "masks": {} if masks is None else {name: len(members) for name, members in masks.items()},
            "episodes": episodes,
        }


def _actors(trajectory: Trajectory) -> dict[str, int]:
    """Control steps by who acted, most first."""
    if trajectory.acted_by is None:
        return {}
    counts = np.bincount(trajectory.acted_by, minlength=len(ACTORS))
    order = np.argsort(-counts, kind="stable")
    return {ACTORS[i]: int(counts[i]) for i in order if counts[i]}
