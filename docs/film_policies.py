"""Films what the policies that ship do, and how they typically fail.

python docs/film_policies.py                    all tasks whose policy ships
python docs/film_policies.py block-stacking     one

For each task it evaluates 48 random starts at ``full``, takes the first three that succeed and the first three that fail,
and writes them side by side to docs/videos/TASK.mp4, at twice the speed. Each cell shows the scene, what the policy sees of
it, the stage, and how it ended; the failures are in the lower row.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np
import torch

from handful.api import EVALUATION_SEED
from handful.learning.evaluation import evaluate_policy
from handful.runs.policies import SHIPPED, load_actor, read_policy
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment
from handful.viewing.filming import Film
from handful.viewing.sheet import VIEW_SIZE
from handful.viewing.video import EpisodeGridVideo

NUM_EPISODES = 48
NUM_OF_EACH = 3
SPEED = 2
LEVEL = "full"
VIDEOS = Path(__file__).parent / "videos"


def film(task: str) -> str:
    """Write the video of a task; returns a line that says what it shows."""
    policy = read_policy(task, None)
    settings = {"randomization": LEVEL, "camera_hz": policy.camera_hz}
    environment = TaskEnvironment(task, num_envs=NUM_EPISODES, **settings)
    actor = load_actor(policy, environment, seed=EVALUATION_SEED)
    result = evaluate_policy(actor, environment, num_episodes=NUM_EPISODES, seed=EVALUATION_SEED)
    environment.close()
    succeeded = [episode.env for episode in result.episodes if episode.success]
    failed = [episode.env for episode in result.episodes if not episode.success]
    shown = [*succeeded[:NUM_OF_EACH], *failed[:NUM_OF_EACH]]
    VIDEOS.mkdir(exist_ok=True)
    environment = TaskEnvironment(task, num_envs=len(shown), **settings)
    actor = load_actor(policy, environment, seed=EVALUATION_SEED)
    actor.reset(None)
    with (
        contextlib.closing(make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE)) as camera,
        EpisodeGridVideo(
            VIDEOS / f"{task}.mp4",
            num_rows=-(-len(shown) // NUM_OF_EACH),
            num_columns=NUM_OF_EACH,
            frame_rate=SPEED / environment.spec.control_timestep,
        ) as video,
    ):
        recorder = Film(environment.spec.stages, camera, video, len(shown))
        step = environment.reset(seeds=[[EVALUATION_SEED, number] for number in shown])
        recorder.add(step)
        ended = np.zeros(len(shown), bool)
        while not ended.all():
            step = environment.step(actor.act(step))
            recorder.add(step)
            ended |= step.done
            if step.done.any():
                actor.reset(step.done)
    environment.close()
    stages = [environment.spec.stages[result.episodes[number].final_stage] for number in failed[:NUM_OF_EACH]]
    ends = f"; the failures shown ended in {', '.join(repr(stage) for stage in stages)}" if stages else ""
    return f"{task}: {len(succeeded)} of {NUM_EPISODES} succeeded at {LEVEL}{ends}"


def main() -> None:
    """Film the tasks named, or all of which a policy ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="by default all whose policy ships")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for task in options.tasks or sorted(path.parent.name for path in SHIPPED.glob("*/policy.safetensors")):
        print(film(task), flush=True)


if __name__ == "__main__":
    main()
