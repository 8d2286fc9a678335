"""``handful export``: write a policy as ONNX, for a robot."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from handful.storage import check_file_name


@dataclasses.dataclass(frozen=True)
class Options:
    """Write a policy as an ONNX file and a manifest beside it, which run without torch and without a simulator."""

    policy: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="POLICY")]
    """A policy file, the folder of a run, or a task for which a policy ships."""
    output: Path | None = None
    """File to write, .onnx; by default TASK.onnx in this folder. The manifest has the same name and ends in .json."""


def run(options: Options) -> None:
    """Export, and say where it is."""
    if options.output is not None:
        check_file_name(options.output, "exported policy", (".onnx",))
    import torch

    from handful.runs.policies import read_trained
    from handful.simulation.arms import find_arm
    from handful.transfer.export import export_policy

    torch.set_num_threads(1)  # as in `handful evaluate`
    found = read_trained(options.policy)
    path = options.output or Path(f"{found.manifest.task}.onnx")
    export_policy(found.network, found.manifest, find_arm(found.arm()), path)
    print(path)
