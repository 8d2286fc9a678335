"""Steps of dm_control's stacking of two bricks by a Jaco per second, at 20 Hz, with a 64 x 64 camera and without.

Runs in its own environment.
"""

import importlib.metadata
import json
import sys
import time

import numpy as np
from dm_control import composer
from dm_control.manipulation import bricks
from dm_control.manipulation.shared import observations


def measure(seconds: float, *, camera: bool) -> float:
    settings = observations.VISION if camera else observations.PERFECT_FEATURES
    if camera:
        settings = settings._replace(camera=settings.camera._replace(height=64, width=64))
    task = bricks._stack(obs_settings=settings, num_bricks=2, moveable_base=False, randomize_order=False)
    task.control_timestep = 0.05
    environment = composer.Environment(task, random_state=0)
    environment.reset()
    spec = environment.action_spec()
    generator = np.random.default_rng(0)
    for _ in range(3):
        environment.step(generator.uniform(np.maximum(spec.minimum, -1), np.minimum(spec.maximum, 1)))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        environment.step(generator.uniform(np.maximum(spec.minimum, -1), np.minimum(spec.maximum, 1)))
        count += 1
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    duration = float(sys.argv[1])
    figures = {"camera": measure(duration, camera=True), "physics": measure(duration, camera=False)}
    print(json.dumps({"name": f"dm_control {importlib.metadata.version('dm-control')} stack_2_bricks", **figures}))
