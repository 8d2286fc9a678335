"""``handful compare``: train the four methods of the paper's Fig. 4 with the same budget, and draw their curves."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import tyro

from handful.errors import ConfigurationError, DataError, unknown_name
from handful.runs.comparison import METHODS, method_config, run_folder
from handful.runs.config import RunConfig
from handful.runs.recipes import find_recipe


@dataclasses.dataclass(frozen=True)
class Options:
    """Train the four methods of the paper's Fig. 4 with the same budget, and draw their learning curves.

    Run it again to resume where it was stopped, or with more seeds to add them.
    """

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    recipe: str = "quick"
    """Recipe whose values stand for the options that are left out. `handful recipes` lists them."""
    output: pathlib.Path | None = None
    """Folder of the runs and of comparison.png; by default runs/compare-TASK."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Methods to train: full, rl, gail, rl-no-curriculum."""
    num_seeds: int = 1
    """Seeds of each method."""
    minutes: float | None = None
    """Training time of each run [min]; 20, if no budget is given."""
    num_steps: int | None = None
    """Control steps of each run."""
    demonstrations: pathlib.Path | None = None
    """File of demonstrations for all runs; by default the folder's own demonstrations.hdf5, recorded first."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=RunConfig)
    """What the methods have in common; the seed and the imitation weight are theirs."""


def defaults(options: Options) -> Options:
    """The options with the recipe's values where they are left out."""
    return dataclasses.replace(options, config=find_recipe(options.recipe).config(options.task))


def run(options: Options) -> None:
    """Train what is missing, seed by seed, and draw."""
    from handful.cli.demonstrate import record_with_progress
    from handful.cli.train import check_budget
    from handful.runs.config import check_settings
    from handful.runs.folder import DEMONSTRATIONS_FILE
    from handful.tasks.registry import make_task

    make_task(options.task)
    check_settings(options.config)
    check_budget(options.minutes, options.num_steps)
    for method in options.methods:
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
    if len(set(options.methods)) < max(1, len(options.methods)):
        raise ConfigurationError(f"expected each method once and at least one of: {', '.join(METHODS)}.")
    recipe = find_recipe(options.recipe).config(options.task)
    for name in ("seed", "imitation_weight"):
        if getattr(options.config.trainer, name) != getattr(recipe.trainer, name):
            raise ConfigurationError(
                f"--{name.replace('_', '-')} is what the methods and their seeds are about: leave it out, and choose by "
                "--methods and --num-seeds."
            )
    if options.num_seeds < 1:
        raise ConfigurationError(f"expected at least 1 seed, got {options.num_seeds}.")
    folder = options.output or pathlib.Path("runs") / f"compare-{options.task}"
    demonstrations, config = options.demonstrations or folder / DEMONSTRATIONS_FILE, options.config
    if options.demonstrations is None:
        record_with_progress(
            options.task, demonstrations, randomization=config.randomization, camera_hz=config.camera_hz
        )
    for seed in range(options.num_seeds):
        for method in options.methods:
            try:
                _train(options, run_folder(folder, method, seed), method, seed, demonstrations)
            except KeyboardInterrupt:
                print("To resume: the same 'handful compare' again.")
                raise
            _draw(folder)


def _train(options: Options, folder: pathlib.Path, method: str, seed: int, demonstrations: pathlib.Path) -> None:
    from handful.cli import train
    from handful.runs.folder import CHECKPOINT_FILE

    resume = (folder / CHECKPOINT_FILE).exists()
    print(f"{method}, seed {seed}: {'resumed' if resume else 'new'} in {folder}")
    train.run(
        train.Options(
            task=options.task,
            recipe=options.recipe,
            demonstrations=demonstrations,
            run=None if resume else folder,
            resume=folder if resume else None,
            minutes=options.minutes,
            num_steps=options.num_steps,
            config=method_config(options.config, method, seed),
        )
    )


def _draw(folder: pathlib.Path) -> None:
    from handful.runs.folder import METRICS_FILE
    from handful.viewing.curves import read_curve
    from handful.viewing.plots import draw_comparison

    path = folder / "comparison.png"
    try:
        runs = {
            method: [read_curve(run.parent) for run in sorted((folder / method).glob(f"seed-*/{METRICS_FILE}"))]
            for method in METHODS
        }
        draw_comparison({method: curves for method, curves in runs.items() if curves}, path)
    except DataError as error:  # a short run may have finished no episode
        print(f"No curves yet: {error}")
    else:
        print(f"The curves so far: {path}")
