"""What a run takes from the folders of other runs."""

from __future__ import annotations

import dataclasses
import pathlib

from handful.environment import StateTree
from handful.errors import ConfigurationError, DataError
from handful.learning.models.policy import Policy
from handful.learning.persistence.checkpoint import load_checkpoint
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


def read_networks(name: str, task: str) -> StateTree:
    """What `handful.learning.trainer.Trainer.load_networks` takes, from the folder of a run or of a policy that ships.

    Where there is no checkpoint it is the policy alone, as of a student's run.

    Raises:
        DataError: there is neither, or what is there is damaged.
        ConfigurationError: the policy was trained on another task.
    """
    checkpoint, policy_file = pathlib.Path(name) / CHECKPOINT_FILE, pathlib.Path(name) / POLICY_FILE
    if checkpoint.is_file():
        return load_checkpoint(checkpoint)
    if not policy_file.is_file():
        raise DataError(f"{name} holds nothing to start from: expected {CHECKPOINT_FILE} or {POLICY_FILE} in it.")
    policy, manifest = load_policy(policy_file)
    if manifest.task != task:
        raise ConfigurationError(f"the policy in {name} was trained on {manifest.task}, not on {task}.")
    arrays = {name: array.numpy() for name, array in policy.state_dict().items()}
    return {"average": arrays, "distillation": None}
