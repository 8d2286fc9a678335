"""``handful bench``: measure the speed of simulation and learning on this machine."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import tyro

from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure the speed of simulation and learning on this machine: control steps, frames and episodes per second."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    num_envs: int = 64
    """Simulations that step together."""
    seconds: float = 5.0
    """Time for each measurement [s]."""
    num_threads: int | None = None
    """Threads; by default one for every core."""
    json: bool = False
    """Print a list of {"name", "value", "unit"} instead of the table."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measurement."""

    name: str
    value: float
    unit: str


def run(options: Options) -> None:
    """Measure and print."""
    from handful.tasks.registry import make_task

    if options.num_envs < 1 or not options.seconds > 0:
        raise ConfigurationError("expected at least 1 simulation and a time above 0 s for each measurement.")
    if options.num_threads is not None and options.num_threads < 1:
        raise ConfigurationError(f"expected at least 1 thread, got {options.num_threads}.")
    make_task(options.task)
    figures = [*_measure_simulation(options), *_measure_learning(options)]
    if options.json:
        print(json.dumps([dataclasses.asdict(figure) for figure in figures]))
    else:
        _print_table(options, figures)


def _measure_simulation(options: Options) -> list[Figure]:
    """Physics alone, each camera alone, and both together at the camera's rates."""
    import numpy as np

    from handful.simulation.camera import RENDERERS, make_camera
    from handful.tasks.environment import CAMERA_RATES, TaskEnvironment

    generator = np.random.default_rng(0)
    actions = generator.uniform(-1.0, 1.0, (64, options.num_envs, 9)).astype(np.float32)

    def environment(**settings) -> TaskEnvironment:
        made = TaskEnvironment(
            options.task,
            num_envs=options.num_envs,
            randomization="full",
            num_threads=options.num_threads,
            **settings,
        )
        made.reset()
        return made

    def stepping(made: TaskEnvironment) -> float:
        counter = iter(range(1 << 62))
        return options.num_envs * _rate(lambda: made.step(actions[next(counter) % len(actions)]), options.seconds)

    blind = environment(pixels=False)
    figures = [Figure("physics", stepping(blind), "control steps/s")]
    ids = np.arange(options.num_envs)
    for renderer in RENDERERS:
        camera = make_camera(renderer, blind.physics, num_threads=options.num_threads)
        image = np.empty((options.num_envs, camera.height, camera.width, 3), np.uint8)
        frames = options.num_envs * _rate(lambda: camera.render(ids, image), options.seconds)  # noqa: B023
        figures.append(Figure(f"camera/{renderer}", frames, "frames/s"))
        camera.close()
    for renderer in RENDERERS:
        for rate in CAMERA_RATES:
            made = environment(camera_hz=rate, renderer=renderer)
            figures.append(Figure(f"physics_and_camera/{renderer}/{rate}hz", stepping(made), "control steps/s"))
            made.close()
    return figures


def _measure_learning(options: Options) -> list[Figure]:
    """Whole iterations of the default learner from pixels: rollouts, discriminator, policy and value function."""
    from handful.cli.demonstrate import record
    from handful.cli.run_config import RunConfig
    from handful.cli.training_run import TrainingRun

    with tempfile.TemporaryDirectory() as folder:
        demonstrations = Path(folder) / "demonstrations.hdf5"
        record(options.task, demonstrations, num_episodes=5, quiet=True)
        config = RunConfig(num_envs=options.num_envs, num_threads=options.num_threads)
        run_ = TrainingRun(Path(folder), task=options.task, config=config, demonstrations=demonstrations, resume=False)
        trainer = run_.trainer
        trainer.iterate()
        iterations = _rate(trainer.iterate, options.seconds)
        run_.close()
    steps = iterations * config.num_envs * config.trainer.rollout_steps
    return [Figure(f"learning/{config.camera_hz}hz", steps, "control steps/s")]


def _rate(call, seconds: float) -> float:
    """Calls per second, after two that are not counted."""
    call()
    call()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        call()
        count += 1
    return count / elapsed


def _print_table(options: Options, figures: list[Figure]) -> None:
    import os
    import platform

    from rich.console import Console
    from rich.table import Table

    machine = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    title = f"{options.task}, {options.num_envs} simulations, {machine}, {time.strftime('%Y-%m-%d')}"
    table = Table("measured")
    table.add_column("figure", justify="right")
    table.add_column("unit")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:,.0f}", figure.unit)
    console = Console()
    console.print(title, style="bold", highlight=False, soft_wrap=True)
    console.print(table)
