"""``handful identify``: how an arm differs from its model, from a recording of its motion."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from handful.errors import ConfigurationError

if TYPE_CHECKING:
    from handful.transfer.identification import Recording


@dataclasses.dataclass(frozen=True)
class Options:
    """Fit friction, damping, armature, servo gain and latency of the arm to a recording, and print what they explain.

    The recording is a log of `handful deploy`, or without one a wiggle of the joints that the twin is told to do.
    """

    log: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[LOG]")] = None
    """A log of `handful deploy`; by default a wiggle on the twin is recorded."""
    laboratory: str = "daylight"
    """Laboratory of the twin: basement, daylight or workshop."""
    seconds: float = 8.0
    """Length of the wiggle [s]."""
    output: Path | None = None
    """File for what was found, .json; by default it is printed alone."""


def run(options: Options) -> None:
    """Record or read, fit, and print."""
    from handful.storage import check_file_name

    if options.output is not None:
        check_file_name(options.output, "identification", (".json",))
    if not 3.0 <= options.seconds <= 60.0:
        raise ConfigurationError(f"expected --seconds from 3 to 60, got {options.seconds}.")

    import json

    import numpy as np

    from handful.simulation.jaco import JACO
    from handful.storage import write_atomically
    from handful.transfer.identification import FACTORS, identify, read_recording

    recording = read_recording(options.log) if options.log is not None else _wiggle(options)
    found = identify(JACO, recording)
    for name in FACTORS:
        error = found.standard_errors[name]
        # Of a logarithm, so it is a share of the factor.
        said = f"+- {100.0 * error:.1f}%" if found.determined(name) else "not determined by this motion"
        print(f"{name:<9} {found.factors[name]:6.2f} times the model's ({said})")
    error = found.standard_errors["latency"]
    said = f"+- {1000.0 * error:.1f} ms" if found.determined("latency") else "not determined by this motion"
    print(f"{'latency':<9} {1000.0 * found.latency:6.1f} ms from command to reading ({said})")
    print("Standard errors are those of an arm that differs in nothing else.")
    print("simulation and recording lie apart, root mean square of each joint [mrad]:")
    for words, distances in (("before", found.before), ("after", found.after)):
        print(f"  {words:<7}" + "".join(f"{1000.0 * each:8.2f}" for each in distances))
    if options.output is not None:
        values = dataclasses.asdict(found) | {"before": found.before.tolist(), "after": found.after.tolist()}
        write_atomically(options.output, json.dumps({"format": "handful-arm-1", **values}, indent=2).encode() + b"\n")
        print(f"Wrote {options.output}.")
    if np.mean(found.after) > 0.5 * np.mean(found.before):
        print("These numbers explain less than half of the distance: the arm differs in something else.")


def _wiggle(options: Options) -> Recording:
    """A wiggle of the twin, which waits for us."""
    import contextlib

    from handful.simulation.scene import CONTROL_TIMESTEP
    from handful.transfer.identification import record_wiggle
    from handful.transfer.robots.body import find_body
    from handful.transfer.robots.twin import TwinRobot
    from handful.transfer.trials import make_trials

    task = "block-lifting"
    with contextlib.closing(TwinRobot(task, options.laboratory, lockstep=True)) as twin:
        (trial,) = make_trials(task, 1)
        twin.begin(trial.places, trial.arm, seed=0)
        return record_wiggle(twin, find_body("jaco"), control_timestep=CONTROL_TIMESTEP, seconds=options.seconds)
