from __future__ import annotations

import contextlib

from handful.demonstrations.operators.scripted.script import make_scripted_operator
from handful.demonstrations.recorder import record_demonstrations
from handful.demonstrations.writer import DemonstrationWriter
from handful.tasks.environment import TaskEnvironment

TASK = "block-lifting"
SEED = 3


def make_environment(**options):
    defaults = {"num_envs": 2, "randomization": "full", "pixels": False, "horizon": 300, "num_threads": 2}
    return TaskEnvironment(TASK, **{**defaults, **options})


def record(path, num_demonstrations, *, environment=None, append=False, overwrite=False, on_progress=None):
    environment = environment or make_environment()
    writer = DemonstrationWriter(path, environment, seed=SEED, append=append, overwrite=overwrite)
    with contextlib.closing(writer):
        return record_demonstrations(
            environment,
            make_scripted_operator(TASK, environment.num_envs),
            writer,
            num_demonstrations=num_demonstrations,
            seed=SEED,
            on_progress=on_progress,
        )
