"""The public API: what a script or a notebook needs, in a few functions; the README shows them together.

What cannot be done is refused by a `handful.errors.HandfulError` that says what was expected. Everything is imported when
it is called, so ``import handful`` is quick.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from handful.environment import EVALUATION_SEED, TOOL_STATE
from handful.errors import ConfigurationError

if TYPE_CHECKING:
    from handful.demonstrations.operators.operator import Operator
    from handful.demonstrations.recorder import RecordingProgress
    from handful.learning.actors import Actor
    from handful.learning.evaluation import EvaluationResult
    from handful.learning.trained_policy import TrainedPolicy
    from handful.runs.config import RunConfig
    from handful.runs.phases import PhasedRun
    from handful.runs.training_run import TrainingRun
    from handful.tasks.environment import TaskEnvironment


def make(
    task: str, *, num_envs: int = 1, variant: str | None = None, arm: str = "jaco", **settings: Any
) -> TaskEnvironment:
    """Simulations of a task, such as ``block-lifting``, that step together: a `handful.environment.VectorEnvironment`.

    ``variant`` names one of the task's variants, see `handful.tasks.task.Task.variants`; None is the task itself.
    ``arm`` is that which does it, see `handful.simulation.arms.ARMS`.
    ``settings`` are as `handful.tasks.environment.TaskEnvironment` takes them, for example ``randomization="full"``.
    """
    from handful.tasks.environment import TaskEnvironment
    from handful.tasks.registry import make_task

    return TaskEnvironment(make_task(task, variant, arm), num_envs=num_envs, **settings)


def load_policy(policy: str | pathlib.Path) -> TrainedPolicy:
    """A trained policy that acts by its mean action, of a policy file, a run's folder, or a task for which one ships.

    For one's own script: ``policy.reset()`` where an episode begins, then ``action = policy.act(observation)`` at every
    control step. Observations are dictionaries of groups, of one episode or of several side by side, as those of the
    Gymnasium environments; the policy keeps its memory and the rate of its camera itself. ``manifest`` says what the policy
    is. See `handful.learning.trained_policy.TrainedPolicy`.

    Raises:
        ConfigurationError: there is no such policy.
        DataError: the file is damaged, or is something else.
    """
    from handful.learning.trained_policy import TrainedPolicy
    from handful.runs.policies import read_trained

    found = read_trained(str(policy))
    return TrainedPolicy(found.network, found.manifest)


def evaluate(
    actor: Actor,
    task: str,
    *,
    num_episodes: int = 200,
    seed: int = 0,
    camera_hz: int | None = None,
    force: bool = False,
    **settings: Any,
) -> EvaluationResult:
    """Run an actor, of `load_policy` or with the same ``reset`` and ``act``, from random starts.

    A policy that was trained on another task is refused, unless ``force``.

    The same seed gives the same episodes, none of which training draws. The camera's rate [Hz] and the arm are by default
    the policy's own, or 5 and the Jaco. ``settings`` are as `make` takes them.
    """
    from handful.learning.evaluation import evaluate_policy
    from handful.learning.persistence.policy_file import check_policy_fits
    from handful.runs.policies import arm_of, check_same_task

    if num_episodes < 1:
        raise ConfigurationError(f"expected at least 1 episode, got {num_episodes}.")
    manifest = getattr(actor, "manifest", None)
    rate = camera_hz or (manifest.camera_hz if manifest else 5)
    if manifest is not None:
        settings = {"tool_state": manifest.reads(TOOL_STATE), "arm": arm_of(manifest), **settings}
    environment = make(task, num_envs=min(64, num_episodes), camera_hz=rate, **settings)
    try:
        if manifest is not None:
            if not force:
                check_same_task(manifest, task, "given")
            check_policy_fits(manifest, environment.spec)
        return evaluate_policy(actor, environment, num_episodes=num_episodes, seed=EVALUATION_SEED + seed)
    finally:
        environment.close()


def record(
    task: str,
    path: str | pathlib.Path,
    *,
    operator: Operator | None = None,
    num_episodes: int = 30,
    num_envs: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    on_progress: Callable[[RecordingProgress], None] = lambda progress: None,
    **settings: Any,
) -> RecordingProgress:
    """Record demonstrations by an operator until a file holds enough successes.

    Args:
        task: Name of the task.
        path: File to write, or to fill up.
        operator: Who demonstrates, see `handful.demonstrations.operators.operator.Operator`; None is the task's script.
        num_episodes: Successes that the file shall hold (paper: 30).
        num_envs: Simulations that the operator steers at once; None is 8 for the script and 1 for any other operator.
        seed: Seed of the episodes and of the operator.
        overwrite: Whether to replace a file that is there.
        on_progress: Called at the beginning and after every episode.
        settings: As `make` takes them.
    """
    from handful.demonstrations.operators.scripted.script import make_scripted_operator
    from handful.demonstrations.recorder import RecordingProgress, record_demonstrations, recording_horizon
    from handful.demonstrations.writer import DemonstrationWriter
    from handful.tasks.registry import make_task

    count = min(num_envs or (1 if operator else 8), num_episodes)
    environment = make(task, num_envs=count, seed=seed, horizon=recording_horizon(make_task(task)), **settings)
    try:
        writer = DemonstrationWriter(path, environment, seed=seed, overwrite=overwrite, append=not overwrite)
        with contextlib.closing(writer):
            on_progress(RecordingProgress(len(writer), num_episodes, 0))
            return record_demonstrations(
                environment,
                operator or make_scripted_operator(task, count),
                writer,
                num_demonstrations=num_episodes,
                seed=seed,
                on_progress=on_progress,
            )
    finally:
        environment.close()


def recipe(task: str, name: str = "quick") -> RunConfig:
    """The configuration of a recipe for a task; `dataclasses.replace` changes it."""
    from handful.runs.recipes import find_recipe

    return find_recipe(name).config(task)


def train(
    task: str,
    config: RunConfig | str,
    *,
    demonstrations: str | pathlib.Path,
    run: str | pathlib.Path,
    minutes: float | None = None,
    num_steps: int | None = None,
    on_iteration: Callable[[dict[str, float]], None] = lambda metrics: None,
) -> TrainingRun | PhasedRun:
    """Begin a run, or resume the one in the folder ``run``, and train until a budget is spent or Ctrl-C.

    ``config`` is what `recipe` makes, or the name of a recipe, which may have several phases; `load_policy` takes the
    folder. Budgets are counted since the run began, in training time [min] or control steps; the phases of a recipe have
    their own. ``on_iteration`` is called with each iteration's metrics.
    """
    from handful.runs.phases import PhasedRun, begin_phases, has_phases, read_phases
    from handful.runs.recipes import find_recipe
    from handful.runs.training_run import open_or_begin

    if isinstance(config, str):
        (first, *others), folder = find_recipe(config).phases(task), pathlib.Path(run)
        if others:
            if has_phases(folder):
                phased = PhasedRun(folder, read_phases(folder))
            else:
                options = {"task": task, "recipe": config, "phases": (first, *others)}
                phased = begin_phases(folder, **options, demonstrations=pathlib.Path(demonstrations))
            phased.train(minutes=minutes, num_steps=num_steps, on_phase=lambda progress: on_iteration)
            return phased
        config = first.config
    if minutes is None and num_steps is None:
        raise ConfigurationError("expected a budget: minutes or num_steps.")
    training = open_or_begin(pathlib.Path(run), task=task, config=config, demonstrations=pathlib.Path(demonstrations))
    training.train(minutes=minutes, num_steps=num_steps, on_iteration=on_iteration)
    return training
