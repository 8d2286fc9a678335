"""Runs of an experiment: which there are to be, what is left of them, and processes that train them side by side."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from handful.errors import ConfigurationError, StorageError
from handful.runs.config import RunConfig
from handful.runs.evaluations import find_runs, read_evaluations, run_folder
from handful.runs.experiment_worker import Budget
from handful.runs.experiments import Experiment, method_config
from handful.runs.folder import CONFIG_FILE, RunDescription, read_description, write_description
from handful.runs.interruption import Interruption

LOCK_FILE = ".lock"


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment."""

    folder: pathlib.Path
    task: str
    method: str
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Name for people."""
        return f"{self.task}, {self.method}, seed {self.seed}"

    def is_done(self, budget: Budget) -> bool:
        """Whether it has had its steps and its last evaluation."""
        evaluations = read_evaluations(self.folder)
        return bool(evaluations) and evaluations[-1].steps >= budget.num_steps


def plan_runs(
    experiment: Experiment,
    output: pathlib.Path,
    *,
    commons: Mapping[str, RunConfig],
    methods: Sequence[str],
    num_seeds: int,
) -> list[PlannedRun]:
    """The runs of some methods, in the order in which they are trained: seed by seed, in each of them task by task.

    ``commons`` holds for each task what all methods have in common.

    Raises:
        ConfigurationError: two methods are the same under these options.
    """
    runs = []
    for seed in range(num_seeds):
        for task, common in commons.items():
            configs: dict[RunConfig, str] = {}
            for name in methods:
                config = method_config(common, experiment.method(name), seed)
                if config in configs:
                    raise ConfigurationError(
                        f"with these options the methods {configs[config]} and {name} are the same: leave out an option, "
                        "or one of them by --methods."
                    )
                configs[config] = name
                runs.append(PlannedRun(run_folder(output, task, name, seed), task, name, seed, config))
    return runs


def check_folder(experiment: Experiment, output: pathlib.Path, commons: Mapping[str, RunConfig]) -> None:
    """Refuse a folder with runs of another configuration than these options give: they do not belong in one picture.

    Raises:
        ConfigurationError: a run has another task or configuration.
    """
    for task, common in commons.items():
        for method in experiment.methods:
            for seed, folder in find_runs(output, task, method.name).items():
                if not (folder / CONFIG_FILE).exists():
                    continue
                saved, wanted = read_description(folder), method_config(common, method, seed)
                threads = dataclasses.replace(saved.config, num_threads=wanted.num_threads)  # changes no bit of a run
                if (saved.task, threads) != (task, wanted):
                    raise ConfigurationError(
                        f"{folder} holds a run of {saved.task} with another configuration: name another folder by "
                        "--output, or give the options that it was begun with."
                    )


def check_episodes(runs: Iterable[PlannedRun], num_episodes: int) -> None:
    """Refuse another number of episodes than the evaluations that are there have, by a `ConfigurationError`."""
    for run in runs:
        for evaluation in read_evaluations(run.folder):
            if evaluation.num_episodes != num_episodes:
                raise ConfigurationError(
                    f"{run.folder} was evaluated in {evaluation.num_episodes} episodes at a time, not in {num_episodes}: "
                    "all points of a curve have as many."
                )


@contextlib.contextmanager
def locked(output: pathlib.Path) -> Iterator[int]:
    """Hold the folder of an experiment for one command, and for the processes that inherit the lock's descriptor.

    Raises:
        ConfigurationError: another command is training in it.
        StorageError: the folder cannot be made.
    """
    import fcntl

    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise StorageError(f"cannot make the folder {output}: {reason}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another 'handful reproduce' is training in {output}: wait until it ends."
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


class ExperimentRunner:
    """Trains runs side by side, each in a process of its own."""

    def __init__(
        self,
        budget: Budget,
        *,
        recipe: str,
        demonstrations: Mapping[str, pathlib.Path],
        lock: int,
        on_message: Callable[[PlannedRun, dict[str, Any]], None],
    ) -> None:
        """Prepare to train.

        ``demonstrations`` names a file for each task, ``lock`` is the descriptor of `locked`. ``on_message`` is called, by
        several threads, with what `handful.runs.experiment_worker` says of a run.
        """
        self._budget = budget
        self._recipe = recipe
        self._demonstrations = demonstrations
        self._lock = lock
        self._on_message = on_message
        self._guard = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopping = False

    def train(
        self, runs: Sequence[PlannedRun], *, num_processes: int, on_end: Callable[[], object]
    ) -> tuple[bool, dict[PlannedRun, str]]:
        """Train runs, ``num_processes`` at a time; ``on_end`` is called when some have ended.

        Ctrl-C stops all of them where they can save. Returns False if the user interrupted, and the
        runs that failed, with what they said; a failure does not stop the others.
        """
        failures: dict[PlannedRun, str] = {}
        with Interruption() as interruption, ThreadPoolExecutor(num_processes) as threads:
            try:
                pending: dict[Future[str | None], PlannedRun] = {threads.submit(self._train, run): run for run in runs}
                while pending and not interruption.requested:
                    ended, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in ended:
                        run, problem = pending.pop(future), future.result()
                        if problem is not None:
                            failures[run] = problem
                    if ended:
                        on_end()
            finally:
                self._stop()
                threads.shutdown(cancel_futures=True)
        return not interruption.requested, failures

    def _train(self, run: PlannedRun) -> str | None:
        """Train one run in a process and wait for its end; returns what went wrong."""
        if not (run.folder / CONFIG_FILE).exists():
            where = self._demonstrations[run.task]
            write_description(run.folder, RunDescription(run.task, where, self._recipe, run.config))
        numbers = map(str, dataclasses.astuple(self._budget))
        with self._guard:
            if self._stopping:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "handful.runs.experiment_worker", str(run.folder), *numbers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C reaches it through us alone, once
                pass_fds=(self._lock,),
            )
            self._processes.add(process)
        problem = None
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                message = json.loads(line)
                problem = message.get("error", problem)
                self._on_message(run, message)
        with self._guard:
            self._processes.discard(process)
            if process.returncode == 0 or self._stopping:
                return None
        return problem or f"its process ended with the status {process.returncode}."

    def _stop(self) -> None:
        with self._guard:
            self._stopping = True
            for process in self._processes:
                process.send_signal(signal.SIGTERM)
