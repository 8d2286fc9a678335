"""Whoever can act where a policy is named: a policy file, a run, the shipped policy, or a stand-in."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
from typing import TYPE_CHECKING

from handful.environment import TOOL_STATE
from handful.errors import ConfigurationError
from handful.runs.folder import POLICY_FILE
from handful.runs.phases import latest_policy
from handful.simulation.arms import DEFAULT_ARM
from handful.tasks.registry import TASKS

if TYPE_CHECKING:
    from handful.learning.actors import Actor
    from handful.learning.models.policy import Policy
    from handful.learning.persistence.policy_file import PolicyManifest
    from handful.tasks.environment import TaskEnvironment

_INSTALLED = pathlib.Path(__file__).parents[1] / "policies"

SHIPPED = _INSTALLED if _INSTALLED.is_dir() else pathlib.Path(__file__).parents[2] / "policies"
"""The policies that ship: inside an installed package, or in the repository beside it."""

STAND_INS = ("zero", "random", "scripted")
"""Names that stand in for a policy anywhere a policy is named."""


def find_policy(task: str, name: str | None) -> pathlib.Path | str:
    """What a user means by a policy: one of `STAND_INS`, or the file that a name or a folder leads to.

    None is the policy that ships for the task, see `SHIPPED`.

    Raises:
        ConfigurationError: there is nothing of that name.
    """
    if name is None:
        shipped = SHIPPED / task / POLICY_FILE
        if not shipped.is_file():
            raise ConfigurationError(
                f"no policy ships for {task}: name one by --policy, a file, a run's folder or {', '.join(STAND_INS)}."
            )
        return shipped
    if name in STAND_INS:
        return name
    path = pathlib.Path(name)
    if path.is_dir() and (path / POLICY_FILE).is_file():
        return path / POLICY_FILE
    if path.is_dir() and (latest := latest_policy(path)) is not None:
        return latest
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigurationError(f"the folder {path} holds no {POLICY_FILE}.")
    near = difflib.get_close_matches(name, [*STAND_INS, *_policies_in(path.parent)], n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? Expected" if near else "there is no such file or folder; expected"
    raise ConfigurationError(
        f"unknown policy '{name}': {hint} a policy file, the folder of a run, or one of {', '.join(STAND_INS)}."
    )


@dataclasses.dataclass(frozen=True)
class FoundPolicy:
    """What `find_policy` found: a stand-in or, as a `FoundFile`, a policy that was read."""

    source: pathlib.Path | str
    network: Policy | None
    """The policy; None for a stand-in."""
    manifest: PolicyManifest | None
    """What its file says of it; None for a stand-in."""

    @property
    def sees_pixels(self) -> bool:
        """Whether it reads images."""
        return self.network is not None and self.network.sees_pixels

    @property
    def sees_tool_state(self) -> bool:
        """Whether it reads the group ``tool_state``, as teachers do."""
        return self.manifest is not None and self.manifest.reads(TOOL_STATE)

    def arm(self, asked: str | None = None) -> str:
        """The arm that it moves: that which it was trained with. A stand-in moves the one that is asked for, or the Jaco.

        Raises:
            ConfigurationError: another arm is asked for than the policy was trained with.
        """
        if self.manifest is None:
            return asked or DEFAULT_ARM
        own = arm_of(self.manifest)
        if asked not in (None, own):
            raise ConfigurationError(
                f"the policy {self.source} was trained with the arm {own}, not with {asked}: "
                f"name a policy of {asked}, or leave out the arm."
            )
        return own

    @property
    def camera_hz(self) -> int:
        """The rate of the camera that it is used to [Hz]; a stand-in sees nothing and is shown 5."""
        return self.manifest.camera_hz if self.manifest else 5


@dataclasses.dataclass(frozen=True)
class FoundFile(FoundPolicy):
    """A policy that was read from a file."""

    source: pathlib.Path
    network: Policy
    """The policy."""
    manifest: PolicyManifest
    """What its file says of it."""


def read_policy(task: str, name: str | None, *, any_task: bool = False) -> FoundPolicy:
    """Find a policy, as `find_policy` does, and read it, as `load_policy` does, into a `FoundFile` unless it is a stand-in.

    Raises:
        ConfigurationError: the policy was trained on another task, unless ``any_task``.
    """
    from handful.learning.persistence.policy_file import load_policy

    source = find_policy(task, name)
    if isinstance(source, str):
        return FoundPolicy(source, None, None)
    network, manifest = load_policy(source)
    if not any_task:
        check_same_task(manifest, task, str(source))
    return FoundFile(source, network, manifest)


def read_trained(name: str) -> FoundFile:
    """The policy of a task for which one ships, of a policy file or of a run's folder; stand-ins are refused.

    Raises:
        ConfigurationError: there is no such policy.
        DataError: the file is damaged, or is something else.
    """
    found = read_policy(name, None) if name in TASKS else read_policy("", name, any_task=True)
    if not isinstance(found, FoundFile):
        raise ConfigurationError(f"'{name}' is no trained policy: expected a file, a run's folder or a task.")
    return found


def arm_of(manifest: PolicyManifest) -> str:
    """The arm that a policy was trained with."""
    return str(manifest.training.get("config", {}).get("arm", DEFAULT_ARM))


def check_same_task(manifest: PolicyManifest, task: str, name: str) -> None:
    """Refuse a policy that was trained on another task, by a `ConfigurationError`; ``name`` says which policy it is."""
    if manifest.task != task:
        raise ConfigurationError(
            f"the policy {name} was trained on {manifest.task}, not on {task}: name a policy of {task}, or --force this one."
        )


def load_actor(policy: FoundPolicy, environment: TaskEnvironment, *, seed: int) -> Actor:
    """The actor for an environment; ``seed`` is that of a stand-in's draws."""
    from handful.demonstrations.operators.scripted.script import ScriptedActor
    from handful.learning.actors import PolicyActor, RandomActor, ZeroActor
    from handful.learning.persistence.policy_file import check_policy_fits

    if isinstance(policy, FoundFile):
        check_policy_fits(policy.manifest, environment.spec)
        return PolicyActor(policy.network, policy.manifest)
    if policy.source == "zero":
        return ZeroActor(environment.spec)
    if policy.source == "random":
        return RandomActor(environment.spec, seed=seed)
    return ScriptedActor(environment, seed=seed)


def _policies_in(folder: pathlib.Path) -> list[str]:
    """What in a folder can be named as a policy: runs and policy files."""
    files = [path.parent for path in folder.glob(f"*/{POLICY_FILE}")] + list(folder.glob("*.safetensors"))
    return sorted(str(path) for path in files)
