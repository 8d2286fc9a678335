"""``handful train``: learn a task from demonstrations and reward."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import tyro

from handful.errors import ConfigurationError, DataError, StorageError, TrainingError
from handful.profiling import Profile, SpanTime
from handful.runs.config import RunConfig, options_of

if TYPE_CHECKING:
    from handful.runs.training_run import TrainingRun

DEFAULT_MINUTES = 20.0


@dataclasses.dataclass(frozen=True)
class Options:
    """Learn a task from demonstrations and reward, from camera pixels and proprioception.

    In brackets stands where a number comes from: the paper, its lost appendix as far as it is recalled, or ours.
    """

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    demonstrations: pathlib.Path | None = None
    """File of demonstrations; by default the run's own demonstrations.hdf5, which the scripted operator records first."""
    run: pathlib.Path | None = None
    """Folder of the new run; by default the first free runs/TASK-N."""
    resume: pathlib.Path | None = None
    """Folder of a run to go on with, under its own configuration."""
    replay: pathlib.Path | None = None
    """Folder of a run that a number which is not finite stopped, to see that failure again; changes nothing."""
    minutes: float | None = None
    """Training time since the run began [min]; 20, if no budget is given."""
    num_steps: int | None = None
    """Control steps since the run began."""
    checkpoint_seconds: float = 30.0
    """Time between two checkpoints [s]; there is one more at the end."""
    profile: bool = False
    """Print at the end where the time went, by parts of the program."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=RunConfig)
    """What the run depends on."""


def defaults(options: Options) -> Options | None:
    """What options mean where they are left out: those of the run that another option names.

    Raises:
        DataError: there is no such run.
    """
    folder = options.resume or options.replay
    if folder is None:
        return None
    from handful.runs.training_run import open_run

    return dataclasses.replace(options, config=open_run(folder)[2])


def run(options: Options) -> None:
    """Train, showing how it goes."""
    from handful.runs.training_run import METRICS, POLICY
    from handful.viewing.live_table import LiveTable

    _check(options)
    if options.replay:
        return _replay(options, options.replay)
    minutes = DEFAULT_MINUTES if options.minutes is None and options.num_steps is None else options.minutes
    training = _resumed(options, options.resume) if options.resume else _new(options)
    folder = training.folder
    go_on = f"handful train {options.task} --resume {folder}"
    try:
        with (
            _profile(options.profile, training),
            LiveTable(options.task, num_steps=options.num_steps, minutes=minutes) as table,
        ):
            spent = training.train(
                minutes=minutes,
                num_steps=options.num_steps,
                on_iteration=table.update,
                checkpoint_seconds=options.checkpoint_seconds,
            )
    except StorageError as error:
        raise StorageError(f"{error} Once there is room, go on: {go_on}{_budget_words(options)}") from error
    finally:
        training.close()
    if not spent:
        print(f"Interrupted and saved. To go on: {go_on}{_budget_words(options)}")
        raise KeyboardInterrupt
    print(f"Trained {training.trainer.steps:,} steps. The policy is {folder / POLICY}, the curves {folder / METRICS}.")
    num_overflows = training.environment.physics.num_overflows
    if num_overflows:
        print(f"In {num_overflows:,} of these steps contacts or constraints were lost, for which there was no room.")
    print(f"To train it longer: {go_on} --minutes N (in all, {training.trainer.seconds / 60:.1f} so far)")


@contextlib.contextmanager
def _profile(wanted: bool, training: TrainingRun) -> Iterator[None]:
    """Measure a ``with`` block if that is wanted, and print where the time went when it ends well."""
    if not wanted:
        yield
        return
    steps, profile = training.trainer.steps, Profile()
    with profile:
        yield
    steps = training.trainer.steps - steps
    if steps:
        _print_profile(profile, steps)


def _print_profile(profile: Profile, num_steps: int) -> None:
    from rich.console import Console
    from rich.table import Table

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


def _new(options: Options):
    from handful.runs.training_run import DEMONSTRATIONS, check_new, check_settings
    from handful.tasks.registry import make_task

    make_task(options.task)
    check_settings(options.config)
    folder = options.run or _free_folder(options.task)
    check_new(folder)
    return _begun(options, folder, options.demonstrations or folder / DEMONSTRATIONS)


def _begun(options: Options, folder: pathlib.Path, demonstrations: pathlib.Path):
    """A run from its first step; the demonstrations are recorded first if they are to be the run's own."""
    from handful.cli.demonstrate import record
    from handful.demonstrations.dataset import load_demonstrations
    from handful.runs.training_run import DEMONSTRATIONS, TrainingRun, write_run_config

    config = options.config
    own = demonstrations.absolute() == (folder / DEMONSTRATIONS).absolute()
    if not own:
        load_demonstrations(demonstrations, options.task, pixels=False)  # refused before there is a folder
    write_run_config(folder, task=options.task, demonstrations=demonstrations, config=config)
    if own and options.demonstrations is None:
        record(
            options.task,
            demonstrations,
            randomization=config.randomization,
            camera_hz=config.camera_hz,
            seed=config.trainer.seed,
        )
    return TrainingRun(folder, task=options.task, config=config, demonstrations=demonstrations, resume=False)


def _resumed(options: Options, folder: pathlib.Path):
    from handful.runs.training_run import CHECKPOINT, TrainingRun, open_run

    task, demonstrations, config = open_run(folder)
    if task != options.task:
        raise ConfigurationError(f"the run {folder} is of the task {task}, not {options.task}.")
    _check_unchanged(options.config, config, folder)
    demonstrations = options.demonstrations or demonstrations
    if not (folder / CHECKPOINT).exists():  # killed before the first one, perhaps while it recorded
        return _begun(options, folder, demonstrations)
    return TrainingRun(folder, task=task, config=options.config, demonstrations=demonstrations, resume=True)


def _replay(options: Options, folder: pathlib.Path) -> None:
    from handful.runs.training_run import REPLAY

    if not (folder / REPLAY).is_dir():
        raise DataError(f"{folder} holds no failure to replay: there is no folder {folder / REPLAY}.")
    training = _resumed(options, folder)
    try:
        error = training.replay()
    finally:
        training.close()
    if error is None:
        raise TrainingError(
            f"the failure did not come again up to iteration {training.trainer.iteration}: this machine, or a version of "
            "what is installed, computes other bits than the one where it came."
        )
    print(f"The failure came again: {error}")


def _check_unchanged(asked: RunConfig, saved: RunConfig, folder: pathlib.Path) -> None:
    changes = [
        f"--{name} {old}, not {new}"
        for (name, old), (_, new) in zip(options_of(saved), options_of(asked), strict=True)
        if old != new and name != "num-threads"  # which does not change a bit of the run
    ]
    if changes:
        raise ConfigurationError(
            f"the run {folder} was begun with {', '.join(changes)}: a run goes on under its own configuration."
        )


def _check(options: Options) -> None:
    given = [name for name in ("run", "resume", "replay") if getattr(options, name) is not None]
    if len(given) > 1:
        raise ConfigurationError(f"expected one of --run, --resume and --replay, got --{' and --'.join(given)}.")
    check_budget(options.minutes, options.num_steps)
    if not options.checkpoint_seconds >= 0:
        raise ConfigurationError(f"expected --checkpoint-seconds of at least 0, got {options.checkpoint_seconds}.")


def check_budget(minutes: float | None, num_steps: int | None) -> None:
    """Refuse a budget of nothing.

    Raises:
        ConfigurationError: a budget is given that is not above 0.
    """
    for name, value in (("--minutes", minutes), ("--num-steps", num_steps)):
        if value is not None and not value > 0:
            raise ConfigurationError(f"expected {name} above 0, got {value}.")


def _budget_words(options: Options) -> str:
    words = ""
    if options.minutes is not None:
        words += f" --minutes {options.minutes:g}"
    if options.num_steps is not None:
        words += f" --num-steps {options.num_steps}"
    return words


def _free_folder(task: str) -> pathlib.Path:
    number = 1
    while (folder := pathlib.Path("runs") / f"{task}-{number}").exists():
        number += 1
    return folder
