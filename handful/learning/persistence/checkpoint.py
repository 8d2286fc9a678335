"""One file for everything that a run needs to be resumed: safetensors with JSON beside the arrays, and no pickle.

Nested names become ``a/b/c``; arrays are tensors under that name, all else is JSON in the file's metadata, where an
array leaves the placeholder ``{"$array": "a/b/c"}``.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from handful.environment import StateTree
from handful.errors import DataError
from handful.learning.persistence.array_file import parse_json, read_arrays, write_arrays

CHECKPOINT_FORMAT = "handful-checkpoint-3"
"""Kind and version of a checkpoint, in its metadata."""

OLDER_FORMAT = "handful-checkpoint-2"
"""The version before, which has no checksum and is read as well."""

MAX_DEPTH = 32
"""A tree that is nested deeper is refused; a trainer's has 8 levels."""

_PLACEHOLDER = "$array"


def save_checkpoint(path: pathlib.Path | str, tree: StateTree) -> None:
    """Write a tree of arrays and JSON values; the file is the whole new one or the old one, never a part."""
    arrays: dict[str, np.ndarray] = {}
    metadata = {"format": CHECKPOINT_FORMAT, "tree": json.dumps(_without_arrays(tree, (), arrays))}
    write_arrays(path, arrays, metadata)


def load_checkpoint(path: pathlib.Path | str) -> StateTree:
    """Read what ``save_checkpoint`` wrote, to the bit.

    Raises:
        DataError: there is no such file, or it is truncated or changed, or something else than a checkpoint.
    """
    older = (OLDER_FORMAT,)
    metadata, arrays = read_arrays(path, kind="checkpoint", file_format=CHECKPOINT_FORMAT, older_formats=older)
    try:
        tree = _with_arrays(parse_json(metadata["tree"]), arrays, MAX_DEPTH)
    except (KeyError, TypeError, DataError) as error:
        raise DataError(f"{path} is damaged: the description of the checkpoint inside it cannot be read.") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path} is damaged: expected a tree of named values in it, got {type(tree).__name__}.")
    return tree


def _without_arrays(node: Any, name: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(node, dict):
        return {key: _without_arrays(value, (*name, str(key)), arrays) for key, value in node.items()}
    if isinstance(node, np.ndarray):
        joined = "/".join(name)
        arrays[joined] = np.asarray(node, order="C")
        return {_PLACEHOLDER: joined}
    return node.item() if isinstance(node, np.generic) else node


def _with_arrays(node: Any, arrays: dict[str, np.ndarray], depth: int) -> Any:
    if not isinstance(node, dict):
        return node
    if depth == 0:
        raise DataError("nested too deep")
    if node.keys() == {_PLACEHOLDER}:
        return arrays[node[_PLACEHOLDER]]
    return {key: _with_arrays(value, arrays, depth - 1) for key, value in node.items()}
