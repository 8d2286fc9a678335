"""An exported policy: an ONNX graph and a JSON manifest beside it, run by NumPy and onnxruntime alone.

Nothing here imports torch or MuJoCo, so that the computer beside a robot needs neither.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from handful.environment import PIXELS, ArraySpec
from handful.errors import ConfigurationError, DataError, StorageError
from handful.storage import read_json, reason, write_atomically

EXPORT_FORMAT = "handful-onnx-1"
"""Kind and version of an exported policy, in its manifest."""

MAX_STATE = 8192
"""Most units of a recurrent core."""

ACTION, HIDDEN, CELL = "action", "hidden", "cell"
NEXT = "next_"
"""Names in the graph: inputs are the observation groups, ``hidden`` and ``cell``; outputs ``action``, ``next_hidden`` and
``next_cell``. The first axis of all of them is that of the episodes."""


@dataclasses.dataclass(frozen=True)
class ExportedManifest:
    """What must be known to run an exported policy."""

    format: str
    """`EXPORT_FORMAT`."""
    task: str
    """Name of the task it was trained on."""
    arm: str
    """Name of the arm it was trained with."""
    observations: dict[str, ArraySpec]
    """Specs of the groups that the graph takes."""
    action: ArraySpec
    """Spec of the action, with the names of the joints."""
    action_scale: tuple[float, ...]
    """Speed of each joint that an action of 1 commands [rad/s]; actions are clipped to [-1, 1] before."""
    state_size: int
    """Units of the recurrent core; 0 for a policy without memory."""
    control_timestep: float
    """Time between two actions [s]."""
    camera_period: int
    """Control steps between two images; the last one is shown again in between."""
    sha256: str
    """SHA-256 of the graph's file, hexadecimal."""
    versions: dict[str, str]
    """Packages it was trained and exported with."""

    @classmethod
    def from_json(cls, values: Any) -> ExportedManifest:
        """From plain JSON values, which may be anything; a `DataError` says what cannot be."""
        if not isinstance(values, dict) or values.get("format") != EXPORT_FORMAT:
            raise DataError(f"expected the manifest of an exported policy, format {EXPORT_FORMAT}")
        try:
            manifest = msgspec.convert(values, cls)
        except (msgspec.ValidationError, RecursionError, OverflowError) as error:
            raise DataError(str(error)) from error
        size = manifest.action.shape
        scale = np.asarray(manifest.action_scale)
        problems = {
            "observations": not manifest.observations,
            "action": len(size) != 1 or len(scale) != size[0] or len(manifest.action.names) not in (0, size[0]),
            "action_scale": not np.isfinite(scale).all() or (scale <= 0.0).any(),
            "state_size": not 0 <= manifest.state_size <= MAX_STATE,
            "control_timestep": not 1e-4 <= manifest.control_timestep <= 10.0,
            "camera_period": not 1 <= manifest.camera_period <= 1000,
        }
        wrong = [name for name, problem in problems.items() if problem]
        if wrong:
            raise DataError(f"{wrong[0]}: {str(getattr(manifest, wrong[0]))[:100]} cannot be")
        return manifest


def manifest_path(graph: pathlib.Path) -> pathlib.Path:
    """Where the manifest of a graph is: beside it, with the ending ``.json``."""
    return graph.with_suffix(".json")


def write_exported(path: pathlib.Path, graph: bytes, manifest: ExportedManifest) -> None:
    """Write graph and manifest; a reader refuses the one without the other, so half a write is noticed.

    Raises:
        StorageError: the disk refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path.parent}: {reason(error)}.") from error
    sealed = dataclasses.replace(manifest, sha256=hashlib.sha256(graph).hexdigest())
    write_atomically(path, graph)
    text = json.dumps(msgspec.to_builtins(sealed), indent=2, sort_keys=True)
    write_atomically(manifest_path(path), text.encode() + b"\n")


class OnnxPolicy:
    """An exported policy that acts by its mean action, in one episode.

    Call `reset` where an episode begins and `act` once every control step, ``manifest.control_timestep`` seconds apart. As
    `handful.learning.trained_policy.TrainedPolicy`, it keeps its memory and the rate of its camera itself.

    Attributes:
        manifest: What is known of the policy.
    """

    def __init__(self, graph: bytes, manifest: ExportedManifest, *, name: str = "the graph") -> None:
        """Run a serialised graph; errors call it ``name``.

        Raises:
            ConfigurationError: onnxruntime is not installed.
            DataError: the graph cannot be run, or is not that of the manifest.
        """
        self.manifest = manifest
        self._session = _session(graph, name)
        state = (HIDDEN, CELL) if manifest.state_size else ()
        found = (
            {each.name for each in self._session.get_inputs()},
            {each.name for each in self._session.get_outputs()},
        )
        if found != ({*manifest.observations, *state}, {ACTION, *(NEXT + each for each in state)}):
            inputs, outputs = (", ".join(sorted(each)) for each in found)
            raise DataError(
                f"{name} has the inputs {inputs} and the outputs {outputs}, which its manifest does not say."
            )
        self.reset()

    @classmethod
    def read(cls, path: pathlib.Path | str) -> OnnxPolicy:
        """Read what `write_exported` wrote.

        Raises:
            ConfigurationError: there is no such file, or onnxruntime is not installed.
            DataError: graph or manifest is damaged, or they are not of one another.
        """
        graph, described = pathlib.Path(path), manifest_path(pathlib.Path(path))
        for file in (graph, described):
            if not file.is_file():
                problem = "expected what 'handful export' writes, FILE.onnx and FILE.json"
                raise ConfigurationError(f"there is no file '{file}': {problem}.")
        try:
            manifest = ExportedManifest.from_json(read_json(described))
        except DataError as error:
            raise DataError(f"{described} cannot be read: {str(error).rstrip('.')}.") from error
        try:
            content = graph.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {graph}: {reason(error)}.") from error
        if hashlib.sha256(content).hexdigest() != manifest.sha256:
            raise DataError(f"{graph} is not the graph of {described}: export the policy again.")
        return cls(content, manifest, name=str(graph))

    def reset(self) -> None:
        """Begin a new episode."""
        size = self.manifest.state_size
        self._state = {name: np.zeros((1, size), np.float32) for name in (HIDDEN, CELL)} if size else {}
        self._age = 0
        self._image: np.ndarray | None = None

    @property
    def looks(self) -> bool:
        """Whether the next `act` looks at an image; where not, the observation may lack ``pixels``."""
        return PIXELS in self.manifest.observations and self._age % self.manifest.camera_period == 0

    def act(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The action for what is observed now, float32 [action]: joint velocities as fractions of ``action_scale``.

        Args:
            observation: Observation groups by name: ``pixels``, uint8 [height, width, 3], and ``proprioception``, float32
                [entry]. Other groups are ignored.

        Raises:
            ConfigurationError: a group is missing, has another shape or type, or holds a number that is not finite.
        """
        specs, inputs = self.manifest.observations, dict(self._state)
        for group, spec in specs.items():
            if group == PIXELS and not self.looks:
                assert self._image is not None
                inputs[group] = self._image
            else:
                inputs[group] = _checked(group, spec, observation.get(group))[None]
        self._image = inputs.get(PIXELS)
        names = [ACTION, *(NEXT + name for name in self._state)]
        action, *state = self._session.run(names, inputs)
        self._state = dict(zip(self._state, state, strict=True))
        self._age += 1
        return action[0]

    def velocities(self, action: np.ndarray) -> np.ndarray:
        """Joint velocities [rad/s] of an action, which is clipped to [-1, 1]; float64 [joint]."""
        return np.clip(np.asarray(action, np.float64), -1.0, 1.0) * np.asarray(self.manifest.action_scale)


def _session(content: bytes, name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        problem = "the package 'onnxruntime', which runs exported policies, is not installed"
        raise ConfigurationError(f"{problem}: pip install 'handful[robot]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a small network is as fast on one thread, and leaves the others to the robot
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base class but this
        raise DataError(f"{name} cannot be run: {str(error)[:200]}.") from error


def _checked(group: str, spec: ArraySpec, values: Any) -> np.ndarray:
    if values is None:
        raise ConfigurationError(f"expected the observation group '{group}', which is missing.")
    array = np.asarray(values)
    if array.shape != spec.shape:
        raise ConfigurationError(f"expected {group} of shape {spec.shape}, got {array.shape}.")
    if array.dtype.kind not in "fiu" or (group == PIXELS and array.dtype != np.uint8):
        raise ConfigurationError(f"expected {group} as {spec.dtype}, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise ConfigurationError(f"expected finite numbers in {group}, got one that is not.")
    return array.astype(spec.dtype, copy=False)
