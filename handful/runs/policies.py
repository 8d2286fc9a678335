"""Whoever can act where a policy is named: a policy file, a run, the shipped policy, or a stand-in."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import handful
from handful.errors import ConfigurationError, unknown_name
from handful.runs.folder import POLICY_FILE

if TYPE_CHECKING:
    import numpy as np

    from handful.environment import TimeStep
    from handful.learning.actors import Actor
    from handful.learning.models.policy import Policy
    from handful.learning.persistence.policy_file import PolicyManifest
    from handful.tasks.environment import TaskEnvironment

STAND_INS = ("zero", "random", "scripted")
"""Names that stand in for a policy anywhere a policy is named."""


def find_policy(task: str, name: str | None) -> pathlib.Path | str:
    """What a user means by a policy: one of `STAND_INS`, or the file that the name leads to.

    Args:
        task: Name of the task.
        name: A stand-in, a policy file, or a folder that holds one; None means the policy that ships for the task.

    Raises:
        ConfigurationError: there is nothing of that name.
    """
    if name is None:
        shipped = _shipped_folder() / task / POLICY_FILE
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
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigurationError(f"the folder {path} holds no {POLICY_FILE}.")
    raise unknown_name("policy", name, [*STAND_INS, *_policies_in(path.parent)])


@dataclasses.dataclass(frozen=True)
class FoundPolicy:
    """What a user meant by a policy, read where it is a file."""

    source: pathlib.Path | str
    """What `find_policy` found."""
    network: Policy | None
    """The policy; None for a stand-in."""
    manifest: PolicyManifest | None
    """What its file says of it; None for a stand-in."""

    @property
    def sees_pixels(self) -> bool:
        """Whether it reads images."""
        return self.network is not None and self.network.sees_pixels

    @property
    def camera_hz(self) -> int:
        """The rate of the camera that it is used to [Hz]; a stand-in sees nothing and is shown 5."""
        from handful.tasks.environment import CONTROL_HZ

        return CONTROL_HZ // self.manifest.camera_period if self.manifest else 5


def read_policy(task: str, name: str | None) -> FoundPolicy:
    """Find a policy, as `find_policy` does, and read it.

    Raises:
        ConfigurationError: there is nothing of that name.
        DataError: the file is no policy.
    """
    from handful.learning.persistence.policy_file import load_policy

    source = find_policy(task, name)
    network, manifest = (None, None) if source in STAND_INS else load_policy(source)
    return FoundPolicy(source, network, manifest)


class LoadedPolicy:
    """A trained policy that acts, with what its file says of it."""

    def __init__(self, path: pathlib.Path) -> None:
        """Read a policy file.

        Raises:
            DataError: the file is no policy.
        """
        from handful.learning.actors import PolicyActor
        from handful.learning.persistence.policy_file import load_policy

        self.path = path
        self.network, self.manifest = load_policy(path)
        self._actor = PolicyActor(self.network)

    @property
    def camera_hz(self) -> int:
        """The rate of the camera that it was trained with [Hz]."""
        return round(1.0 / (self.manifest.control_timestep * self.manifest.camera_period))

    def reset(self, done: np.ndarray | None = None) -> None:
        """Begin new episodes where ``done`` is true, bool [env]; everywhere by default."""
        self._actor.reset(done)

    def act(self, time_step: TimeStep) -> np.ndarray:
        """Mean actions for a time step, float32 [env, action]."""
        return self._actor.act(time_step)


def load_actor(policy: FoundPolicy, environment: TaskEnvironment, *, seed: int) -> Actor:
    """The actor for an environment.

    Args:
        policy: Who acts.
        environment: Where it is to act.
        seed: Seed of the stand-ins' draws.

    Raises:
        DataError: the policy's observations or actions are not those of the task.
    """
    from handful.demonstrations.operators.scripted.script import ScriptedActor
    from handful.learning.actors import PolicyActor, RandomActor, ZeroActor
    from handful.learning.persistence.policy_file import check_policy_fits

    if policy.network is not None and policy.manifest is not None:
        check_policy_fits(policy.manifest, environment.spec)
        return PolicyActor(policy.network)
    if policy.source == "zero":
        return ZeroActor(environment.spec)
    if policy.source == "random":
        return RandomActor(environment.spec, seed=seed)
    return ScriptedActor(environment, seed=seed)


def _shipped_folder() -> pathlib.Path:
    """The repository's ``policies``, beside the package."""
    return pathlib.Path(handful.__file__).parent.parent / "policies"


def _policies_in(folder: pathlib.Path) -> list[str]:
    """What in a folder can be named as a policy: runs and policy files."""
    files = [path.parent for path in folder.glob(f"*/{POLICY_FILE}")] + list(folder.glob("*.safetensors"))
    return sorted(str(path) for path in files)
