"""Options of ``handful train``; their docstrings are its help."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, ClassVar

import tyro

from handful.runs.config import RunConfig


@dataclasses.dataclass(frozen=True)
class Options:
    """Learn a task from demonstrations and reward, by default from camera pixels and proprioception.

    Without --resume, a new run begins: it records demonstrations, if none are named, and trains until its budget is spent or
    Ctrl-C. To follow it with TensorBoard: tensorboard --logdir RUN. docs/training.md explains recipes and curves.

    In brackets stands where a number comes from: the paper, or our choice. The paper's appendix is not public; what is
    believed to be in it says so.
    """

    MOST_USED: ClassVar = (
        "task",
        "demonstrations",
        "minutes",
        "run",
        "resume",
        "randomization",
        "seed",
        "recipe",
        "config",
    )
    """What ``--help`` shows; ``--help-all`` shows all."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    recipe: str | None = None
    """Recipe whose values stand for the options that are left out; by default teacher-student. `handful recipes` lists
    them."""
    config_file: Annotated[pathlib.Path | None, tyro.conf.arg(name="config")] = None
    """Configuration to begin a new run with, instead of a recipe: the config.json of a run, or its folder. Options that are
    given are put on top of it."""
    demonstrations: pathlib.Path | None = None
    """File of demonstrations; by default the run's own demonstrations.hdf5, which the scripted operator records first."""
    run: pathlib.Path | None = None
    """Folder of the new run; by default the first free runs/TASK-N."""
    resume: pathlib.Path | None = None
    """Folder of a run to resume, under its own configuration."""
    reproduce_failure: pathlib.Path | None = None
    """Folder of a run that a number which is not finite stopped, to see that failure again; changes nothing."""
    minutes: float | None = None
    """Training time since the run began [min], over all phases; if no budget is given: that of the run which is resumed,
    else 20, or as long as a recipe of several phases takes."""
    num_steps: int | None = None
    """Control steps since the run began, over all phases."""
    checkpoint_seconds: float = 30.0
    """Time between two checkpoints [s]; there is one more at the end."""
    wandb: bool = False
    """Send the metrics to Weights & Biases too, as `wandb login` has set it up; it needs the package wandb."""
    profile: bool = False
    """Print at the end where the time went, by parts of the program."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=RunConfig)
    """What the run depends on. With a recipe of several phases, an option that is given holds for all of them."""
    given: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """Names of the options that the user gave."""
