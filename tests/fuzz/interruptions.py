"""Runs commands in forked processes that are killed, or whose disk is full, from a random moment on."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable

from handful.cli.main import run_command_line

SECONDS = 300.0
"""Only to end a command that hangs: a crowded machine is slow."""

FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
"""Audit events of the interpreter at which a file in the watched folder is about to change."""

BALLAST = "ballast"
"""Name of the file that fills a disk."""

_NEW_MOUNTS, _NEW_USERS, _RECURSIVE, _PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Exit status; -9 if it was killed."""
    err: str
    """What it wrote to standard error, without progress."""

    def check(self) -> None:
        """Fail unless the command ended well, was killed, or ended in one sentence."""
        assert self.status in (0, 1, 2, -signal.SIGKILL), self
        assert "Traceback" not in self.err and self.err.count("error: ") <= 1, self.err


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a command is that is not interrupted."""

    num_events: int
    """File events."""
    seconds: float


@dataclasses.dataclass(frozen=True)
class Moment:
    """A random moment of a command: a file event, or a time."""

    event: int | None
    seconds: float | None

    @classmethod
    def draw(cls, rng: random.Random, whole: Length) -> Moment:
        """One within the length of a command that was not interrupted."""
        if rng.random() < 0.5:
            return cls(rng.randint(1, whole.num_events), None)
        return cls(None, rng.uniform(0.0, whole.seconds))


def run_until(
    words: list[str], folder: pathlib.Path, moment: Moment | None = None, action: Callable[[], None] | None = None
) -> Ended:
    """Run a command that writes to a folder, and kill it, or do something else, at a moment."""
    kill = action is None
    log = folder.parent / "stderr.txt"
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _command(words, folder, log, None if moment is None else moment.event, action)
    at = None if moment is None else moment.seconds
    status = None
    while status is None:
        elapsed = time.monotonic() - begun
        if at is not None and elapsed >= at:
            at = None
            if kill:
                os.kill(child, signal.SIGKILL)
            else:
                assert action is not None
                action()
        if elapsed > SECONDS:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"it hangs: {words}")
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
        time.sleep(0.002)
    return Ended(status, log.read_text(errors="replace") if log.exists() else "")


def _command(words, folder, log, event, action) -> None:
    status = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        _HOOK.watch(folder, event, action or _die)
        status = run_command_line(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Hook:
    """Counts file events below a folder, and acts at one of them. An audit hook cannot be removed, so it can rest."""

    def __init__(self) -> None:
        self.prefix: str | None = None
        self.added = False

    def watch(self, folder: pathlib.Path, event: int | None, action: Callable[[], None]) -> None:
        """Count from 0."""
        self.seen, self.event, self.action = 0, event, action
        self.prefix = f"{folder}{os.sep}"
        if not self.added:
            sys.addaudithook(self)
            self.added = True

    def __call__(self, name: str, arguments: tuple) -> None:
        if self.prefix is None or name not in FILE_EVENTS or not str(arguments[0]).startswith(self.prefix):
            return
        self.seen += 1
        if self.seen == self.event:
            self.prefix = None
            self.action()


_HOOK = _Hook()


def run_here(words: list[str], folder: pathlib.Path) -> Length:
    """Run a command in this process, whose modules and kernels its forks then have, and measure it."""
    _HOOK.watch(folder, None, _die)
    begun = time.monotonic()
    assert run_command_line(words) == 0
    _HOOK.prefix = None
    return Length(_HOOK.seen, time.monotonic() - begun)


def in_a_process(function: Callable[[], None]) -> None:
    """Run a function in a forked process; what it raises is raised here, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        text = ""
        try:
            function()
        except BaseException:
            text = traceback.format_exc()
        finally:
            with contextlib.suppress(OSError):
                os.write(writer, text.encode(errors="replace")[-30_000:])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    assert not text, text


def mount_small_disk(folder: pathlib.Path, num_bytes: int) -> bool:
    """Put a small disk at a folder, which this process and its children alone see; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or not hasattr(libc, "mount"):
        return False
    users, groups = os.getuid(), os.getgid()
    if libc.unshare(_NEW_MOUNTS):
        if libc.unshare(_NEW_MOUNTS | _NEW_USERS):
            return False
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {users} 1"), ("gid_map", f"0 {groups} 1")):
            pathlib.Path("/proc/self", name).write_text(content)
    if libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None):
        return False
    return libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={num_bytes}".encode()) == 0


def can_mount(folder: pathlib.Path) -> bool:
    """Whether `mount_small_disk` works here."""
    child = os.fork()
    if child == 0:
        works = False
        try:
            works = mount_small_disk(folder, 2**20)
        finally:
            os._exit(0 if works else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def fill_disk(folder: pathlib.Path, num_bytes_left: int) -> None:
    """Fill the disk that a folder is on, up to some bytes."""
    room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    descriptor = os.open(folder / BALLAST, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        os.posix_fallocate(descriptor, 0, max(1, room - num_bytes_left))
    os.close(descriptor)
