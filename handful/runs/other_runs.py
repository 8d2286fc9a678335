"""What a run takes from the folders of other runs."""

from __future__ import annotations

import dataclasses
import pathlib

from handful.errors import ConfigurationError, DataError
from handful.learning.models.policy import Policy
from handful.learning.persistence.policy_file import PolicyManifest, load_policy
from handful.runs.folder import CHECKPOINT_FILE, POLICY_FILE, TEACHER_FILE, RunDescription


@dataclasses.dataclass(frozen=True)
class FoundTeacher:
    """A teacher's policy and what its file says of it."""

    source: pathlib.Path
    policy: Policy
    manifest: PolicyManifest


def read_teacher(folder: pathlib.Path, description: RunDescription, *, resume: bool) -> FoundTeacher | None:
    """The teacher of a run: its own copy if it is resumed, else that of the run which its configuration names.

    Raises:
        DataError: there is none, or its file is damaged.
        ConfigurationError: it was trained on another task.
    """
    name = description.config.teacher
    if name is None:
        return None
    source = folder / TEACHER_FILE if resume else pathlib.Path(name) / POLICY_FILE
    policy, manifest = load_policy(source)
    if manifest.task != description.task:
        raise ConfigurationError(f"the teacher {name} was trained on {manifest.task}, not on {description.task}.")
    return FoundTeacher(source, policy, manifest)


def check_start_from(name: str | None) -> None:
    """Refuse a folder to start from that holds no run with a checkpoint, by a `DataError`."""
    if name is not None and not (pathlib.Path(name) / CHECKPOINT_FILE).is_file():
        raise DataError(f"{name} holds no run to start from: {CHECKPOINT_FILE} is missing.")
