"""The policy as one file, the same from training to the robot: weights in safetensors, a JSON manifest beside them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import platform
from importlib import metadata as package_metadata
from typing import Annotated, Any

import msgspec
import numpy as np
import torch

from handful.config import from_json
from handful.environment import PIXELS, POLICY_GROUPS, ArraySpec, EnvironmentSpec
from handful.errors import ConfigurationError, DataError
from handful.learning.config.models import PolicyConfig
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.persistence.array_file import parse_json, read_arrays, write_arrays
from handful.learning.persistence.tensor_state import load_module, module_state

POLICY_FORMAT = "handful-policy-3"
"""Kind and version of a policy file, in its metadata."""

UNSIGNED_FORMAT = "handful-policy-2"
"""The version before, which is read as well: without a checksum."""

OLDEST_FORMAT = "handful-policy-1"
"""The version before that one, which is read as well: its policies read pixels and proprioception alone."""

_RENAMED = {"proprioception_layer.": "vector_layers.0.", "proprioception_normalizer.": "vector_normalizer."}
"""Parameters whose names begin otherwise since that version."""


@dataclasses.dataclass(frozen=True)
class PolicyManifest:
    """What must be known to run a policy."""

    task: str
    """Name of the task it was trained on."""
    observations: dict[str, ArraySpec]
    """Specs of the groups that the policy reads, and of no other."""
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
            observations={group: spec.observations[group] for group in policy.config.groups},
            action=spec.action,
            object_positions=policy.sizes.object_positions,
            control_timestep=spec.control_timestep,
            camera_period=spec.camera_period,
            policy=policy.config,
            versions=_versions(),
            training=training or {},
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PolicyManifest:
        """From plain JSON values, which may be anything; a `DataError` says what cannot be."""
        try:
            from_json(PolicyConfig, values["policy"])
            manifest = msgspec.convert(values, cls)
        except (msgspec.ValidationError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise DataError(str(error)) from error
        check_manifest(manifest)
        return manifest

    @property
    def deployable(self) -> bool:
        """Whether the policy reads only what exists on a robot."""
        return set(self.observations) <= set(POLICY_GROUPS)

    def reads(self, group: str) -> bool:
        """Whether the policy reads an observation group."""
        return group in self.observations

    @property
    def camera_hz(self) -> int:
        """Rate of the camera that the policy was trained with [Hz]."""
        return round(1.0 / (self.control_timestep * self.camera_period))

    @property
    def sizes(self) -> PolicySizes:
        """Sizes of the network's inputs and outputs."""
        pixels = self.observations.get(PIXELS)
        return PolicySizes(
            image=(pixels.shape[0], pixels.shape[1], pixels.shape[2]) if pixels else None,
            vector=sum(spec.shape[0] for group, spec in self.observations.items() if group != PIXELS),
            action=self.action.shape[0],
            object_positions=self.object_positions,
        )


def save_policy(path: pathlib.Path | str, policy: Policy, manifest: PolicyManifest) -> None:
    """Write a policy, whole or not at all; the same policy and manifest are the same bytes."""
    metadata = {"format": POLICY_FORMAT, "manifest": json.dumps(msgspec.to_builtins(manifest), sort_keys=True)}
    write_arrays(path, {name: np.asarray(array) for name, array in module_state(policy).items()}, metadata)


def load_policy(path: pathlib.Path | str, *, device: str = "cpu") -> tuple[Policy, PolicyManifest]:
    """Read what ``save_policy`` wrote.

    Raises:
        DataError: there is no such file, or it is truncated or changed, or something else than a policy.
    """
    older = (UNSIGNED_FORMAT, OLDEST_FORMAT)
    metadata, arrays = read_arrays(path, kind="policy", file_format=POLICY_FORMAT, older_formats=older)
    try:
        values: Any = parse_json(metadata["manifest"])
        if metadata["format"] == OLDEST_FORMAT:
            values, arrays = _from_oldest(values, arrays)
        manifest = PolicyManifest.from_json(values)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: its manifest cannot be read ({str(error)[:300]}).") from error
    try:
        with torch.device("meta"):  # shapes alone, without memory
            load_module(Policy(manifest.policy, manifest.sizes, seed=0), arrays, only_check=True)
        policy = Policy(manifest.policy, manifest.sizes, seed=0)
        load_module(policy, arrays)
    except (DataError, ConfigurationError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    except (RuntimeError, OverflowError, TypeError) as error:  # what torch says to sizes that cannot be
        raise DataError(f"{path} is damaged: no network has the sizes in its manifest.") from error
    return policy.to(device).eval(), manifest


MAX_ENTRIES = 100_000
"""Entries of an observation group; pouring's physical state has 400."""

MAX_PIXELS = 512
"""Height and width of an image that a policy may read."""


def check_manifest(manifest: PolicyManifest) -> None:
    """Refuse a manifest that no policy can have, by a `DataError`, before anything of its sizes is made."""
    _expect("task", manifest.task, manifest.task.isprintable() and 0 < len(manifest.task) <= 100)
    if set(manifest.observations) != set(manifest.policy.groups) or not manifest.observations:
        raise DataError("expected the observations to be the groups that the policy reads")
    for group, spec in manifest.observations.items():
        _expect(f"name of a group {group}", group, group.isprintable())
        if group == PIXELS:
            fits = len(spec.shape) == 3 and spec.shape[2] == 3 and all(20 <= n <= MAX_PIXELS for n in spec.shape[:2])
            _expect(f"shape of {group}", spec.shape, fits)
            _expect(f"type of {group}", spec.dtype, spec.dtype == "uint8")
        else:
            _expect_vector(group, spec)
    _expect_vector("action", manifest.action)
    _expect("object_positions", manifest.object_positions, 0 <= manifest.object_positions <= MAX_ENTRIES)
    _expect("control_timestep", manifest.control_timestep, 1e-4 <= manifest.control_timestep <= 10.0)
    _expect("camera_period", manifest.camera_period, 1 <= manifest.camera_period <= 1000)
    _expect("camera's rate", manifest.camera_hz, manifest.camera_hz >= 1)
    demonstrations = manifest.training.get("demonstrations")
    if demonstrations is not None:
        try:
            msgspec.convert(demonstrations, _DemonstrationsNote)
        except msgspec.ValidationError as error:
            raise DataError(f"training.demonstrations: {error}") from error
    seconds = manifest.training.get("seconds", 0.0)
    _expect("training.seconds", seconds, isinstance(seconds, int | float) and 0.0 <= seconds < 1e12)


@dataclasses.dataclass(frozen=True)
class _DemonstrationsNote:
    """What a manifest says of the demonstrations that the policy was trained with."""

    num_episodes: Annotated[int, msgspec.Meta(ge=0, le=10**9)]
    mean_return: float
    return_interval: tuple[float, float]


def _expect_vector(name: str, spec: ArraySpec) -> None:
    _expect(f"shape of {name}", spec.shape, len(spec.shape) == 1 and 1 <= spec.shape[0] <= MAX_ENTRIES)
    _expect(f"type of {name}", spec.dtype, spec.dtype == "float32")


def _expect(what: str, value: object, fits: bool) -> None:
    if not fits:
        raise DataError(f"{what}: {str(value)[:100]} cannot be")


def check_policy_fits(manifest: PolicyManifest, spec: EnvironmentSpec) -> None:
    """Refuse a policy whose inputs or outputs are not those of an environment.

    Another camera period or control time step is no misfit; the caller may want to compare them.

    Raises:
        DataError: names, shapes or types differ; the message says which.
    """
    missing = [group for group in manifest.observations if group not in spec.observations]
    if missing:
        raise DataError(
            f"the policy, trained on {manifest.task}, reads {missing[0]}, which {spec.task} does not deliver."
        )
    pairs = {"action": (manifest.action, spec.action)}
    pairs |= {group: (mine, spec.observations[group]) for group, mine in manifest.observations.items()}
    misfits = [misfit for name, (mine, theirs) in pairs.items() if (misfit := _misfit(name, mine, theirs))]
    if misfits:
        raise DataError(f"the policy, trained on {manifest.task}, does not fit {spec.task}: {'; '.join(misfits)}.")


def _misfit(name: str, policy: ArraySpec, environment: ArraySpec) -> str | None:
    """What differs between two specs, or None."""
    for field in ("shape", "dtype"):
        mine, theirs = getattr(policy, field), getattr(environment, field)
        if mine != theirs:
            return f"{name} has {field} {mine} in the policy and {theirs} in the task"
    for index, (mine, theirs) in enumerate(zip(policy.names, environment.names, strict=False)):
        if mine != theirs:
            return f"{name} has entry {index} '{mine}' in the policy and '{theirs}' in the task"
    return None


def _from_oldest(values: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Manifest and arrays of `OLDEST_FORMAT`, as they are today."""
    policy = dict(values["policy"], groups=POLICY_GROUPS)
    policy["vector_sizes"] = [policy.pop("proprioception_features")]
    for name in list(arrays):
        for old, new in _RENAMED.items():
            if name.startswith(old):
                arrays[new + name.removeprefix(old)] = arrays.pop(name)
    return {**values, "policy": policy}, arrays


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    for package in ("handful", "mujoco", "safetensors"):
        try:
            versions[package] = package_metadata.version(package)
        except package_metadata.PackageNotFoundError:
            continue
    return versions
