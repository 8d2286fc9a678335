"""How well grasps hold at different time steps and stiffnesses of friction, and what they cost.

    python benchmarks/grasp_stability.py

prints a row for each setting: the scripted operator's success at randomisation ``full`` in lifting and stacking; of the
blocks that hang in the hand after six seconds, how many still do ten seconds later, and how far they have crept along the
fingers by then; and the processor time of a control step of stacking by script.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.environment import EVALUATION_SEED
from handful.learning.evaluation import evaluate_policy
from handful.simulation import scene
from handful.tasks.environment import TaskEnvironment
from handful.tasks.lifting import BLOCK

SETTINGS = ((0.005, 10.0), (0.01, 10.0), (0.01, 30.0), (0.01, 100.0), (0.01, 300.0), (0.0125, 30.0), (0.025, 30.0))
"""Time step [s] and stiffness of friction."""

NUM_HELD = 64
LIFTED_AFTER, HELD_FOR = 120, 200
"""Control steps until a block should hang in the hand, and for how long it is then held."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-episodes", type=int, default=96)
    episodes = parser.parse_args().num_episodes
    print("step [ms]  stiffness  lifting  stacking  held after 10 s  crept, median and 90% [mm]  us a control step")
    for timestep, stiffness in SETTINGS:
        scene.PHYSICS_TIMESTEP, scene.FRICTION_STIFFNESS = timestep, stiffness
        lifting, stacking = (_scripted_success(task, episodes) for task in ("block-lifting", "block-stacking"))
        held, still, crept = _holding()
        print(
            f"{1e3 * timestep:9.1f} {stiffness:10.0f} {lifting:8.1%} {stacking:9.1%} {still:9} of {held} "
            f"{np.median(crept):16.1f} {np.quantile(crept, 0.9):12.1f} {_microseconds():18.0f}",
            flush=True,
        )


def _scripted_success(task: str, num_episodes: int) -> float:
    environment = TaskEnvironment(task, num_envs=32, randomization="full", pixels=False)
    actor = ScriptedActor(environment, seed=EVALUATION_SEED)
    return evaluate_policy(actor, environment, num_episodes=num_episodes, seed=EVALUATION_SEED).success_rate


def _holding() -> tuple[int, int, np.ndarray]:
    """Blocks that hang in the hand, those that still do later, and how far these have crept [mm]."""
    environment = TaskEnvironment(
        "block-lifting", num_envs=NUM_HELD, randomization="full", pixels=False, horizon=10_000
    )
    actor = ScriptedActor(environment)
    actor.reset(None)
    step = environment.reset()
    for _ in range(LIFTED_AFTER):
        step = environment.step(actor.act(step))
    lifted, before = step.stage == 2, _block_in_hand(environment)
    squeeze = np.zeros((NUM_HELD, 9), np.float32)
    squeeze[:, 6:] = 1.0
    for _ in range(HELD_FOR):
        step = environment.step(squeeze)
    still = lifted & (step.stage == 2)
    crept = np.linalg.norm(_block_in_hand(environment) - before, axis=1)[still]
    return int(lifted.sum()), int(still.sum()), 1e3 * crept


def _block_in_hand(environment: TaskEnvironment) -> np.ndarray:
    """Block's centre in the tool's frame [m], [env, 3]."""
    snapshot = environment.snapshot
    return np.einsum("eji,ej->ei", snapshot.tcp_rotation, snapshot.position(BLOCK) - snapshot.tcp_position)


def _microseconds() -> float:
    """Processor time of a control step of block stacking by its script, without camera and script, on one thread [us]."""
    environment = TaskEnvironment("block-stacking", num_envs=64, randomization="full", pixels=False, num_threads=1)
    actor = ScriptedActor(environment)
    actor.reset(None)
    step, seconds, num_steps = environment.reset(), 0.0, 160
    for _ in range(num_steps):
        action = actor.act(step)
        start = time.process_time()
        step = environment.step(action)
        seconds += time.process_time() - start
    return 1e6 * seconds / num_steps / environment.num_envs


if __name__ == "__main__":
    main()
