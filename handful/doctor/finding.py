"""What a check found."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of ``handful doctor``."""

    subject: str
    """What was checked."""
    state: str
    """``ok``; ``note`` for what works but could be better, or is optional; ``problem`` for what must be mended."""
    words: str
    """What was found, in a sentence."""
    commands: tuple[str, ...] = ()
    """What to type to mend it."""
