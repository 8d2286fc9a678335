"""``handful evaluate``: run a policy from random starts and report its success."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from handful.environment import EVALUATION_SEED
from handful.errors import ConfigurationError
from handful.tasks.conditions_config import Conditions

if TYPE_CHECKING:
    from handful.learning.evaluation import EvaluationResult
    from handful.learning.persistence.policy_file import PolicyManifest

NUM_ENVS = 64
"""Most simulations that run together; the episodes do not depend on it."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Run a policy from random starts and report its success, the stages it reached and its return, with 95% intervals."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    policy: str | None = None
    """A policy file, the folder of a run, or zero, random or scripted; by default the policy that ships with handful."""
    force: bool = False
    """Run a policy that was trained on another task, if its observations fit."""
    num_episodes: int = 200
    """Number of episodes, each from another random start."""
    seed: int = 0
    """Seed of the starts; they differ from those of training."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    variant: str | None = None
    """Variant of the task, such as one with smaller orders; `handful tasks TASK` lists them. By default the task itself."""
    arm: str | None = None
    """The arm: jaco or panda; by default that which the policy was trained with."""
    camera_hz: int | None = None
    """Rate of the camera [Hz]: 20, 10 or 5; by default the rate that the policy was trained with."""
    conditions: Conditions = dataclasses.field(default_factory=Conditions)
    """Conditions of a real robot."""
    renderer: str | None = None
    """How images are drawn: rasterizer, raycaster or raycaster-shadows; by default the fastest."""
    backend: str = "cpu"
    """Where the physics runs: cpu or cuda."""
    json: bool = False
    """Print one JSON object instead of the table."""
    video: pathlib.Path | None = None
    """Video of the first episodes to write, .mp4."""


def run(options: Options) -> None:
    """Evaluate and print."""
    import torch

    from handful.learning.evaluation import evaluate_policy
    from handful.runs.policies import load_actor, read_policy
    from handful.simulation.arms import DEFAULT_ARM
    from handful.simulation.rendering.factory import check_renderer
    from handful.tasks.conditions import make_environment
    from handful.tasks.registry import make_task
    from handful.viewing.filming import film_policy

    torch.set_num_threads(1)  # actions depend on it in their last bits, and one thread is as fast for a small network
    if options.num_episodes < 1:
        raise ConfigurationError(f"expected at least 1 episode, got {options.num_episodes}.")
    if options.seed < 0:
        raise ConfigurationError(f"expected a seed of at least 0, got {options.seed}.")
    check_renderer(options.renderer)  # also where no camera is built, so that a wrong name is noticed
    make_task(options.task, options.variant, options.arm or DEFAULT_ARM)  # refused before the policy is
    policy = read_policy(options.task, options.policy, any_task=options.force)
    task = make_task(options.task, options.variant, policy.arm(options.arm))
    camera_hz = policy.camera_hz if options.camera_hz is None else options.camera_hz
    environment = make_environment(
        task,
        conditions=options.conditions,
        num_envs=min(NUM_ENVS, options.num_episodes),
        randomization=options.randomization,
        camera_hz=camera_hz,
        renderer=options.renderer,
        backend=options.backend,
        pixels=policy.sees_pixels or options.video is not None,
        tool_state=policy.sees_tool_state,
    )
    seed = EVALUATION_SEED + options.seed
    actor = load_actor(policy, environment, seed=seed)
    if options.video is None:
        result = evaluate_policy(actor, environment, num_episodes=options.num_episodes, seed=seed)
    else:
        result = film_policy(actor, environment, options.video, num_episodes=options.num_episodes, seed=seed)
    environment.close()
    report = {
        "task": options.task,
        "policy": str(policy.source),
        "randomization": options.randomization,
        "variant": options.variant,
        "camera_hz": camera_hz,
        "seed": options.seed,
        "conditions": dataclasses.asdict(options.conditions.resolved()) if options.conditions.any else None,
        "backend": options.backend,
        "num_overflows": environment.physics.num_overflows,
        **result.to_json(),
        "demonstrations": _demonstrations(policy.manifest, options.task),
    }
    if options.json:
        print(json.dumps(report))
    else:
        _print_table(options, report, result, score_name=task.score_name)


def _demonstrations(manifest: PolicyManifest | None, task: str) -> Any:
    """What the policy's file says of the demonstrations that it learned from; None if they are of another task."""
    return manifest.training.get("demonstrations") if manifest is not None and manifest.task == task else None


def _print_table(options: Options, report: dict[str, Any], result: EvaluationResult, *, score_name: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    name = options.task if options.variant is None else f"{options.task}, variant {options.variant}"
    title = f"{name}: {report['policy']}, {result.num_episodes} episodes, randomisation {options.randomization}"
    table = Table("")
    for column in ("", "95% interval"):
        table.add_column(column, justify="right")

    def add_row(label: str, value: float, interval: Sequence[float], form: str) -> None:
        table.add_row(label, format(value, form), " to ".join(format(end, form) for end in interval))

    add_row("sustained success", result.success_rate, result.success_interval, ".1%")
    if score_name is not None:
        add_row(f"{score_name}, at the end", result.mean_score, result.score_interval, ".1%")
    for stage, rate in result.stage_rates.items():
        add_row(f"reached '{stage}'", rate, result.stage_intervals[stage], ".1%")
    add_row("mean return", result.mean_return, result.return_interval, ".1f")
    if demonstrations := report["demonstrations"]:
        add_row("demonstrations' return", demonstrations["mean_return"], demonstrations["return_interval"], ".1f")
    if report["num_diverged"]:
        table.add_row("episodes in which the physics diverged", str(report["num_diverged"]), "")
    if report["num_overflows"]:
        table.add_row("simulation steps that lost contacts", f"{report['num_overflows']:,}", "")
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
    if options.video is not None:
        console.print(f"Video: {options.video}", soft_wrap=True)
