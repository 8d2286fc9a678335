"""A training run: environment, demonstrations and trainer behind its folder (`handful.runs.folder`)."""

from __future__ import annotations

import contextlib
import hashlib
import math
import pathlib
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch

from handful.config import to_json
from handful.demonstrations.conversion import converted
from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.sequences import demonstration_sequences
from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PIXELS, TOOL_STATE
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.algorithms.distillation import Teacher
from handful.learning.algorithms.reinforcement import ReinforcementImitation
from handful.learning.evaluation import mean_interval
from handful.learning.metrics import metric_names
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.persistence.policy_file import PolicyManifest, check_policy_fits, save_policy
from handful.learning.trainer import Trainer
from handful.profiling import span
from handful.runs.config import RunConfig, check_settings
from handful.runs.failure import reproduce_failure, write_failure
from handful.runs.folder import (
    CHECKPOINT_FILE,
    FAILURE_FOLDER,
    LOCK_FILE,
    POLICY_FILE,
    TEACHER_FILE,
    WRITTEN_FILES,
    RunDescription,
    check_new,
    make_folder,
    read_description,
    write_description,
)
from handful.runs.interruption import Interruption
from handful.runs.logs import EpisodeWriter, MetricsWriter
from handful.runs.other_runs import read_networks, read_teacher
from handful.runs.starts import control_steps, failures_in, make_starts
from handful.storage import lock, remove_leftovers, write_atomically
from handful.tasks.conditions import make_environment
from handful.tasks.registry import make_task

CLONING_SHARE = 0.5
"""Largest part of a budget of training time that the copying of demonstrations may take (our choice)."""


class TrainingRun:
    """A run in its folder, new or resumed."""

    def __init__(self, folder: pathlib.Path, description: RunDescription, *, resume: bool) -> None:
        """Build the environment and the trainer, and load the folder's checkpoint if the run is resumed."""
        check_settings(description.config)
        self.folder = folder
        if resume:
            self._lock()
        self.task = description.task
        config = self.config = description.config
        torch.set_num_threads(config.torch_threads)
        teacher = read_teacher(folder, description, resume=resume)
        self.environment = make_environment(
            make_task(self.task, config.variant, config.arm),
            conditions=config.conditions,
            num_envs=config.num_envs,
            randomization=config.randomization,
            camera_hz=config.camera_hz,
            renderer=config.renderer,
            num_threads=config.num_threads,
            backend=config.backend,
            pixels=config.needs_pixels,
            staggered=True,
            tool_state=TOOL_STATE in config.groups or (teacher is not None and teacher.manifest.reads(TOOL_STATE)),
            end_when_lost=config.curriculum.end_when_lost,
            held_steps=control_steps(config.curriculum.max_held_seconds),
            fresh_looks=config.curriculum.fresh_looks,
        )
        if teacher is not None:
            check_policy_fits(teacher.manifest, self.environment.spec)
        of_task = config.variant is None
        spec = DemonstrationSpec.of(self.environment) if of_task else DemonstrationSpec.of_task(self.task, config.arm)
        demonstrations = load_demonstrations(description.demonstrations, spec, pixels=False)
        self.demonstrations = demonstrations if config.variant is None else converted(demonstrations, self.environment)
        self._digest = _digest(description.demonstrations)
        cut = self.demonstrations.cut_after_success(config.curriculum.cut_after_success)
        given = failures_in(config.retries_from, self.environment) if config.retries_from and not resume else ()
        self.environment.starts = make_starts(config.curriculum, cut, self.environment, given=given)
        frames = bool(self.cloning_epochs) and PIXELS in config.trainer.policy.groups
        sequences = demonstration_sequences(cut, self.environment, frames=frames, groups=config.groups)
        num_threads = self.environment.physics.num_threads
        self.trainer = Trainer(
            config.trainer,
            self.environment,
            sequences,
            teacher=None if teacher is None else Teacher(teacher.policy.to(config.trainer.device)),
            num_threads=num_threads,
        )
        if resume:
            state = load_checkpoint(folder / CHECKPOINT_FILE)
            if state.get("demonstrations", self._digest) != self._digest:
                raise DataError(
                    f"{description.demonstrations} is not what the run {folder} began with: a run is resumed with the "
                    "same demonstrations, so bring that file back or begin a new run."
                )
            try:
                self.trainer.load_state_dict(state)
            except DataError as error:
                raise DataError(f"{folder / CHECKPOINT_FILE}: {error}") from error
        else:
            if config.start_from is not None:
                self.trainer.load_networks(read_networks(config.start_from, description.task))
                if config.restart_learning_rate and isinstance(self.trainer.algorithm, ReinforcementImitation):
                    self.trainer.algorithm.ppo.restart_learning_rate()
            if teacher is not None and isinstance(self.trainer.algorithm, ReinforcementImitation):
                self.trainer.algorithm.load_judges(load_checkpoint(teacher.source.parent / CHECKPOINT_FILE))
            make_folder(folder)  # not before all else is known to be right
            self._lock()
            check_new(folder)  # or another process has begun one meanwhile
            write_description(folder, description)
            if teacher is not None:
                write_atomically(folder / TEACHER_FILE, teacher.source.read_bytes())
            self.save()

    def train(
        self,
        *,
        minutes: float | None,
        num_steps: int | None,
        on_iteration: Callable[[dict[str, float]], None] = lambda metrics: None,
        checkpoint_seconds: float = 30.0,
        wandb: bool = False,
    ) -> bool:
        """Train until the budget is spent; returns False if the user interrupted before.

        Budgets of training time [min] and of control steps are counted from the start of the run; None is no bound. It
        saves every ``checkpoint_seconds`` and at the end. ``on_iteration`` is called with each iteration's metrics, and with
        those of each pass of cloning. ``wandb`` sends them to Weights & Biases too.

        Raises:
            TrainingError: something is not a finite number; the last good checkpoint stays, and the failure is kept.
        """
        if self.spent(minutes, num_steps):
            return True
        if self.cloning_epochs and not self.trainer.prepared and not self._clone(on_iteration, minutes):
            return False
        trainer, names = self.trainer, metric_names(self.environment.spec)
        saved_at = time.monotonic()
        with (
            Interruption() as interruption,
            contextlib.closing(MetricsWriter(self.folder, names, resume_after=trainer.iteration, wandb=wandb)) as log,
            contextlib.closing(EpisodeWriter(self.folder, resume_after=trainer.iteration)) as episode_log,
        ):
            while (trainer.iteration == 0 or not self.spent(minutes, num_steps)) and not interruption.requested:
                try:
                    metrics = trainer.iterate()
                    if self.environment.starts is not None:
                        metrics |= self.environment.starts.metrics()
                except TrainingError as error:
                    raise self._failure(error) from error
                with span("report"):
                    log.write(metrics)
                    episode_log.write_episodes(trainer.ended_episodes, iteration=trainer.iteration, steps=trainer.steps)
                    on_iteration(metrics)
                if time.monotonic() - saved_at > checkpoint_seconds:
                    with span("checkpoint"):
                        self.save()
                    saved_at = time.monotonic()
            self.save()
        return self.spent(minutes, num_steps)

    def spent(self, minutes: float | None, num_steps: int | None) -> bool:
        """Whether one of the budgets, as `train` takes them, is used up."""
        out_of_time = minutes is not None and self.trainer.seconds >= 60.0 * minutes
        return out_of_time or (num_steps is not None and self.trainer.steps >= num_steps)

    @property
    def cloning_epochs(self) -> int:
        """Passes of cloning with which the run begins: none for reinforcement alone, nor for another run's policy.

        There are none either where the demonstrations hold no actions; what else learns from them needs only states.
        """
        trainer = self.config.trainer
        if (
            not self.demonstrations.hold_actions
            or self.config.distills
            or trainer.imitation_weight == 0
            or self.config.start_from is not None
        ):
            return 0
        return trainer.cloning.epochs

    def _clone(self, on_pass: Callable[[dict[str, float]], None], minutes: float | None) -> bool:
        """Clone the demonstrations, and save; False if the user interrupted, and then nothing has changed on disk.

        It takes at most `CLONING_SHARE` of a budget of ``minutes`` [min].
        """
        max_seconds = math.inf if minutes is None else 60.0 * CLONING_SHARE * minutes
        with Interruption() as interruption, span("cloning"):
            for metrics in self.trainer.prepare(self.cloning_epochs, max_seconds=max_seconds):
                on_pass(metrics)
                if interruption.requested:
                    return False
        self.save()
        return True

    def reproduce_failure(self) -> TrainingError | None:
        """Run from the checkpoint before the run's failure to the failure again; None if it does not come again."""
        return reproduce_failure(self.folder / FAILURE_FOLDER, self.trainer)

    def _failure(self, error: TrainingError) -> TrainingError:
        """Keep what leads to the error again; returns the error with what a user can do about it."""
        folder = self.folder / FAILURE_FOLDER
        write_failure(folder, checkpoint=self.folder / CHECKPOINT_FILE, trainer=self.trainer, error=error)
        return TrainingError(
            f"{error} The last good checkpoint stays in {self.folder}, and {folder} keeps what led to this; to see it "
            f"again: handful train {self.task} --reproduce-failure {self.folder}"
        )

    def save(self) -> None:
        """Write policy and checkpoint, each whole or not at all."""
        returns = self.demonstrations.returns(self.environment.spec.horizon)
        training = {
            "steps": self.trainer.steps,
            "randomization": self.config.randomization,
            "config": _of_any_machine(self.config),
            "demonstrations": {
                "num_episodes": len(self.demonstrations),
                "mean_return": float(returns.mean()),
                "return_interval": list(mean_interval(returns)),
            },
        }
        manifest = PolicyManifest.of(self.trainer.average.policy, self.environment.spec, training=training)
        save_policy(self.folder / POLICY_FILE, self.trainer.average.policy, manifest)
        save_checkpoint(self.folder / CHECKPOINT_FILE, {**self.trainer.state_dict(), "demonstrations": self._digest})

    def close(self) -> None:
        """Stop the threads, and let other processes resume the run."""
        self.environment.close()
        self._unlock()

    def _lock(self) -> None:
        """Keep other processes from the folder, as long as this run is open, and remove what killed ones left in it."""
        self._unlock = weakref.finalize(self, lock(self.folder / LOCK_FILE, what=f"the run {self.folder}"))
        for name in WRITTEN_FILES:
            remove_leftovers(self.folder / name)


def open_or_begin(
    folder: pathlib.Path, *, task: str, config: RunConfig, demonstrations: pathlib.Path, recipe: str = "custom"
) -> TrainingRun:
    """The run in a folder, resumed, or a new one.

    Raises:
        ConfigurationError: the folder holds a run of another task or configuration.
    """
    description = RunDescription(task=task, demonstrations=demonstrations, recipe=recipe, config=config)
    if not (folder / CHECKPOINT_FILE).exists():
        return TrainingRun(folder, description, resume=False)
    saved = read_description(folder)
    if (saved.task, saved.config) != (task, config):
        raise ConfigurationError(
            f"{folder} holds a run of {saved.task} with another configuration: name another folder."
        )
    return TrainingRun(folder, description, resume=True)


def _of_any_machine(config: RunConfig) -> dict[str, Any]:
    """A configuration as it stands in a policy's file, the same wherever the run was: names of folders, not their paths."""
    values = to_json(config)
    del values["num_threads"]  # which changes no bit
    for name in ("teacher", "start_from", "retries_from"):
        values[name] = values[name] and pathlib.Path(values[name]).name
    return values


def _digest(path: pathlib.Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
