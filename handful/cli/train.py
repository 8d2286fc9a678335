"""``handful train``: learn a task from demonstrations and reward."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from handful.cli.train_options import Options
from handful.cli.train_phases import begun_phases, resumed_phases, train_phases
from handful.config import options_of
from handful.errors import ConfigurationError, DataError, StorageError, TrainingError
from handful.profiling import Profile, SpanTime
from handful.runs.budget import Budget, read_budget, write_budget
from handful.runs.config import RunConfig
from handful.runs.config_file import ConfigFile, read_config_file
from handful.runs.logs import check_wandb
from handful.runs.phases import has_phases, read_phases
from handful.runs.recipes import DEFAULT_RECIPE, find_recipe

if TYPE_CHECKING:
    from handful.runs.folder import RunDescription
    from handful.runs.phases import PhasedRun
    from handful.runs.training_run import TrainingRun

DEFAULT_MINUTES = 20.0


def defaults(options: Options) -> Options:
    """The options with the values that are left out: those of the recipe, or of the run that another option names."""
    if options.config_file is not None:
        others = [f"--{name}" for name in ("recipe", "resume") if getattr(options, name) is not None]
        if others:
            raise ConfigurationError(f"expected either --config or {others[0]}, got both.")
    folder = options.resume or options.reproduce_failure
    if folder is None:
        return dataclasses.replace(options, config=_start(options).phases[0].config)
    from handful.runs.folder import read_description

    if has_phases(folder):
        description = read_phases(folder)
        config = description.phases[0].config
    else:
        description = read_description(folder)
        config = description.config
    if options.recipe not in (None, description.recipe):
        raise ConfigurationError(
            f"the run {folder} has the recipe {description.recipe}, not {options.recipe}: a run is resumed under its own."
        )
    return dataclasses.replace(options, config=config)


def _start(options: Options) -> ConfigFile:
    """What a new run begins with: a configuration file, or a recipe."""
    if options.config_file is not None:
        return read_config_file(options.config_file)
    name = options.recipe or DEFAULT_RECIPE
    return ConfigFile(name, find_recipe(name).phases(options.task))


def run(options: Options) -> None:
    """Train, showing how it goes."""
    from handful.runs.folder import METRICS_FILE, POLICY_FILE
    from handful.viewing.live_table import LiveTable

    _check(options)
    if options.reproduce_failure:
        return _reproduce_failure(options, options.reproduce_failure)
    budget = Budget(options.minutes, options.num_steps)
    if options.resume is not None and not budget.is_given:
        budget = read_budget(options.resume)
    phased = _phased(options)
    if phased is not None:
        return train_phases(phased, options, budget)
    if not budget.is_given:
        budget = Budget(minutes=DEFAULT_MINUTES)
    training = _resumed(options, options.resume, budget) if options.resume else _new(options, budget)
    folder = training.folder
    if training.config.trainer.cloning.epochs and not training.demonstrations.hold_actions:
        print("The demonstrations hold no actions, so nothing is cloned; their states are learned from.", flush=True)
    resume = f"handful train {options.task} --resume {folder}"
    try:
        write_budget(folder, budget)
        variant = training.config.variant
        title = options.task if variant is None else f"{options.task}, variant {variant}"
        table = LiveTable(title, num_steps=budget.num_steps, minutes=budget.minutes)
        with _profile(options.profile, training), table:
            spent = training.train(
                minutes=budget.minutes,
                num_steps=budget.num_steps,
                on_iteration=table.update,
                checkpoint_seconds=options.checkpoint_seconds,
                wandb=options.wandb,
            )
    except StorageError as error:
        raise StorageError(f"{error} Once there is room, resume: {resume}{budget.words}") from error
    finally:
        training.close()
    if not spent:
        print(f"Interrupted and saved. To resume: {resume}{budget.words}")
        raise KeyboardInterrupt
    steps = training.trainer.steps
    print(f"Trained {steps:,} steps. The policy is {folder / POLICY_FILE}, the curves {folder / METRICS_FILE}.")
    if num_overflows := training.environment.physics.num_overflows:
        print(f"In {num_overflows:,} of these steps contacts or constraints were lost, for which there was no room.")
    print(f"To train it longer: {resume} --minutes N (in all, {training.trainer.seconds / 60:.1f} so far)")


def _phased(options: Options) -> PhasedRun | None:
    """The run, if it has several phases, new or to be resumed."""
    if options.resume is not None:
        return resumed_phases(options) if has_phases(options.resume) else None
    start = _start(options)
    return begun_phases(options, start) if len(start.phases) > 1 else None


@contextlib.contextmanager
def _profile(wanted: bool, training: TrainingRun) -> Iterator[None]:
    """Measure a ``with`` block if that is wanted, and print where the time went when it ends well."""
    if not wanted:
        yield
        return
    from rich.console import Console
    from rich.table import Table

    steps, profile = training.trainer.steps, Profile()
    with profile:
        yield
    num_steps = training.trainer.steps - steps
    if num_steps == 0:
        return
    table = Table("where the time went")
    for column in ("calls", "seconds", "share", "us per control step"):
        table.add_column(column, justify="right")
    rows = [(0, "training", SpanTime(0, profile.seconds)), *((depth + 1, *row) for depth, *row in profile.table())]
    for depth, name, measured in rows:
        table.add_row(
            "  " * depth + name,
            f"{measured.num_calls:,}" if measured.num_calls else "",
            f"{measured.seconds:.2f}",
            f"{measured.seconds / profile.seconds:.1%}",
            f"{1e6 * measured.seconds / num_steps:.1f}",
        )
    Console().print(table)


def _new(options: Options, budget: Budget) -> TrainingRun:
    from handful.runs.folder import DEMONSTRATIONS_FILE, RunDescription, check_new, free_folder
    from handful.tasks.registry import make_task

    make_task(options.task, options.config.variant, options.config.arm)
    folder = options.run or free_folder(options.task)
    check_new(folder)
    demonstrations, recipe = options.demonstrations or folder / DEMONSTRATIONS_FILE, _start(options).recipe
    config = options.config
    if config.start_from is not None and "ppo.learning-rate" in options.given:
        config = dataclasses.replace(config, restart_learning_rate=True)
    description = RunDescription(options.task, demonstrations, recipe, config)
    return _begun(folder, description, budget, record=options.demonstrations is None)


def _begun(folder: pathlib.Path, description: RunDescription, budget: Budget, *, record: bool) -> TrainingRun:
    """A run from its first step; its own demonstrations are recorded first if they are missing."""
    from handful.cli.demonstrate import record_with_progress
    from handful.runs.config import check_settings
    from handful.runs.folder import write_description
    from handful.runs.other_runs import read_networks, read_teacher
    from handful.runs.training_run import TrainingRun

    if record:
        config = description.config
        check_settings(config)
        read_teacher(folder, description, resume=False)  # refused before anything is recorded
        if config.start_from is not None:
            read_networks(config.start_from, description.task)
        write_description(folder, description)  # a recording that is killed is resumed as well
        write_budget(folder, budget)
        record_with_progress(
            description.task,
            description.demonstrations,
            randomization=config.randomization,
            camera_hz=config.camera_hz,
            arm=config.arm,
            seed=config.trainer.seed,
        )
    return TrainingRun(folder, description, resume=False)


def _resumed(options: Options, folder: pathlib.Path, budget: Budget) -> TrainingRun:
    from handful.runs.folder import CHECKPOINT_FILE, DEMONSTRATIONS_FILE, read_description
    from handful.runs.training_run import TrainingRun

    description = read_description(folder)
    if description.task != options.task:
        raise ConfigurationError(f"the run {folder} is of the task {description.task}, not {options.task}.")
    _check_unchanged(options.config, description.config, folder)
    demonstrations = options.demonstrations or description.demonstrations
    description = dataclasses.replace(description, demonstrations=demonstrations, config=options.config)
    if not (folder / CHECKPOINT_FILE).exists():  # killed before the first one, perhaps while it recorded
        own = demonstrations.absolute() == (folder / DEMONSTRATIONS_FILE).absolute()
        return _begun(folder, description, budget, record=own)
    return TrainingRun(folder, description, resume=True)


def _reproduce_failure(options: Options, folder: pathlib.Path) -> None:
    from handful.runs.folder import FAILURE_FOLDER

    if not (folder / FAILURE_FOLDER).is_dir():
        raise DataError(f"{folder} holds no failure: there is no folder {folder / FAILURE_FOLDER}.")
    training = _resumed(options, folder, Budget())
    try:
        error = training.reproduce_failure()
    finally:
        training.close()
    if error is None:
        raise TrainingError(
            f"the failure did not come again up to iteration {training.trainer.iteration}: this machine, or a version of "
            "what is installed, computes other bits than the one where it came."
        )
    print(f"The failure came again: {error}")


def _check_unchanged(asked: RunConfig, saved: RunConfig, folder: pathlib.Path) -> None:
    olds, news = (dict(options_of(config, inline=("trainer",))) for config in (saved, asked))
    news["num-threads"] = olds["num-threads"]  # which does not change a bit of the run
    changes = [f"--{name} {old}, not {news[name]}" for name, old in olds.items() if old != news[name]]
    if changes:
        raise ConfigurationError(
            f"the run {folder} was begun with {', '.join(changes)}: a run is resumed under its own configuration."
        )


def _check(options: Options) -> None:
    names = ("run", "resume", "reproduce_failure")
    given = [name.replace("_", "-") for name in names if getattr(options, name) is not None]
    if len(given) > 1:
        raise ConfigurationError(
            f"expected one of --run, --resume and --reproduce-failure, got --{' and --'.join(given)}."
        )
    if options.wandb:
        check_wandb()
    check_budget(options.minutes, options.num_steps)
    if not options.checkpoint_seconds >= 0:
        raise ConfigurationError(f"expected --checkpoint-seconds of at least 0, got {options.checkpoint_seconds}.")


def check_budget(minutes: float | None, num_steps: int | None) -> None:
    """Refuse a budget of nothing, by a `ConfigurationError`."""
    for name, value in (("--minutes", minutes), ("--num-steps", num_steps)):
        if value is not None and not value > 0:
            raise ConfigurationError(f"expected {name} above 0, got {value}.")
