"""``handful train``: learn a task from demonstrations and reward."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.cli.run_config import RunConfig
from handful.errors import ConfigurationError

DEFAULT_MINUTES = 20.0


@dataclasses.dataclass(frozen=True)
class Options:
    """Learn a task from demonstrations and reward, from camera pixels and proprioception."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    demonstrations: pathlib.Path | None = None
    """File of demonstrations; by default the run's own demonstrations.hdf5, which the scripted operator records first."""
    run: pathlib.Path | None = None
    """Folder of the new run; by default the first free runs/TASK-N."""
    resume: pathlib.Path | None = None
    """Folder of a run to go on with, under its own configuration."""
    minutes: float | None = None
    """Training time since the run began [min]; 20, if no budget is given."""
    num_steps: int | None = None
    """Control steps since the run began."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=RunConfig)
    """What the run depends on."""


def run(options: Options) -> None:
    """Train, showing how it goes."""
    from handful.cli.live import LiveTable
    from handful.cli.training_run import CHECKPOINT, METRICS, POLICY

    _check_budget(options)
    minutes = DEFAULT_MINUTES if options.minutes is None and options.num_steps is None else options.minutes
    training = _resumed(options) if options.resume else _new(options)
    folder = training.folder
    try:
        with LiveTable(options.task, num_steps=options.num_steps, minutes=minutes) as table:
            spent = training.train(minutes=minutes, num_steps=options.num_steps, on_iteration=table.update)
    finally:
        training.close()
    go_on = f"handful train {options.task} --resume {folder}"
    if not spent:
        print(f"Interrupted and saved. To go on: {go_on}{_budget_words(options)}")
        raise KeyboardInterrupt
    print(f"Trained {training.trainer.steps:,} steps. The policy is {folder / POLICY}, the curves {folder / METRICS}.")
    print(f"To train it longer: {go_on} --minutes N (in all). Everything needed for that is {folder / CHECKPOINT}.")


def _new(options: Options):
    from handful.cli.demonstrate import record
    from handful.cli.training_run import DEMONSTRATIONS, TrainingRun, check_new
    from handful.tasks.registry import make_task

    make_task(options.task)
    folder = options.run or _free_folder(options.task)
    check_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    demonstrations = options.demonstrations or folder / DEMONSTRATIONS
    if options.demonstrations is None and not demonstrations.exists():
        record(options.task, demonstrations, seed=options.config.trainer.seed)
    return TrainingRun(folder, task=options.task, config=options.config, demonstrations=demonstrations, resume=False)


def _resumed(options: Options):
    from handful.cli.training_run import TrainingRun, open_run

    assert options.resume is not None
    if options.run is not None:
        raise ConfigurationError("--resume goes on in the run's own folder: leave out --run.")
    task, demonstrations, config = open_run(options.resume)
    if task != options.task:
        raise ConfigurationError(f"the run {options.resume} is of the task {task}, not {options.task}.")
    changed = _changes(options.config, RunConfig(), config)
    if changed:
        raise ConfigurationError(f"a run goes on under its own configuration: leave out {', '.join(changed)}.")
    return TrainingRun(
        options.resume, task=task, config=config, demonstrations=options.demonstrations or demonstrations, resume=True
    )


def _changes(asked, default, saved, prefix: str = "--") -> list[str]:
    """Options that were given and are not those of the saved run."""
    changed = []
    for field in dataclasses.fields(asked):
        values = [getattr(config, field.name) for config in (asked, default, saved)]
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(values[0]):
            changed += _changes(*values, prefix=prefix if name == "trainer" else f"{prefix}{name}.")
        elif values[0] != values[1] and values[0] != values[2]:
            changed.append(prefix + name)
    return changed


def _check_budget(options: Options) -> None:
    for name, value in (("--minutes", options.minutes), ("--num-steps", options.num_steps)):
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
