"""Files for people that appear only when they are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from handful.errors import StorageError


@contextlib.contextmanager
def written_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to; it takes the name of ``path`` when the block ends well.

    If the block raises, the temporary file goes and an earlier ``path`` stays as it was.

    Raises:
        StorageError: the folder or the file cannot be written.
    """
    # The suffix stays, because encoders choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
