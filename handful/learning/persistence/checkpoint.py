"""One file for everything that a run needs to be resumed: safetensors with JSON beside the arrays, and no pickle.

Nested names become ``a/b/c``; arrays are tensors under that name, all else is JSON in the file's metadata, where an
array leaves the placeholder ``{"$array": "a/b/c"}``.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from handful.environment import StateTree
from handful.errors import DataError
from handful.storage import write_atomically

CHECKPOINT_FORMAT = "handful-checkpoint-2"
"""Kind and version of a checkpoint, in its metadata."""

_PLACEHOLDER = "$array"


def save_checkpoint(path: pathlib.Path | str, tree: StateTree) -> None:
    """Write a tree of arrays and JSON values; the file is the whole new one or the old one, never a part."""
    arrays: dict[str, np.ndarray] = {}
    metadata = {"format": CHECKPOINT_FORMAT, "tree": json.dumps(_without_arrays(tree, (), arrays))}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def load_checkpoint(path: pathlib.Path | str) -> StateTree:
    """Read what ``save_checkpoint`` wrote, to the bit.

    Raises:
        DataError: there is no such file, or it is truncated, or something else than a checkpoint of this version.
    """
    metadata, arrays = read_safetensors(path, kind="checkpoint", file_formats=(CHECKPOINT_FORMAT,))
    try:
        return _with_arrays(json.loads(metadata["tree"]), arrays)
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged: the description of the checkpoint inside it cannot be read.") from error


def read_safetensors(
    path: pathlib.Path | str, *, kind: str, file_formats: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays of a file that must say in its metadata that it is of one of some formats, the present one first.

    Raises:
        DataError: it cannot be read, or says something else.
    """
    if not os.path.isfile(path):
        raise DataError(f"there is no {kind} at {path}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a {kind}, or only a part of one: {error}.") from error
    found = metadata.get("format", "no format at all")
    if found not in file_formats:
        raise DataError(f"{path} was expected to be a {kind} of format '{file_formats[0]}', but says '{found}'.")
    return metadata, arrays


def _without_arrays(node: Any, name: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(node, dict):
        return {key: _without_arrays(value, (*name, str(key)), arrays) for key, value in node.items()}
    if isinstance(node, np.ndarray):
        joined = "/".join(name)
        arrays[joined] = np.asarray(node, order="C")
        return {_PLACEHOLDER: joined}
    return node.item() if isinstance(node, np.generic) else node


def _with_arrays(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {_PLACEHOLDER}:
        return arrays[node[_PLACEHOLDER]]
    return {key: _with_arrays(value, arrays) for key, value in node.items()}
