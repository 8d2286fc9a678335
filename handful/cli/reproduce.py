"""``handful reproduce``: the experiments of the paper's Figs. 4 and 5, their pictures, and which of its orderings hold."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from handful.cli.given import with_given
from handful.environment import PIXELS
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.runs.config import RunConfig
from handful.runs.experiments import Experiment, find_experiment
from handful.runs.recipes import find_recipe

if TYPE_CHECKING:
    from handful.runs.evaluations import Results
    from handful.runs.experiment_run import PlannedRun

FIXED_OPTIONS = ("seed", "imitation-weight", "cloning.epochs")
"""Options that are the methods' and seeds' own."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Train the methods of the paper's Fig. 4 or Fig. 5 with the same number of control steps, and draw the picture.

    figure-4: reinforcement and imitation, reward alone, imitation alone, and reward alone from random starts, on six tasks.
    figure-5: block stacking without each part of the method, and with weights of imitation from 0.1 to 0.9.

    Run it again to resume where it was stopped, or with more seeds, methods, tasks or steps to add them. Every run is a
    process of one thread, and no method begins by cloning. Besides the runs, the folder holds the picture, every evaluation
    as CSV, and a table of the paper's orderings: which hold, which do not, and which are not decided yet.
    """

    MOST_USED: ClassVar = ("figure", "task", "methods", "num_seeds", "num_steps", "num_processes", "output", "recipe")
    """What ``--help`` shows; ``--help-all`` shows all."""

    figure: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FIGURE")]
    """figure-4 or figure-5."""
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[TASK ...]")] = ()
    """Tasks to train; by default those of the figure."""
    recipe: str = "zhu-2018"
    """Recipe, of one phase, whose values stand for the options that are left out. `handful recipes` lists them."""
    output: pathlib.Path | None = None
    """Folder of the runs and of the results; by default runs/FIGURE. A folder holds runs of one configuration."""
    methods: tuple[str, ...] = ()
    """Methods to train; by default all of the figure."""
    num_seeds: int = 1
    """Seeds of each method. The paper has 5."""
    num_steps: int = 2_000_000
    """Control steps of each run."""
    num_evaluations: int = 10
    """Evaluations of each run, at equal distances."""
    num_episodes: int = 50
    """Episodes of an evaluation, from the same random starts for all runs."""
    num_processes: int | None = None
    """Runs that train side by side; by default one for each core."""
    demonstrations: pathlib.Path | None = None
    """File of demonstrations, where there is a single task; by default OUTPUT/TASK/demonstrations.hdf5, recorded first."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=RunConfig)
    """What the methods have in common; the seed and the imitation weight are theirs."""
    given: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """Names of the options that the user gave."""


def defaults(options: Options) -> Options:
    """The options with the recipe's values where they are left out."""
    first = (options.tasks or find_experiment(options.figure).tasks)[0]
    return dataclasses.replace(options, config=find_recipe(options.recipe).config(first))


def run(options: Options) -> None:
    """Train what is missing, run by run, and draw."""
    from handful.runs.evaluations import read_results
    from handful.runs.experiment_run import ExperimentRunner, check_episodes, check_folder, locked, plan_runs
    from handful.runs.experiment_worker import Budget
    from handful.viewing.run_bars import RunBars

    experiment = find_experiment(options.figure)
    tasks, num_processes = _check(options, experiment), options.num_processes or os.cpu_count() or 1
    commons = {task: _common(options, task) for task in tasks}
    methods = options.methods or tuple(
        method.name for method in experiment.methods if not method.needs_pixels or _sees_pixels(options)
    )
    output = options.output or pathlib.Path("runs") / experiment.name
    budget = Budget(options.num_steps, options.num_evaluations, options.num_episodes)
    runs = plan_runs(experiment, output, commons=commons, methods=methods, num_seeds=options.num_seeds)
    check_folder(experiment, output, {task: _common(options, task) for task in (*experiment.tasks, *tasks)})
    check_episodes(runs, options.num_episodes)
    with locked(output) as lock:
        missing = [planned for planned in runs if not planned.is_done(budget)]
        demonstrations = _demonstrations(options, output, commons, missing)
        shown = tuple(dict.fromkeys((*experiment.tasks, *tasks)))
        done = True
        failures: dict[PlannedRun, str] = {}

        def write() -> str:
            return _write(experiment, read_results(experiment, output, shown), output)

        if missing:
            print(f"{experiment.name}: {len(runs) - len(missing)} of {len(runs)} runs are done.")
            with RunBars(missing, budget.num_steps) as bars:
                runner = ExperimentRunner(
                    budget,
                    recipe=options.recipe,
                    demonstrations=demonstrations,
                    lock=lock,
                    on_message=bars.update,
                )
                done, failures = runner.train(
                    missing,
                    num_processes=num_processes,
                    on_end=write,
                )
        print(write())
    for failed, problem in failures.items():
        print(f"Failed: {failed.folder}: {problem}")
    if not done:
        print("Interrupted and saved. To resume: the same 'handful reproduce' again.")
        raise KeyboardInterrupt
    if failures:
        raise TrainingError(f"{len(failures)} of {len(runs)} runs failed; the same command tries them again.")


def _check(options: Options, experiment: Experiment) -> tuple[str, ...]:
    """Refuse what cannot be, in a sentence; returns the tasks."""
    from handful.runs.config import check_settings
    from handful.tasks.registry import make_task

    tasks = options.tasks or experiment.tasks
    for task in tasks:
        make_task(task)
        config = _common(options, task)
        make_task(task, config.variant)
        check_settings(config)
    for name in options.methods:
        if experiment.method(name).needs_pixels and not _sees_pixels(options):
            raise ConfigurationError(
                f"the method {name} is the full one where the policy reads no pixels: leave it out."
            )
    for kind, names in (("task", tasks), ("method", options.methods)):
        if len(set(names)) < len(names):
            raise ConfigurationError(f"expected each {kind} once, got {', '.join(names)}.")
    counts = {
        "--num-seeds": options.num_seeds,
        "--num-steps": options.num_steps,
        "--num-evaluations": options.num_evaluations,
        "--num-episodes": options.num_episodes,
        "--num-processes": 1 if options.num_processes is None else options.num_processes,
    }
    for name, count in counts.items():
        if count < 1:
            raise ConfigurationError(f"expected {name} of at least 1, got {count}.")
    for name in FIXED_OPTIONS:
        if name in options.given:
            raise ConfigurationError(
                f"--{name} is what the methods and their seeds are about: leave it out, and choose by --methods and "
                "--num-seeds."
            )
    if options.demonstrations is not None and len(tasks) > 1:
        raise ConfigurationError(f"expected one task with --demonstrations, got {', '.join(tasks)}.")
    if options.demonstrations is not None and not options.demonstrations.is_file():
        raise DataError(f"expected a file of demonstrations, got {options.demonstrations}.")
    return tasks


def _common(options: Options, task: str) -> RunConfig:
    """What the methods have in common on a task: the recipe's values, those that the user gave, and one thread."""
    config = with_given(find_recipe(options.recipe).config(task), options.config, options.given)
    return dataclasses.replace(config, num_threads=config.num_threads or 1)


def _sees_pixels(options: Options) -> bool:
    return PIXELS in options.config.trainer.policy.groups


def _demonstrations(
    options: Options, output: pathlib.Path, commons: dict[str, RunConfig], missing: list[PlannedRun]
) -> dict[str, pathlib.Path]:
    """The file of demonstrations of each task that is still to be trained, recorded if it is missing."""
    from handful.cli.demonstrate import record_with_progress
    from handful.runs.folder import DEMONSTRATIONS_FILE

    files = {}
    for task in dict.fromkeys(run.task for run in missing):
        files[task] = options.demonstrations or output / task / DEMONSTRATIONS_FILE
        if options.demonstrations is None:
            config = commons[task]
            record_with_progress(task, files[task], randomization=config.randomization, camera_hz=config.camera_hz)
    return files


def _write(experiment: Experiment, results: Results, output: pathlib.Path) -> str:
    """Write the picture, the CSV and the table of what there is so far; returns where they are, in words."""
    from handful.runs.evaluations import write_results
    from handful.runs.orderings import count_words, judge, write_verdicts
    from handful.viewing.figures import draw_figure

    if not results.evaluations:
        return "No run has been evaluated yet."
    verdicts = judge(experiment, results)
    picture, table, rows = (output / f"{experiment.name}{suffix}" for suffix in (".png", ".md", ".csv"))
    draw_figure(experiment, results, picture)
    write_results(results, rows)
    write_verdicts(verdicts, table)
    return f"{picture}, {rows}\nThe paper's orderings: {count_words(verdicts)}: {table}"
