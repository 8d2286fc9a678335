"""``handful transfer``: the paper's protocol, in domain and in the twin's laboratories."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure how a policy carries over from its simulation to the twin's laboratories, beside the paper's robot.

    Each trial begins in one of a few block configurations, with the arm's start at random, as in the paper. The twin is an
    arm in another process with other physics, another camera and other delays; training has never seen it.
    """

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task: block-lifting or block-stacking."""
    policy: str | None = None
    """A policy file or the folder of a run; by default the policy that ships with handful."""
    num_trials: int | None = None
    """Trials in each place; by default as many as in the paper, 25 or 20."""
    laboratories: tuple[str, ...] = ()
    """Laboratories to measure in; by default all of them."""
    real_time: bool = False
    """Let the twin run in real time; otherwise it waits for the policy, as fast as both can."""
    json: bool = False
    """Print one JSON object instead of the table."""


def run(options: Options) -> None:
    """Measure, and print."""
    import torch
    from rich.console import Console

    from handful.errors import unknown_name
    from handful.learning.actors import PolicyActor
    from handful.runs.policies import read_trained
    from handful.simulation.arms import find_arm
    from handful.transfer import trials as protocol
    from handful.transfer.export import export_policy
    from handful.transfer.exported import OnnxPolicy
    from handful.transfer.robots.body import find_body
    from handful.transfer.robots.twin import laboratory_names

    torch.set_num_threads(1)  # as in `handful evaluate`
    paper = protocol.find_protocol(options.task)
    for name in options.laboratories:
        if name not in laboratory_names():
            raise unknown_name("laboratory", name, laboratory_names())
    found = read_trained(options.policy or options.task)
    trials = protocol.make_trials(options.task, options.num_trials or paper.num_trials)
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder, console.status("measuring") as status:
        exported = Path(folder) / "policy.onnx"
        export_policy(found.network, found.manifest, find_arm(found.arm()), exported)
        policy, body = OnnxPolicy.read(exported), find_body(found.arm())
        status.update("in domain")
        actor = PolicyActor(found.network, found.manifest)
        measured = [protocol.measure_in_domain(actor, options.task, trials, camera_hz=found.camera_hz)]
        for name in options.laboratories or laboratory_names():

            def show(number: int, outcome: protocol.Outcome, name: str = name) -> None:
                status.update(f"{name}: {number + 1} of {len(trials)} trials")
                if outcome.ending:
                    print(f"{name}, trial {number + 1}: {outcome.ending}", file=sys.stderr)

            lockstep = not options.real_time
            measured.append(protocol.measure_on_twin(policy, body, name, trials, lockstep=lockstep, on_trial=show))
            succeeded = sum(outcome.success for outcome in measured[-1].outcomes)
            print(f"{name}: success in {succeeded} of {len(trials)} trials", file=sys.stderr, flush=True)
    rows = [each.to_json() for each in measured]
    if len(measured) > 2:
        outcomes = tuple(outcome for each in measured[1:] for outcome in each.outcomes)
        rows.append(protocol.Measurement("all laboratories", measured[0].stages, outcomes).to_json())
    report = {"task": options.task, "policy": str(found.source), "measured": rows, "paper": dataclasses.asdict(paper)}
    if options.json:
        print(json.dumps(report))
    else:
        _print_table(report)


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(report["measured"][0]["rates"])
    table = Table("", "trials", *(name if name == "success" else f"reached {name}" for name in names))
    for row in report["measured"]:
        cells = [
            f"{row['rates'][name]:.0%} ({low:.0%} to {high:.0%})" for name, (low, high) in row["intervals"].items()
        ]
        table.add_row(row["place"], str(row["num_trials"]), *cells)
    rates = report["paper"]["rates"]
    paper = [f"{rates[name]:.0%}" if name in rates else "" for name in names]
    table.add_row("the paper's robot", str(report["paper"]["num_trials"]), *paper)
    Console(width=max(100, Console().width)).print(table)
