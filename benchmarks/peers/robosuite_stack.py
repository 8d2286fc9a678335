"""Steps of robosuite's Stack with a Jaco per second, with a 64 x 64 camera at 20 Hz and without.

Runs in its own environment.
"""

import json
import sys
import time

import numpy as np
import robosuite


def measure(seconds: float, *, camera: bool) -> float:
    environment = robosuite.make(
        "Stack",
        robots="Jaco",
        has_renderer=False,
        has_offscreen_renderer=camera,
        use_camera_obs=camera,
        camera_names="frontview",
        camera_heights=64,
        camera_widths=64,
        control_freq=20,
        horizon=1_000_000,
    )
    environment.reset()
    generator = np.random.default_rng(0)
    low, high = environment.action_spec
    for _ in range(3):
        environment.step(generator.uniform(low, high))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        environment.step(generator.uniform(low, high))
        count += 1
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    duration = float(sys.argv[1])
    figures = {"camera": measure(duration, camera=True), "physics": measure(duration, camera=False)}
    print(json.dumps({"name": f"robosuite {robosuite.__version__} Stack, Jaco", **figures}))
