"""A policy as an ONNX graph: normalisation inside, the state of the LSTM as inputs and outputs.

The graph is written node by node, and what it computes is compared with torch before anything is written
(docs/decisions/0024).
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, cast

import numpy as np
from torch import nn

from handful.environment import PIXELS
from handful.errors import ConfigurationError, TrainingError
from handful.learning.models.lstm import ResettableLSTM
from handful.learning.models.policy import Policy
from handful.learning.persistence.policy_file import PolicyManifest
from handful.learning.trained_policy import TrainedPolicy
from handful.simulation.arm import Arm
from handful.transfer.exported import (
    ACTION,
    CELL,
    EXPORT_FORMAT,
    HIDDEN,
    NEXT,
    ExportedManifest,
    OnnxPolicy,
    write_exported,
)

OPSET, IR_VERSION = 17, 8
"""Versions of the operators and of the file: what every onnxruntime since 1.13 (2022) reads."""

TOLERANCE = 1e-5
"""Largest difference between an action of the graph and one of torch."""

NUM_COMPARED = 100
"""Control steps over which both are compared."""


def export_policy(policy: Policy, manifest: PolicyManifest, arm: Arm, path: pathlib.Path) -> ExportedManifest:
    """Write a policy, which was trained with ``arm``, as ``path``, .onnx, and its manifest beside it.

    Raises:
        ConfigurationError: the policy reads what no robot measures, or the package ``onnx`` is not installed.
        TrainingError: graph and network differ, because the network holds numbers that are not finite.
        StorageError: the disk refused.
    """
    if not manifest.deployable:
        groups = ", ".join(manifest.observations)
        raise ConfigurationError(
            f"the policy reads {groups}, which no robot measures: expected one that reads pixels and proprioception."
        )
    scale = (*arm.velocity_limits, *[arm.finger_velocity_limit] * len(arm.finger_joints))
    exported = ExportedManifest(
        format=EXPORT_FORMAT,
        task=manifest.task,
        arm=arm.name,
        observations=manifest.observations,
        action=manifest.action,
        action_scale=tuple(float(each) for each in scale),
        state_size=policy.config.hidden_size if policy.config.recurrent else 0,
        control_timestep=manifest.control_timestep,
        camera_period=manifest.camera_period,
        sha256="",
        versions={**manifest.versions, "onnx": str(_onnx().__version__)},
    )
    graph = _graph(policy, manifest)
    _compare(OnnxPolicy(graph, exported), TrainedPolicy(policy, manifest))
    write_exported(path, graph, exported)
    return exported


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        problem = "the package 'onnx', which writes exported policies, is not installed"
        raise ConfigurationError(f"{problem}: pip install 'handful[robot]'.") from error
    return onnx


@dataclasses.dataclass
class _Nodes:
    """The nodes of a graph, and its constants."""

    helper: Any
    nodes: list[Any] = dataclasses.field(default_factory=list)
    constants: list[Any] = dataclasses.field(default_factory=list)

    def add(self, operator: str, *inputs: str | np.ndarray, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        """Add a node; arrays become constants. Returns the name of its first output."""
        names = [self._constant(each) if isinstance(each, np.ndarray) else each for each in inputs]
        outputs = outputs or (f"{operator.lower()}_{len(self.nodes)}",)
        self.nodes.append(self.helper.make_node(operator, names, list(outputs), **attributes))
        return next(name for name in outputs if name)

    def _constant(self, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _graph(policy: Policy, manifest: PolicyManifest) -> bytes:
    """The serialised graph of `Policy.encode` and `Policy.act` on single steps."""
    onnx = _onnx()
    nodes, types = _Nodes(onnx.helper), onnx.TensorProto
    parts = [] if policy.encoder is None else [_encoder(nodes, policy.encoder)]
    vectors = [group for group in policy.config.groups if group != PIXELS]
    if vectors:
        parts.append(_vector_layers(nodes, policy, vectors))
    inputs = parts[0] if len(parts) == 1 else nodes.add("Concat", *parts, axis=1)
    state_size = policy.config.hidden_size if isinstance(policy.core, ResettableLSTM) else 0
    hidden = _lstm(nodes, policy.core, inputs) if isinstance(policy.core, ResettableLSTM) else None
    if hidden is None:
        hidden = _activation(nodes, policy.activation, _linear(nodes, cast(nn.Linear, policy.core), inputs))
    _linear(nodes, policy.mean_layer, hidden, output=ACTION)
    states = {name: (types.FLOAT, (state_size,)) for name in (HIDDEN, CELL)} if state_size else {}
    observed = {
        group: (types.UINT8 if group == PIXELS else types.FLOAT, spec.shape)
        for group, spec in manifest.observations.items()
    }
    ends = {ACTION: (types.FLOAT, manifest.action.shape), **{NEXT + name: each for name, each in states.items()}}

    def infos(values: dict[str, tuple[int, tuple[int, ...]]]) -> list[Any]:
        return [
            onnx.helper.make_tensor_value_info(name, kind, ["episode", *shape])
            for name, (kind, shape) in values.items()
        ]

    graph = onnx.helper.make_graph(nodes.nodes, "policy", infos({**observed, **states}), infos(ends), nodes.constants)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="handful")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _encoder(nodes: _Nodes, encoder: nn.Sequential) -> str:
    """Image features; the first layer scales the pixels, see `handful.learning.models.layers.encode`."""
    first = cast(nn.Conv2d, encoder[0])
    assert first.bias is not None
    weight, bias = first.weight.detach() / 255, (first.bias - 0.5 * first.weight.sum(dim=(1, 2, 3))).detach()
    name = nodes.add("Transpose", nodes.add("Cast", PIXELS, to=1), perm=[0, 3, 1, 2])  # 1 is float
    name = _convolution(nodes, first, name, weight.numpy(), bias.numpy())
    for layer in list(encoder)[1:]:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            name = _convolution(nodes, layer, name, layer.weight.detach().numpy(), layer.bias.detach().numpy())
        elif isinstance(layer, nn.Flatten):
            name = nodes.add("Flatten", name)
        elif isinstance(layer, nn.Linear):
            name = _linear(nodes, layer, name)
        else:
            name = _activation(nodes, layer, name)
    return name


def _convolution(nodes: _Nodes, layer: nn.Conv2d, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return nodes.add("Conv", name, weight, bias, kernel_shape=list(layer.kernel_size), strides=list(layer.stride))


def _vector_layers(nodes: _Nodes, policy: Policy, groups: list[str]) -> str:
    """The other groups joined, in standard deviations from their mean, through their layers."""
    normalizer = policy.vector_normalizer
    name = groups[0] if len(groups) == 1 else nodes.add("Concat", *groups, axis=1)
    shifted = nodes.add("Sub", name, normalizer.mean.float().numpy())
    scaled = nodes.add("Div", shifted, normalizer.std.numpy())
    limits = [np.float32(-normalizer.clip), np.float32(normalizer.clip)]
    name = nodes.add("Clip", scaled, *(np.asarray(limit) for limit in limits))
    for layer in cast(nn.Sequential, policy.vector_layers):
        name = _linear(nodes, layer, name) if isinstance(layer, nn.Linear) else _activation(nodes, layer, name)
    return name


def _linear(nodes: _Nodes, layer: nn.Linear, name: str, *, output: str | None = None) -> str:
    outputs = () if output is None else (output,)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return nodes.add("Gemm", name, weight, bias, transB=1, outputs=outputs)


def _activation(nodes: _Nodes, layer: nn.Module, name: str) -> str:
    operators = {nn.ReLU: "Relu", nn.ELU: "Elu"}
    return nodes.add(operators[type(layer)], name)


def _lstm(nodes: _Nodes, core: ResettableLSTM, inputs: str) -> str:
    """One step of the LSTM, without its reset gate: who runs the graph begins an episode with a state of zeros.

    Torch orders the gates input, forget, cell, output; ONNX input, output, forget, cell.
    """

    def gates(name: str) -> np.ndarray:
        i, f, c, o = core.get_parameter(name).detach().numpy().reshape(4, core.hidden_size, -1)
        return np.concatenate([i, o, f, c])

    weight, recurrent = gates("weight_ih_l0")[None, :, :-1], gates("weight_hh_l0")[None]
    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")]).reshape(1, -1)
    axis = np.array([0])
    first = [nodes.add("Unsqueeze", name, axis) for name in (inputs, HIDDEN, CELL)]
    outputs = ("", "lstm_hidden", "lstm_cell")
    attributes = {"hidden_size": core.hidden_size, "outputs": outputs}
    nodes.add("LSTM", first[0], weight, recurrent, bias, "", *first[1:], **attributes)
    nodes.add("Squeeze", outputs[2], axis, outputs=(NEXT + CELL,))
    return nodes.add("Squeeze", outputs[1], axis, outputs=(NEXT + HIDDEN,))


def _compare(exported: OnnxPolicy, policy: TrainedPolicy) -> None:
    """Run both on random observations; a `TrainingError` says how far apart they are."""
    generator, worst = np.random.default_rng(0), 0.0
    for _ in range(NUM_COMPARED):
        observation = {
            group: generator.integers(0, 256, spec.shape).astype(np.uint8)
            if group == PIXELS
            else generator.normal(size=spec.shape).astype(np.float32)
            for group, spec in policy.manifest.observations.items()
        }
        difference = np.abs(exported.act(observation) - policy.act(observation)).max()
        worst = max(worst, float(np.nan_to_num(difference, nan=np.inf)))
    if worst > TOLERANCE:
        raise TrainingError(
            f"the exported policy differs from the trained one by {worst:g}, expected {TOLERANCE:g} at most."
        )
