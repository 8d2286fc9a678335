"""A training run as a folder: its configuration, demonstrations, metrics, checkpoint and policy.

The folder holds ``config.json``, ``demonstrations.hdf5`` unless they lie elsewhere, ``metrics.csv`` and TensorBoard files,
``checkpoint.safetensors`` with everything needed to go on, and ``policy.safetensors``; ``failure`` if training broke down.
``config.json`` is there from the first moment, so that a run goes on wherever it was killed, and before its first
checkpoint too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.sequences import expert_sequences
from handful.demonstrations.starts import (
    CLUSTERS,
    DemonstrationStarts,
    expert_data,
    mean_demonstration_return,
    start_probability,
)
from handful.errors import ConfigurationError, DataError, StorageError, TrainingError, unknown_name
from handful.learning.algorithms.gail import ExpertData
from handful.learning.metrics import MetricsWriter, metric_names
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint
from handful.learning.persistence.failure import replay, write_replay
from handful.learning.persistence.policy_file import PolicyManifest, save_policy
from handful.learning.trainer import Trainer
from handful.profiling import span
from handful.runs.config import RunConfig
from handful.runs.config_file import read_config, write_config
from handful.runs.interruption import Interruption
from handful.simulation.physics.protocol import check_backend
from handful.simulation.randomization import parse_level
from handful.simulation.rendering.camera import check_renderer
from handful.tasks.environment import CAMERA_RATES, TaskEnvironment
from handful.tasks.registry import make_task
from handful.trajectory import ExpertSequences

CONFIG, CHECKPOINT, POLICY, DEMONSTRATIONS, METRICS, REPLAY = (
    "config.json",
    "checkpoint.safetensors",
    "policy.safetensors",
    "demonstrations.hdf5",
    "metrics.csv",
    "failure",
)
"""Names of a run's files."""

TASKS_THAT_CLONE = ("pouring", "order-fulfillment")
"""Tasks whose training clones the demonstrations first, unless told otherwise."""

CLONING_EPOCHS = 200
"""Passes over the demonstrations of tasks that begin by cloning (ours)."""

CLONING_ENVS = 32
"""Simulations in which the states of demonstrations are looked at."""


class TrainingRun:
    """A run in its folder, new or gone on with."""

    def __init__(
        self, folder: pathlib.Path, *, task: str, config: RunConfig, demonstrations: pathlib.Path, resume: bool
    ) -> None:
        """Build the environment and the trainer, and load the checkpoint if there is one to go on from.

        Args:
            folder: The run's folder, which exists.
            task: Name of the task.
            config: The run's configuration.
            demonstrations: File of demonstrations.
            resume: Whether to go on from the folder's checkpoint.

        Raises:
            HandfulError: an option, a file or the disk is not as it should be.
        """
        import torch

        self.folder = folder
        self.task = task
        self.config = config
        torch.set_num_threads(config.torch_threads)
        self.demonstrations = load_demonstrations(demonstrations, task, pixels=False)
        self._demonstrations_digest = _digest(demonstrations)
        self.environment = self._environment(num_envs=config.num_envs, starts=self._starts(), staggered=True)
        features, actions = expert_data(self.demonstrations, config.curriculum.cut_after_success)
        self.trainer = Trainer(
            config.trainer,
            self.environment,
            ExpertData(features, actions),
            sequences=self._sequences(),
            num_threads=self.environment.physics.num_threads,
        )
        if resume:
            state = load_checkpoint(folder / CHECKPOINT)
            if state.get("demonstrations", self._demonstrations_digest) != self._demonstrations_digest:
                raise DataError(
                    f"{demonstrations} is not what the run {folder} began with: a run goes on with the same "
                    "demonstrations, so bring that file back or begin a new run."
                )
            self.trainer.load_state_dict(state)
        else:
            if config.start_from is not None:
                self.trainer.load_networks(load_checkpoint(pathlib.Path(config.start_from) / CHECKPOINT))
            write_run_config(folder, task=task, demonstrations=demonstrations, config=config)
            self.save()

    def train(
        self,
        *,
        minutes: float | None,
        num_steps: int | None,
        on_iteration: Callable[[dict[str, float]], None],
        checkpoint_seconds: float = 30.0,
    ) -> bool:
        """Train until the budget is spent; saves every half minute and at the end.

        Args:
            minutes: Budget of training time, counted from the start of the run [min]; None is no bound.
            num_steps: Budget of control steps, counted from the start of the run; None is no bound.
            on_iteration: Called with each iteration's metrics, and with those of each pass of cloning.
            checkpoint_seconds: Time between two checkpoints [s].

        Returns:
            Whether the budget was spent; False if the user interrupted.

        Raises:
            TrainingError: something is not a finite number; the last good checkpoint stays, and a replay is written.
        """
        if self.spent(minutes, num_steps):
            return True
        if self.cloning_epochs and not self.trainer.cloned and not self._clone(on_iteration):
            return False
        names = metric_names(self.environment.spec)
        saved_at = time.monotonic()
        with (
            Interruption() as interruption,
            contextlib.closing(MetricsWriter(self.folder, names, resume_after=self.trainer.iteration)) as writer,
        ):
            while (self.trainer.iteration == 0 or not self.spent(minutes, num_steps)) and not interruption.requested:
                try:
                    metrics = self.trainer.iterate()
                except TrainingError as error:
                    raise self._failure(error) from error
                with span("report"):
                    writer.write(metrics)
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
        """Passes of cloning with which the run begins: none for reinforcement alone, nor for another run's policy."""
        trainer = self.config.trainer
        if trainer.imitation_weight == 0 or self.config.start_from is not None:
            return 0
        if trainer.cloning.epochs is not None:
            return trainer.cloning.epochs
        return CLONING_EPOCHS if self.task in TASKS_THAT_CLONE else 0

    def _clone(self, on_pass: Callable[[dict[str, float]], None]) -> bool:
        """Clone the demonstrations, and save; False if the user interrupted, and then nothing has changed on disk."""
        with Interruption() as interruption, span("cloning"):
            for metrics in self.trainer.clone(self.cloning_epochs):
                on_pass(metrics)
                if interruption.requested:
                    return False
        self.save()
        return True

    def replay(self) -> TrainingError | None:
        """Go from the checkpoint before the run's failure to the failure again.

        Returns:
            The error, or None if it did not come again.

        Raises:
            DataError: the run has not failed.
        """
        return replay(self.folder / REPLAY, self.trainer)

    def _failure(self, error: TrainingError) -> TrainingError:
        """Keep what leads to the error again; returns the error with what a user can do about it."""
        folder = self.folder / REPLAY
        write_replay(folder, checkpoint=self.folder / CHECKPOINT, trainer=self.trainer, error=error)
        return TrainingError(
            f"{error} The last good checkpoint stays in {self.folder}, and {folder} keeps what led to this; to see it "
            f"again: handful train {self.task} --replay {self.folder}"
        )

    def save(self) -> None:
        """Write policy and checkpoint, each whole or not at all."""
        mean, interval = mean_demonstration_return(self.demonstrations, self.environment.spec.horizon)
        training = {
            "steps": self.trainer.steps,
            "seconds": self.trainer.seconds,
            "randomization": self.config.randomization,
            "config": json.loads(json.dumps(dataclasses.asdict(self.config))),
            "demonstrations": {
                "num_episodes": len(self.demonstrations),
                "mean_return": mean,
                "return_interval": list(interval),
            },
        }
        manifest = PolicyManifest.of(self.trainer.average.policy, self.environment.spec, training=training)
        save_policy(self.folder / POLICY, self.trainer.average.policy, manifest)
        state = {**self.trainer.state_dict(), "demonstrations": self._demonstrations_digest}
        save_checkpoint(self.folder / CHECKPOINT, state)

    def close(self) -> None:
        """Stop the threads."""
        self.environment.close()

    def _environment(self, *, num_envs: int, **options: Any) -> TaskEnvironment:
        return TaskEnvironment(
            self.task,
            num_envs=num_envs,
            randomization=self.config.randomization,
            camera_hz=self.config.camera_hz,
            renderer=self.config.renderer,
            num_threads=self.config.num_threads,
            backend=self.config.backend,
            **options,
        )

    def _sequences(self) -> ExpertSequences | None:
        if not self.cloning_epochs:
            return None
        with contextlib.closing(self._environment(num_envs=CLONING_ENVS)) as environment:
            cut = self.config.curriculum.cut_after_success
            return expert_sequences(self.demonstrations, environment, cut_after_success_s=cut)

    def _starts(self) -> DemonstrationStarts | None:
        curriculum = self.config.curriculum
        if curriculum.random_start_probability >= 1.0:
            return None
        seconds, max_length = curriculum.max_seconds, None
        if not math.isinf(seconds):
            max_length = max(1, round(seconds / self.demonstrations.control_timestep))
        horizon = make_task(self.task).horizon
        share = curriculum.random_start_probability
        return DemonstrationStarts(
            self.demonstrations,
            random_start_probability=start_probability(share, horizon=horizon, max_length=max_length),
            clusters=curriculum.clusters,
            max_length=max_length,
            include_solved=curriculum.include_solved,
            cut_after_success_s=curriculum.cut_after_success,
        )


def write_run_config(folder: pathlib.Path, *, task: str, demonstrations: pathlib.Path, config: RunConfig) -> None:
    """Make the folder of a run, with the file that says what it is.

    Demonstrations inside the folder are named relative to it, so that it can be moved; others by their absolute path, so
    that the run can be gone on with from anywhere.

    Raises:
        StorageError: the disk refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise StorageError(f"cannot make the folder {folder} of the run: {reason}.") from error
    where = demonstrations.absolute()
    if where.is_relative_to(folder.absolute()):
        where = where.relative_to(folder.absolute())
    write_config(folder / CONFIG, {"task": task, "demonstrations": str(where)}, config)


def open_run(folder: pathlib.Path) -> tuple[str, pathlib.Path, RunConfig]:
    """Task, demonstrations and configuration of the run in ``folder``.

    Raises:
        DataError: the folder holds no run that can go on.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} holds no run to go on with: {CONFIG} is missing.")
    header, config = read_config(folder / CONFIG, RunConfig)
    try:
        return str(header["task"]), folder / str(header["demonstrations"]), config
    except KeyError as error:
        raise DataError(f"{folder / CONFIG} lacks the entry {error}.") from error


def check_settings(config: RunConfig) -> None:
    """Refuse settings of the environment that do not exist, before anything is made of them.

    Raises:
        ConfigurationError: no such level of randomisation, camera rate, renderer or backend; the choices are named.
    """
    parse_level(config.randomization)
    if config.camera_hz not in CAMERA_RATES:
        choices = ", ".join(map(str, CAMERA_RATES))
        raise ConfigurationError(f"unknown camera rate {config.camera_hz} Hz; the choices are: {choices}.")
    check_renderer(config.renderer)
    check_backend(config.backend)
    if config.curriculum.clusters not in CLUSTERS:
        raise unknown_name("way to draw demonstration states", config.curriculum.clusters, CLUSTERS)


def check_new(folder: pathlib.Path) -> None:
    """Refuse a folder that holds a run already.

    Raises:
        ConfigurationError: it does.
    """
    if (folder / CHECKPOINT).exists():
        raise ConfigurationError(
            f"{folder} holds a run already: go on with it by --resume {folder}, or name another folder by --run."
        )


def _digest(path: pathlib.Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
