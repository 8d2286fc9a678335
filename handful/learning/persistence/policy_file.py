"""The policy as one file, the same from training to the robot: weights in safetensors, a JSON manifest beside them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import platform
from importlib import metadata as package_metadata
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from handful.environment import POLICY_GROUPS, ArraySpec, EnvironmentSpec
from handful.errors import DataError
from handful.learning.config import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.persistence.checkpoint import read_safetensors
from handful.learning.persistence.tensor_state import load_module, module_state
from handful.storage import write_atomically

POLICY_FORMAT = "handful-policy-1"
"""Kind and version of a policy file, in its metadata."""


@dataclasses.dataclass(frozen=True)
class PolicyManifest:
    """What must be known to run a policy."""

    task: str
    """Name of the task it was trained on."""
    observations: dict[str, ArraySpec]
    """Specs of ``pixels`` and ``proprioception``, and of nothing else."""
    action: ArraySpec
    """Spec of the action."""
    object_positions: int
    """Entries that the auxiliary head predicts."""
    control_timestep: float
    """Time between two actions [s]."""
    camera_period: int
    """Control steps between two images."""
    policy: PolicyConfig
    """Sizes of the network."""
    versions: dict[str, str]
    """Packages it was trained with."""
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How it was trained: whatever the trainer's caller wants to be known, as JSON values."""

    @classmethod
    def of(cls, policy: Policy, spec: EnvironmentSpec, *, training: dict[str, Any] | None = None) -> PolicyManifest:
        """The manifest of a policy that was trained in an environment of this spec."""
        return cls(
            task=spec.task,
            observations={group: spec.observations[group] for group in POLICY_GROUPS},
            action=spec.action,
            object_positions=policy.sizes.object_positions,
            control_timestep=spec.control_timestep,
            camera_period=spec.camera_period,
            policy=policy.config,
            versions=_versions(),
            training=training or {},
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PolicyManifest:
        """From what ``to_json`` gave."""
        policy = dict(values["policy"], auxiliary_sizes=tuple(values["policy"]["auxiliary_sizes"]))
        return cls(
            **{
                **values,
                "observations": {name: _array_spec(spec) for name, spec in values["observations"].items()},
                "action": _array_spec(values["action"]),
                "policy": PolicyConfig(**policy),
            }
        )

    @property
    def sizes(self) -> PolicySizes:
        """Sizes of the network's inputs and outputs."""
        pixels, proprioception = (self.observations[group].shape for group in POLICY_GROUPS)
        return PolicySizes(
            image=(pixels[0], pixels[1], pixels[2]),
            proprioception=proprioception[0],
            action=self.action.shape[0],
            object_positions=self.object_positions,
        )


def save_policy(path: pathlib.Path | str, policy: Policy, manifest: PolicyManifest) -> None:
    """Write a policy, whole or not at all.

    Raises:
        StorageError: the disk refused; a previous file under that name is intact.
    """
    metadata = {"format": POLICY_FORMAT, "manifest": json.dumps(manifest.to_json())}
    arrays = {name: np.asarray(array) for name, array in module_state(policy).items()}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def load_policy(path: pathlib.Path | str, *, device: str = "cpu") -> tuple[Policy, PolicyManifest]:
    """Read what ``save_policy`` wrote.

    Raises:
        DataError: there is no such file, or it is truncated, or something else than a policy of this version.
    """
    metadata, arrays = read_safetensors(path, kind="policy", file_format=POLICY_FORMAT)
    try:
        manifest = PolicyManifest.from_json(json.loads(metadata["manifest"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: its manifest cannot be read ({error}).") from error
    policy = Policy(manifest.policy, manifest.sizes, seed=0)
    try:
        load_module(policy, arrays)
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return policy.to(device).eval(), manifest


def check_policy_fits(manifest: PolicyManifest, spec: EnvironmentSpec) -> None:
    """Refuse a policy whose inputs or outputs are not those of an environment.

    Another camera period or control time step is no misfit; the caller may want to compare them.

    Raises:
        DataError: names, shapes or types differ; the message says which.
    """
    pairs = [("action", manifest.action, spec.action)]
    pairs += [(group, manifest.observations[group], spec.observations[group]) for group in POLICY_GROUPS]
    misfits = [
        f"{name} {_description(mine, theirs)}" for name, mine, theirs in pairs if _description(mine, theirs) is not None
    ]
    if misfits:
        raise DataError(f"the policy, trained on {manifest.task}, does not fit {spec.task}: {'; '.join(misfits)}.")


def _description(policy: ArraySpec, environment: ArraySpec) -> str | None:
    """What differs between two specs, or None."""
    for field in ("shape", "dtype"):
        mine, theirs = getattr(policy, field), getattr(environment, field)
        if mine != theirs:
            return f"has {field} {mine} in the policy and {theirs} in the task"
    for index, (mine, theirs) in enumerate(zip(policy.names, environment.names, strict=False)):
        if mine != theirs:
            return f"has entry {index} '{mine}' in the policy and '{theirs}' in the task"
    return None


def _array_spec(values: dict[str, Any]) -> ArraySpec:
    return ArraySpec(shape=tuple(values["shape"]), dtype=values["dtype"], names=tuple(values["names"]))


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    for package in ("handful", "mujoco", "safetensors"):
        try:
            versions[package] = package_metadata.version(package)
        except package_metadata.PackageNotFoundError:
            continue
    return versions
