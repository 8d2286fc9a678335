"""Files of named arrays, in safetensors, that a stranger may have made: checked before anything is allocated or believed.

A file that is written here has a checksum over its arrays and over all that its metadata says, and two files of the same
content are the same to the byte.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors

from handful.errors import DataError
from handful.storage import reason, write_atomically

CHECKSUM = "checksum"
"""Entry of the metadata."""

MAX_FILE_BYTES = {"policy": 2**27, "checkpoint": 2**30}
"""A larger file is refused; the policies that ship have 3 MB, and a checkpoint of 64 simulations has 30 MB."""

MAX_HEADER_BYTES = 4 * 2**20
"""A longer description of the arrays is refused; that of a checkpoint has 60 kB."""

_DTYPES = {
    **{"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32"},
    **{"I64": "int64", "U64": "uint64", "F16": "float16", "F32": "float32", "F64": "float64"},
}
"""safetensors' names of types, and NumPy's."""

_NAMES = {np.dtype(numpy): name for name, numpy in _DTYPES.items()}


def write_arrays(path: pathlib.Path | str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata, with a checksum, whole or not at all.

    The same bytes come from the same content: safetensors' own writer orders the metadata by chance.

    Raises:
        StorageError: the disk refused; a previous file under that name is intact.
    """
    arrays = {name: np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name])) for name in sorted(arrays)}
    header: dict[str, object] = {"__metadata__": {**metadata, CHECKSUM: _checksum(arrays, metadata)}}
    # Wider types first, so that all are aligned.
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    offset = 0
    for name in ordered:
        array = arrays[name]
        span = [offset, offset + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        offset = span[1]
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    write_atomically(
        path, b"".join([len(text).to_bytes(8, "little"), text, *(arrays[name].tobytes() for name in ordered)])
    )


def read_arrays(
    path: pathlib.Path | str, *, kind: str, file_format: str, older_formats: tuple[str, ...] = ()
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata, without the checksum, and arrays of a file that says in its metadata that it is of one of some formats.

    Files of ``older_formats`` may lack the checksum.

    Raises:
        DataError: it cannot be read, says something else, was changed, or holds a number that is not finite.
    """
    path = pathlib.Path(path)
    try:
        if not path.is_file():
            raise DataError(f"there is no {kind} at {path}.")
        _check_extent(path, kind)
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            names = list(file.keys())
            types = {name: file.get_slice(name).get_dtype() for name in names}
            for name, dtype in types.items():
                if dtype not in _DTYPES:
                    raise DataError(f"{path} is damaged: '{name}' has numbers of type {dtype}.")
            arrays = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path} is not a {kind}, or only a part of one: {str(error)[:200]}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read as a {kind}: {reason(error)}.") from error
    found = metadata.get("format", "no format at all")
    if found != file_format and found not in older_formats:
        raise DataError(f"{path} was expected to be a {kind} of format '{file_format}', but says '{found[:80]}'.")
    checksum = metadata.pop(CHECKSUM, None)
    if checksum is None and found == file_format:
        raise DataError(f"{path} is damaged: its checksum is missing.")
    if checksum is not None and checksum != _checksum(arrays, metadata):
        raise DataError(f"{path} is damaged: what it holds is not what was written, by its checksum.")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and kind == "policy" and not np.isfinite(array).all():
            raise DataError(f"{path} is damaged: '{name}' holds a number that is not finite.")
    return metadata, arrays


def _check_extent(path: pathlib.Path, kind: str) -> None:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES[kind]:
        raise DataError(f"{path} is no {kind}: it has {size:,} bytes, more than {MAX_FILE_BYTES[kind]:,}.")
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if size < 8 or header > min(MAX_HEADER_BYTES, size - 8):
        raise DataError(f"{path} is not a {kind}, or only a part of one: its header does not fit.")


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes of the arrays, and over the metadata."""
    digest = hashlib.sha256()
    for name in sorted(metadata):
        digest.update(json.dumps([name, metadata[name]]).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, str(array.dtype), list(np.shape(arrays[name]))]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def parse_json(text: str) -> object:
    """JSON that may be anything: a `DataError` says that it cannot be read, however deep or long it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its description is no JSON that can be read ({str(error)[:100]})") from error
