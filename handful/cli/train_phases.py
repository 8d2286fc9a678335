"""The part of ``handful train`` that trains phase after phase."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from handful.cli.given import with_given
from handful.cli.train_options import Options
from handful.errors import ConfigurationError, StorageError
from handful.runs.budget import Budget, write_budget
from handful.runs.config_file import ConfigFile
from handful.runs.phases import PhasedRun, Progress, begin_phases, latest_policy, read_phases


def begun_phases(options: Options, start: ConfigFile) -> PhasedRun:
    """A new run of several phases, each with the options that the user gave."""
    from handful.demonstrations.dataset import load_demonstrations
    from handful.demonstrations.specification import DemonstrationSpec
    from handful.runs.config import check_settings
    from handful.runs.folder import free_folder
    from handful.tasks.registry import make_task

    phases = tuple(
        dataclasses.replace(phase, config=with_given(phase.config, options.config, options.given))
        for phase in start.phases
    )
    for phase in phases:
        make_task(options.task, phase.config.variant, phase.config.arm)
        named = {name: "." for name in ("teacher", "start_from", "retries_from") if getattr(phase, name) is not None}
        check_settings(dataclasses.replace(phase.config, **named))
    if options.demonstrations is not None:
        spec = DemonstrationSpec.of_task(options.task, phases[0].config.arm)
        load_demonstrations(options.demonstrations, spec, pixels=False)  # refused before a folder is made
    folder = options.run or free_folder(options.task)
    return begin_phases(
        folder, task=options.task, recipe=start.recipe, phases=phases, demonstrations=options.demonstrations
    )


def resumed_phases(options: Options) -> PhasedRun:
    """The run that is to be resumed, under its own configuration."""
    folder = options.resume
    assert folder is not None
    description = read_phases(folder)
    if description.task != options.task:
        raise ConfigurationError(f"the run {folder} is of the task {description.task}, not {options.task}.")
    for phase in description.phases:
        if with_given(phase.config, options.config, options.given) != phase.config:
            raise ConfigurationError(
                f"the run {folder} was begun with other options in its phase {phase.name}: a run is resumed under its "
                "own configuration."
            )
    if options.demonstrations is not None:
        description = dataclasses.replace(description, demonstrations=options.demonstrations)
    return PhasedRun(folder, description)


def train_phases(run: PhasedRun, options: Options, budget: Budget) -> None:
    """Record demonstrations if they are missing, and train phase after phase, showing how it goes."""
    from handful.cli.demonstrate import record_with_progress
    from handful.runs.folder import DEMONSTRATIONS_FILE
    from handful.viewing.live_table import LiveTable

    description, folder = run.description, run.folder
    write_budget(folder, budget)
    if description.demonstrations.absolute() == (folder / DEMONSTRATIONS_FILE).absolute():
        first = description.phases[0].config
        settings: dict[str, Any] = {
            "randomization": first.randomization,
            "camera_hz": first.camera_hz,
            "seed": first.trainer.seed,
            "arm": first.arm,
        }
        settings |= {"arm": first.arm}
        record_with_progress(description.task, description.demonstrations, **settings)
    table: list[LiveTable] = []

    def on_phase(progress: Progress) -> Callable[[dict[str, float]], None]:
        for shown in table:
            shown.__exit__(None, None, None)
        number, count = progress.number + 1, len(progress.phases)
        title = f"{description.task}, {progress.phase.name} (phase {number} of {count})"
        table[:] = [LiveTable(title, seconds_left=progress.seconds_left)]
        return table[0].__enter__().update

    resume = f"handful train {description.task} --resume {folder}{budget.words}"
    try:
        done = run.train(
            minutes=budget.minutes,
            num_steps=budget.num_steps,
            on_phase=on_phase,
            checkpoint_seconds=options.checkpoint_seconds,
            wandb=options.wandb,
        )
    except StorageError as error:
        raise StorageError(f"{error} Once there is room, resume: {resume}") from error
    finally:
        for shown in table:
            shown.__exit__(None, None, None)
    if not done:
        print(f"Interrupted and saved. To resume: {resume}")
        raise KeyboardInterrupt
    print(f"Trained {len(description.phases)} phases. The policy is {latest_policy(folder)}.")
    print(f"To see how it went: handful plot {folder}")
