"""Files that are written whole or not at all, and their names."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from handful.errors import ConfigurationError, DataError, StorageError

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such folder or file",
    errno.EEXIST: "it exists already",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
}
"""Failures of the operating system that a user can act on, by ``errno``."""


def reason(error: OSError) -> str:
    """Why the operating system refused, in words."""
    return REASONS.get(error.errno or 0, error.strerror or str(error))


def exists(path: Path) -> bool:
    """Whether there is something at a path; a name that is too long or impossible names nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


MAX_TEXT_BYTES = 2**24
"""A longer text file, such as a configuration, is refused."""


def read_text(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a file that may be anything.

    Raises:
        DataError: it is no regular file, too long, or not text in UTF-8.
        StorageError: the operating system refused; a `FileNotFoundError` where there is none.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is no file with text.")
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot read {path}: {reason(error) if isinstance(error, OSError) else error}.") from error
    if len(content) > max_bytes:
        raise DataError(f"{path} is longer than {max_bytes // 2**20} MiB.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text in UTF-8, got other bytes.") from error


def read_json(path: Path) -> Any:
    """The JSON in a file that may be anything; see `read_text` for the errors."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON that can be read ({str(error)[:100]}).") from error


@contextlib.contextmanager
def replaced_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; its file replaces ``path`` when the block ends well.

    The file is synced to the disk before it takes the name. If the block raises, the temporary file is removed and an
    earlier ``path`` stays as it was. What a killed process left behind is removed by the next one that writes ``path``.

    Raises:
        OSError: the operating system refused.
    """
    # The suffix stays, because encoders choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    remove_leftovers(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def written_when_complete(path: Path) -> Iterator[Path]:
    """The same as `replaced_when_complete`, with the folder made if it is missing and errors in words.

    Raises:
        StorageError: the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(path) as temporary:
            yield temporary
    except OSError as error:
        raise StorageError(f"cannot write {path}: {reason(error)}.") from error


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write the whole file, or leave the previous one as it was.

    Raises:
        StorageError: the disk refused; a previous file under that name is intact.
    """
    path = Path(path)
    try:
        with replaced_when_complete(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        intact = "; the previous file there is intact" if path.exists() else ""
        raise StorageError(f"{path} could not be written, because {reason(error)}{intact}.") from error


def lock(path: Path, *, what: str) -> Callable[[], None]:
    """Keep other processes from what a lock file stands for, until what this returns is called or the process ends.

    The operating system releases the lock of a process that dies. The same process may take a lock again.

    Raises:
        ConfigurationError: another process has it; the sentence names ``what`` is locked, and the process.
        StorageError: the file cannot be made.
    """
    held = filelock.FileLock(path, blocking=False, is_singleton=True, thread_local=False)
    try:
        held.acquire()
        if held.lock_counter == 1:
            path.write_text(f"{os.getpid()}\n")
    except filelock.Timeout as error:
        raise ConfigurationError(
            f"{what} is in use by {_holder(path)}: wait until it has ended, or stop it, or choose another."
        ) from error
    except OSError as error:
        held.release()
        raise StorageError(f"cannot lock {path}: {reason(error)}.") from error

    def release() -> None:
        if held.lock_counter == 1:
            with contextlib.suppress(OSError):  # before the release, while nobody else can have it
                path.unlink(missing_ok=True)
        held.release()

    return release


def _holder(path: Path) -> str:
    """The process that wrote its number into a lock file."""
    number = b""
    with contextlib.suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                number = file.read(20).strip()
    return f"process {int(number)}" if number.isdigit() else "another process"


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left beside a path that they wrote: temporary files of processes that no longer run."""
    for file in path.parent.glob(f".{glob.escape(path.stem)}.*{glob.escape(path.suffix)}"):
        process = file.name.removeprefix(f".{path.stem}.").removesuffix(path.suffix)
        if process.isdigit() and not _runs(int(process)):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def check_file_name(path: Path, kind: str, suffixes: Sequence[str]) -> None:
    """Refuse a name under which a file of this kind, such as a ``picture``, cannot be written.

    Raises:
        ConfigurationError: it has another ending than ``suffixes``, or is a folder.
    """
    if path.suffix not in suffixes:
        raise ConfigurationError(f"expected the name of a {kind} to end in {', '.join(suffixes)}, got {path}.")
    if path.is_dir():
        raise ConfigurationError(f"expected the name of a {kind} to write, got the folder {path}.")
