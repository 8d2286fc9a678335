"""``handful doctor``: check this machine, what is installed, and every device."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from handful.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Options:
    """Check Python, packages, CPU and GPU, Warp, compile caches, disk, video writing, and every device.

    Each line says what was found; where something is wrong, also what to type. Devices are optional: without any, you can
    demonstrate by the browser.
    """

    json: bool = False
    """Print it as JSON, for programs."""
    folder: pathlib.Path = pathlib.Path()
    """Folder in which you work, whose disk is checked."""
    root: pathlib.Path = pathlib.Path("/")
    """Where the system's folders sys, dev and etc are; another one is a copy of another machine's, to look at its
    devices."""


MARKS = {"ok": ("green", "ok  "), "note": ("yellow", "note"), "problem": ("red", "bad ")}


def run(options: Options) -> None:
    """Check, print, and end with an error if something must be mended before anything works."""
    from handful.doctor.devices import check_devices
    from handful.doctor.machine import check_machine

    findings = [*check_machine(options.folder), *check_devices(options.root)]
    problems = [finding for finding in findings if finding.state == "problem"]
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            color, mark = MARKS[finding.state]
            console.print(Text(f"{mark}  ", style=color).append(f"{finding.subject}: {finding.words}", style="default"))
            for command in finding.commands:
                console.print(Text(f"        {command}", style="bold"))
    if problems:
        raise ConfigurationError(f"{len(problems)} of {len(findings)} checks failed, the first: {problems[0].words}")
