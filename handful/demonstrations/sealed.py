"""HDF5 that a stranger may have made.

Nothing outside the file is read, nothing large is unpacked unasked, and what has a checksum is what was written.
HDF5 can name other files: by links, by virtual datasets and by raw data kept elsewhere. Here only what lies in the file
itself, under a name of its own, is read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import h5py
import numpy as np

from handful.errors import DataError

CHECKSUM = "sha256"
"""Attribute of each group and of each dataset."""

MAX_MEMBERS = 20_000
"""A group with more members is refused."""

MAX_BYTES = 2**29
"""Datasets of a file that are read take at most so much memory together: 4,000 episodes without images."""

MAX_ATTRIBUTE_BYTES = 2**16
"""A larger attribute is refused."""

_HARD_LINK = 0
"""HDF5's number for a name of what lies in the file itself."""

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_SHUFFLE}


class Budget:
    """What may still be unpacked of a file."""

    def __init__(self, num_bytes: int = MAX_BYTES) -> None:
        self._left = num_bytes

    def spend(self, dataset: h5py.Dataset) -> None:
        """Count a dataset before it is read; a `DataError` says that it is too much."""
        self._left -= int(dataset.size or 0) * dataset.dtype.itemsize
        if self._left < 0:
            raise DataError(f"the file declares more than {MAX_BYTES // 2**20} MiB of numbers: split it.")


def member_names(group: h5py.Group) -> list[str]:
    """Names of a group's members."""
    if len(group) > MAX_MEMBERS:
        raise DataError(f"expected at most {MAX_MEMBERS:,} members in {group.name}, got {len(group):,}.")
    return [str(name) for name in group]


def member(group: h5py.Group, path: str) -> Any:
    """A group or a dataset of the file itself, by its path; None if there is none.

    Raises:
        DataError: it is a link, or its numbers lie elsewhere or are packed in a way that is not ours.
    """
    node: Any = group
    for name in path.split("/"):
        if not isinstance(node, h5py.Group) or name not in _Names(node):
            return None
        link = node.id.links.get_info(name.encode())
        if link.type != _HARD_LINK:
            raise DataError(f"{path}: expected what lies in the file itself, got a link to something else.")
        node = node[name]
    if isinstance(node, h5py.Dataset):
        _check_layout(node, path)
    return node


class _Names:
    """Whether a group has a member, without following links to find out."""

    def __init__(self, group: h5py.Group) -> None:
        self._links = group.id.links

    def __contains__(self, name: str) -> bool:
        return bool(name) and self._links.exists(name.encode())


def _check_layout(dataset: h5py.Dataset, path: str) -> None:
    plist = dataset.id.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count():
        raise DataError(f"{path}: expected numbers in the file itself, they lie in another one.")
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if not filters <= _FILTERS:
        raise DataError(f"{path}: expected gzip or no compression, got HDF5's filters {sorted(filters)}.")
    if plist.get_layout() == h5py.h5d.CHUNKED and int(np.prod(plist.get_chunk(), dtype=object)) > 2**24:
        raise DataError(f"{path}: its chunks are too large.")
    if dataset.dtype.kind not in "fiub":
        raise DataError(f"{path}: expected numbers, got {dataset.dtype}.")


def attribute(node: h5py.Group | h5py.Dataset, name: str) -> Any:
    """An attribute, None if there is none; a `DataError` says that it is no number or text of moderate length."""
    if name not in node.attrs:
        return None
    found = node.attrs.get_id(name)
    if found.dtype.kind not in "fiubS" or found.get_storage_size() > MAX_ATTRIBUTE_BYTES:
        raise DataError(f"attribute {name}: expected a number, or a text of fixed length.")
    if int(np.prod(found.shape, dtype=object)) > 16:
        raise DataError(f"attribute {name}: expected a number or a text, got an array of shape {found.shape}.")
    return node.attrs[name]


def seal(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Write the checksum of the values beside a dataset that holds them."""
    dataset.attrs[CHECKSUM] = np.bytes_(array_checksum(dataset.name or "", values))


def check_seal(dataset: h5py.Dataset, values: np.ndarray, field: str, *, required: bool) -> None:
    """Compare what was read with what was written; a `DataError` says that it differs or has no checksum."""
    written = attribute(dataset, CHECKSUM)
    if written is None and not required:
        return
    if written is None or text(written) != array_checksum(dataset.name or "", values):
        raise DataError(f"{field}: its bytes are damaged: they are not what was written, by their checksum.")


def seal_attributes(group: h5py.Group, names: tuple[str, ...]) -> None:
    """Write the checksum of a group's attributes."""
    group.attrs[CHECKSUM] = np.bytes_(_attributes_checksum(group, names))


def check_attributes(group: h5py.Group, names: tuple[str, ...], *, required: bool) -> None:
    """Compare a group's attributes with what was written; a `DataError` says that they differ."""
    written = attribute(group, CHECKSUM)
    if written is None and not required:
        return
    if written is None or text(written) != _attributes_checksum(group, names):
        raise DataError(f"attributes of {group.name}: they are damaged: not what was written, by their checksum.")


def array_checksum(name: str, values: np.ndarray) -> str:
    """SHA-256 over the last part of a dataset's name, its type, its shape and its bytes."""
    values = np.asarray(values)
    digest = hashlib.sha256(json.dumps([name.rpartition("/")[2], str(values.dtype), list(values.shape)]).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def text(value: object) -> str:
    """A text attribute, whether it is stored with a fixed length or not."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _attributes_checksum(group: h5py.Group, names: tuple[str, ...]) -> str:
    values = {name: attribute(group, name) for name in names}
    plain = {
        name: text(value) if isinstance(value, bytes) else np.asarray(value).tolist() for name, value in values.items()
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()
