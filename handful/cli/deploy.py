"""``handful deploy``: run a policy on a robot, or on its twin."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from handful.errors import ConfigurationError, RobotError, unknown_name

if TYPE_CHECKING:
    from handful.transfer.exported import OnnxPolicy
    from handful.transfer.loop import Episode
    from handful.transfer.robots.opening import Place

TWIN = "twin"
"""Name of the robot that is a simulation."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Run a policy on a robot at 20 Hz, within limits that hold whatever the policy says.

    Any key in the terminal, Ctrl-C and SIGTERM stop the arm at once. A watchdog stops it when a reading or a picture is late
    or means nothing. Every step is logged into an episode file.
    """

    policy: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="POLICY")]
    """An exported policy, FILE.onnx; or a policy file, the folder of a run, or a task for which a policy ships."""
    robot: str = TWIN
    """The robot: twin; kinova-ros, a Jaco behind Kinova's ROS driver and rosbridge; or kinova-sdk, a Jaco behind Kinova's
    own library."""
    host: str | None = None
    """Where rosbridge runs, HOST or HOST:PORT; with kinova-sdk the arm's address, if it is reached by Ethernet and not by
    USB."""
    camera: str | None = None
    """Camera of a real arm: usb:0, usb:/dev/video2, realsense, realsense:SERIAL or ros:/TOPIC."""
    library: Path | None = None
    """Kinova's SDK library, for kinova-sdk."""
    serial: str | None = None
    """Serial number of the arm, for kinova-sdk, where there are several."""
    laboratory: str = "daylight"
    """Laboratory of the twin: basement, daylight or workshop."""
    lockstep: bool = False
    """Let the twin wait for the policy instead of running in real time, for machines that are too slow or too busy."""
    trial: int = 0
    """Number of the trial whose block configuration and arm's start the twin sets up, as `handful transfer` does."""
    seconds: float | None = None
    """How long to run [s]; by default the length of the task's episodes."""
    dry_run: bool = False
    """Do everything but move: no command is sent."""
    log: Path | None = None
    """Episode file to write, .hdf5; by default deployment.hdf5. `handful dataset replay` and `view` read it."""
    overwrite: bool = False
    """Replace a log that is there."""


def run(options: Options) -> None:
    """Run one episode, print what came of it, and write the log."""
    from handful.storage import check_file_name
    from handful.transfer.robots.opening import REAL_ROBOTS

    path = options.log or Path("deployment.hdf5")
    check_file_name(path, "log", (".hdf5", ".h5"))
    if path.exists() and not options.overwrite:
        raise ConfigurationError(f"'{path}' is there already: name another --log, or give --overwrite.")
    robots = (TWIN, *REAL_ROBOTS)
    if options.robot not in robots:
        raise unknown_name("robot", options.robot, robots)
    if options.seconds is not None and not 0.0 < options.seconds <= 3600.0:
        raise ConfigurationError(f"expected --seconds above 0 and at most 3600, got {options.seconds}.")
    if options.trial < 0:
        raise ConfigurationError(f"expected --trial of at least 0, got {options.trial}.")
    place = _place(options)

    from handful.tasks.registry import make_task
    from handful.transfer.emergency import EmergencyStop
    from handful.transfer.log import write_episode_log
    from handful.transfer.loop import check_policy_drives, run_episode
    from handful.transfer.robots.body import find_body
    from handful.transfer.robots.opening import check_place
    from handful.transfer.trials import find_protocol

    policy = _policy(options.policy)
    task = policy.manifest.task
    if place is None:
        find_protocol(task)
    body = find_body(policy.manifest.arm)
    check_policy_drives(policy, body, options.robot)
    if place is not None:
        check_place(options.robot, place, looks=policy.looks)
    seconds = options.seconds or make_task(task).horizon * policy.manifest.control_timestep
    stop = EmergencyStop()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stop.on_signals())
        robot = stack.enter_context(contextlib.closing(_open(options, task, place)))
        if stack.enter_context(stop.on_any_key()):
            print("Any key stops the arm.", file=sys.stderr, flush=True)
        steps = round(seconds / policy.manifest.control_timestep)
        episode = run_episode(policy, robot, body, num_steps=steps, stop=stop, dry_run=options.dry_run)
        seen = None
        with contextlib.suppress(RobotError):  # a twin that has gone has seen nothing
            seen = robot.referee() if place is None else None
    stages = make_task(task).stages
    _print_summary(episode)
    if seen is not None:
        print(f"the stage is {stages[seen['stage']]}, the highest was {stages[seen['highest_stage']]}.")
    if episode.steps:
        write_episode_log(path, episode, arm=policy.manifest.arm, overwrite=options.overwrite)
        print(f"The log is {path}.")
    if episode.ending:
        raise RobotError(f"the arm was stopped after {len(episode.steps)} steps: {episode.ending}")


def _place(options: Options) -> Place | None:
    """Where a real arm is said to be; None for the twin."""
    from handful.transfer.robots.opening import Place

    place = Place(options.host or "", options.camera or "", options.library, options.serial or "")
    if options.robot != TWIN:
        return place
    if place != Place():
        raise ConfigurationError("--host, --camera, --library and --serial are for a real arm: name it by --robot.")
    return None


def _open(options: Options, task: str, place: Place | None) -> Any:
    """The robot, ready to begin."""
    from handful.transfer.robots.opening import open_robot
    from handful.transfer.robots.twin import TwinRobot
    from handful.transfer.trials import make_trials

    if place is not None:
        return open_robot(options.robot, place)
    with contextlib.ExitStack() as stack:
        twin = stack.enter_context(contextlib.closing(TwinRobot(task, options.laboratory, lockstep=options.lockstep)))
        trial = make_trials(task, options.trial + 1)[-1]
        twin.begin(trial.places, trial.arm, seed=options.trial)
        stack.pop_all()
    return twin


def _policy(name: str) -> OnnxPolicy:
    """An exported policy, or another one exported for the occasion."""
    from handful.transfer.exported import OnnxPolicy

    if name.endswith(".onnx"):
        return OnnxPolicy.read(name)
    import torch

    from handful.runs.policies import read_trained
    from handful.simulation.arms import find_arm
    from handful.transfer.export import export_policy

    torch.set_num_threads(1)
    found = read_trained(name)
    with tempfile.TemporaryDirectory() as folder:
        export_policy(found.network, found.manifest, find_arm(found.arm()), Path(folder) / "policy.onnx")
        return OnnxPolicy.read(Path(folder) / "policy.onnx")


def _print_summary(episode: Episode) -> None:
    import numpy as np

    count = len(episode.steps)
    print(f"{count} steps{', dry: no command was sent' if episode.dry_run else ''}.")
    if not count:
        return
    late = 1000.0 * np.percentile(episode.jitter, [50, 99, 100])
    busy = 1000.0 * np.percentile([step.duration for step in episode.steps], [50, 99])
    print(
        f"late by {late[0]:.1f} ms (median), {late[1]:.1f} ms (99%), {late[2]:.1f} ms (most); {episode.num_missed} missed."
    )
    print(f"a step took {busy[0]:.1f} ms (median), {busy[1]:.1f} ms (99%).")
    limited = {reason: sum(step.reason == reason for step in episode.steps) for reason in ("joint", "workspace")}
    print(f"limited by a joint's limits in {limited['joint']} steps, by the workspace in {limited['workspace']}.")
