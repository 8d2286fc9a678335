"""``handful bench``: measure the speed of simulation and learning on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from handful.errors import ConfigurationError
from handful.profiling import Profile

RECIPE = "quick"
"""Of the learner that is measured."""

LEARNING_RATES = (5, 20)
"""Camera rates at which learning is measured [Hz]."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure the speed of simulation and learning on this machine, and the memory they use."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    num_envs: int = 64
    """Simulations that step together."""
    seconds: float = 5.0
    """Length of each measurement [s]."""
    num_threads: int | None = None
    """Number of threads; by default one for each core."""
    backend: str = "cpu"
    """Where physics, camera and learner run: cpu or cuda."""
    json: bool = False
    """Print a JSON list of {"name", "value", "unit", ...} with machine and versions, instead of the table."""


class Figure(NamedTuple):
    """One measurement."""

    name: str
    value: float
    unit: str


def run(options: Options) -> None:
    """Measure and print."""
    from handful.simulation.physics.factory import check_backend
    from handful.tasks.registry import make_task

    if options.num_envs < 1 or not options.seconds > 0:
        raise ConfigurationError("expected at least 1 simulation and more than 0 s for each measurement.")
    if options.num_threads is not None and options.num_threads < 1:
        raise ConfigurationError(f"expected at least 1 thread, got {options.num_threads}.")
    make_task(options.task)
    check_backend(options.backend)
    figures = _measure_simulation(options)
    for camera_hz in LEARNING_RATES:
        figures += _measure_learning(options, camera_hz)
    figures += _measure_memory(options)
    if options.json:
        circumstances = {"task": options.task, "num_envs": options.num_envs, **_circumstances(options.backend)}
        print(json.dumps([{**figure._asdict(), **circumstances} for figure in figures]))
    else:
        _print_table(options, figures)


def _measure_simulation(options: Options) -> list[Figure]:
    """Physics alone, each renderer alone, and both together at every camera rate."""
    import numpy as np

    from handful.environment import on_host
    from handful.simulation.rendering.camera import empty_images
    from handful.simulation.rendering.factory import RENDERERS, make_camera
    from handful.tasks.environment import CAMERA_RATES, TaskEnvironment

    generator = np.random.default_rng(0)
    actions = generator.uniform(-1.0, 1.0, (64, options.num_envs, 9)).astype(np.float32)

    def stepping(environment: TaskEnvironment) -> float:
        environment.reset()
        endless = itertools.cycle(actions)
        return options.num_envs * _rate(lambda: environment.step(next(endless)), options.seconds)

    blind = TaskEnvironment(options.task, **_settings(options), randomization="full", pixels=False)
    figures = [Figure("physics", stepping(blind), "control steps/s")]
    if options.backend == "cuda":
        figures.append(Figure("overflows", blind.physics.num_overflows, "steps that lost contacts"))
    ids = np.arange(options.num_envs)
    renderers = RENDERERS if options.backend == "cpu" else RENDERERS[1:]
    for renderer in renderers:
        camera = make_camera(renderer, blind.physics, num_threads=options.num_threads)
        images = empty_images(camera)

        def look() -> None:
            camera.render(ids, images)  # noqa: B023
            on_host(images[:1])  # noqa: B023 (waits until a GPU has drawn them)

        frames = options.num_envs * _rate(look, options.seconds)
        figures.append(Figure(f"camera/{renderer}", frames, "frames/s"))
        camera.close()
    for renderer in (name for name in renderers if name != "raycaster-shadows"):
        for rate in CAMERA_RATES:
            seeing = TaskEnvironment(
                options.task, **_settings(options), randomization="full", camera_hz=rate, renderer=renderer
            )
            figures.append(Figure(f"physics_and_camera/{renderer}/{rate}hz", stepping(seeing), "control steps/s"))
            seeing.close()
    return figures


def _measure_learning(options: Options, camera_hz: int) -> list[Figure]:
    """Whole iterations of the default learner from pixels, and of their time the policy's inference and the updates."""
    from handful.api import record
    from handful.runs.folder import DEMONSTRATIONS_FILE, RunDescription
    from handful.runs.recipes import find_recipe
    from handful.runs.training_run import TrainingRun

    with tempfile.TemporaryDirectory() as folder:
        demonstrations = Path(folder) / DEMONSTRATIONS_FILE
        record(options.task, demonstrations, num_episodes=5, camera_hz=camera_hz)
        config = find_recipe(RECIPE).config(options.task)
        cloning = dataclasses.replace(config.trainer.cloning, warmup_steps=0)
        config = dataclasses.replace(
            config,
            **_settings(options),
            camera_hz=camera_hz,
            trainer=dataclasses.replace(config.trainer, device=options.backend, cloning=cloning),
        )
        description = RunDescription(options.task, demonstrations, RECIPE, config)
        run_ = TrainingRun(Path(folder), description, resume=False)
        trainer = run_.trainer
        if run_.cloning_epochs:
            list(trainer.prepare(1))
        trainer.iterate()
        trainer.iterate()
        first = trainer.steps
        with Profile() as profile:
            start = time.perf_counter()
            while time.perf_counter() - start < options.seconds:
                trainer.iterate()
        run_.close()
    steps = trainer.steps - first
    inference = sum(profile.spans["rollout", part].seconds for part in ("act", "encode"))
    update = profile.seconds - profile.spans["rollout",].seconds
    return [
        Figure(f"{name}/{camera_hz}hz", steps / seconds, "control steps/s")
        for name, seconds in (("inference", inference), ("update", update), ("learning", profile.seconds))
    ]


def _settings(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("num_envs", "num_threads", "backend")}


def _measure_memory(options: Options) -> list[Figure]:
    """The peak memory of the process, and what is in use on the GPU at the end."""
    import resource
    import sys

    # Bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
    figures = {"memory": peak}
    if options.backend == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info()
        figures["gpu_memory"] = (total - free) / 2**20
    return [
        Figure(f"{name}{suffix}", used / share, "MiB")
        for name, used in figures.items()
        for suffix, share in (("", 1), ("_per_simulation", options.num_envs))
    ]


def _circumstances(backend: str) -> dict[str, object]:
    """Machine, backend, versions and date."""
    import importlib.metadata
    import os
    import platform

    versions = {"python": platform.python_version()}
    for package in ("handful", "mujoco", "mujoco-warp", "numba", "numpy", "torch", "warp-lang"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # handful, when it is not installed
            versions[package] = importlib.metadata.version(package)
    machine = f"{os.cpu_count()} cores of {platform.machine()}, {platform.system()}"
    if backend == "cuda":
        import torch

        machine += f", {torch.cuda.get_device_name()}"
    return {"machine": machine, "backend": backend, "versions": versions, "date": time.strftime("%Y-%m-%d")}


def _rate(call, seconds: float) -> float:
    """Calls per second, after two calls to warm up."""
    call()
    call()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        call()
        count += 1
    return count / elapsed


def _print_table(options: Options, figures: list[Figure]) -> None:
    from rich.console import Console
    from rich.table import Table

    circumstances = _circumstances(options.backend)
    title = f"{options.task}, {options.num_envs} simulations, {circumstances['machine']}, backend {options.backend}"
    table = Table("measured")
    table.add_column("figure", justify="right")
    table.add_column("unit")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:,.0f}", figure.unit)
    console = Console()
    console.print(f"{title}, {circumstances['date']}", style="bold", highlight=False, soft_wrap=True)
    console.print(table)
