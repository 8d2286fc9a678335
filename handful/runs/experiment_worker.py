"""A process that trains one run of an experiment and evaluates it on the way, begun by `handful.runs.experiment_run`.

It writes a JSON object a line on its standard output: ``{"steps": N}`` about every second, ``{"evaluation": {...}}`` after
each evaluation, and ``{"error": "..."}`` where it cannot continue.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import time
from typing import Any

from handful.environment import EVALUATION_SEED
from handful.errors import HandfulError
from handful.runs.evaluations import Evaluation, read_evaluations, write_evaluations
from handful.runs.folder import CHECKPOINT_FILE, read_description

INTERRUPTED = 130
"""Exit status of a process that was asked to stop and has saved."""

_MESSAGES = sys.stdout
"""Where messages go; what libraries print goes to standard error."""

MAX_ENVS = 64
"""Most simulations that run together in an evaluation; the episodes do not depend on it."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long every run of an experiment is, and how it is evaluated."""

    num_steps: int
    """Control steps of each run."""
    num_evaluations: int
    """Evaluations over the run, at equal distances; the last one is at its end."""
    num_episodes: int
    """Episodes in each evaluation, of the same seeds in all of them."""

    @property
    def targets(self) -> list[int]:
        """Control steps after which a run is evaluated."""
        return [-(-self.num_steps * number // self.num_evaluations) for number in range(1, self.num_evaluations + 1)]


def train_and_evaluate(folder: pathlib.Path, budget: Budget) -> bool:
    """Train the run in a folder, new or resumed, and evaluate it on the way; False if it was interrupted before its end."""
    from handful.runs.training_run import TrainingRun

    evaluations, said_at = read_evaluations(folder), 0.0

    def say_steps(metrics: dict[str, float]) -> None:
        nonlocal said_at
        if "steps" in metrics and time.monotonic() - said_at > 1.0:
            said_at = time.monotonic()
            _say(steps=int(metrics["steps"]))

    run = TrainingRun(folder, read_description(folder), resume=(folder / CHECKPOINT_FILE).exists())
    try:
        for target in budget.targets:
            if evaluations and evaluations[-1].steps >= target:
                continue
            if not run.train(minutes=None, num_steps=target, on_iteration=say_steps):
                return False
            evaluations.append(evaluate(folder, steps=run.trainer.steps, num_episodes=budget.num_episodes))
            write_evaluations(folder, evaluations)
            _say(evaluation=dataclasses.asdict(evaluations[-1]))
    finally:
        run.close()
    return True


def evaluate(folder: pathlib.Path, *, steps: int, num_episodes: int) -> Evaluation:
    """Evaluate the policy in a run's folder as ``handful evaluate`` does: mean actions, the same episodes for every run."""
    from handful.learning.evaluation import evaluate_policy
    from handful.runs.policies import load_actor, read_policy
    from handful.tasks.environment import TaskEnvironment
    from handful.tasks.registry import make_task

    description = read_description(folder)
    config, policy = description.config, read_policy(description.task, str(folder))
    environment = TaskEnvironment(
        make_task(description.task, config.variant, config.arm),
        num_envs=min(MAX_ENVS, num_episodes),
        randomization=config.randomization,
        camera_hz=config.camera_hz,
        renderer=config.renderer,
        num_threads=config.num_threads,
        backend=config.backend,
        pixels=policy.sees_pixels,
        tool_state=policy.sees_tool_state,
    )
    try:
        actor = load_actor(policy, environment, seed=EVALUATION_SEED)
        result = evaluate_policy(actor, environment, num_episodes=num_episodes, seed=EVALUATION_SEED)
    finally:
        environment.close()
    return Evaluation(steps, num_episodes, result.success_rate, result.mean_return)


def _say(**message: Any) -> None:
    print(json.dumps(message), file=_MESSAGES, flush=True)


def main(words: list[str]) -> int:
    """Train the run in the folder that the first word names, with the budget of the other words; returns the status."""
    global _MESSAGES
    _MESSAGES = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, *numbers = words
    try:
        return 0 if train_and_evaluate(pathlib.Path(folder), Budget(*map(int, numbers))) else INTERRUPTED
    except HandfulError as error:
        _say(error=str(error))
        return 1
    except BrokenPipeError:  # whoever began this process is gone; the last checkpoint stays
        os.dup2(os.open(os.devnull, os.O_WRONLY), _MESSAGES.fileno())  # so that the flush at exit does not fail again
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
