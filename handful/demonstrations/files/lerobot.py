"""Writes demonstrations as a LeRobotDataset v3: Parquet files of frames with images as PNG, and JSON about them.

    meta/info.json                             what a frame holds, with shapes and names
    meta/stats.json                            smallest, largest, mean, deviation and count of every feature
    meta/tasks.parquet                         the task in words
    meta/episodes/chunk-000/file-000.parquet   length and place of every episode
    data/chunk-000/file-000.parquet            the frames

Images are PNG inside the frames and not video, so that no pixel of the small pictures changes.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from handful.demonstrations.specification import DemonstrationSpec
from handful.environment import PHYSICAL_STATE, PIXELS, PROPRIOCEPTION
from handful.errors import ConfigurationError, StorageError
from handful.storage import reason
from handful.trajectory import ACTORS, Trajectory

VERSION = "v3.0"
"""LeRobot's ``codebase_version``."""

IMAGE = "observation.images.front"
STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"

_COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def write_lerobot(
    folder: pathlib.Path, spec: DemonstrationSpec, episodes: Iterable[Trajectory], *, instruction: str, pixels: bool
) -> int:
    """Write a whole data set, or nothing; returns how many episodes it holds.

    ``instruction`` is the task in words. Each of the T frames of an episode holds what was observed before an action, the
    action, and the reward after it.

    Raises:
        ConfigurationError: the folder is there already, or pyarrow is not installed.
        StorageError: the disk refused.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already: expected the name of a new folder.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        count = _write(temporary, spec, episodes, instruction, pixels)
        os.replace(temporary, folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {reason(error)}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _write(
    folder: pathlib.Path, spec: DemonstrationSpec, episodes: Iterable[Trajectory], instruction: str, pixels: bool
) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError(
            "LeRobot's data sets are Parquet files, for which pyarrow is needed: pip install 'handful[lerobot]'."
        ) from error
    columns: dict[str, list[Any]] = {}
    about: list[dict[str, Any]] = []
    features: dict[str, dict[str, Any]] = {}
    first = 0
    for number, trajectory in enumerate(episodes):
        frames = _frames(trajectory, spec, pixels=pixels)
        features = _features(frames, spec)
        length = len(trajectory)
        frames |= {
            "timestamp": (np.arange(length) * spec.control_timestep).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(first, first + length),
            "task_index": np.zeros(length, np.int64),
        }
        stats = {name: _stats(values) for name, values in frames.items()}
        about.append(_about(number, first, length, instruction, stats))
        for name, values in frames.items():
            columns.setdefault(name, []).append(values)
        first += length
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    table = pyarrow.table({name: _column(pyarrow, values) for name, values in joined.items()})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": _huggingface(joined)}})})
    _save(pyarrow.parquet, table, folder / "data/chunk-000/file-000.parquet")
    episodes_table = pyarrow.Table.from_pylist(about)
    _save(pyarrow.parquet, episodes_table, folder / "meta/episodes/chunk-000/file-000.parquet")
    _save(pyarrow.parquet, _tasks(pyarrow, instruction), folder / "meta/tasks.parquet")
    stats = {name: _stats(values) for name, values in joined.items()}
    info = _info(features, spec, num_episodes=len(about), num_frames=first)
    for name, content in (("info", info), ("stats", stats)):
        (folder / f"meta/{name}.json").write_text(json.dumps(content, indent=2))
    return len(about)


def _save(parquet: Any, table: Any, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, compression="snappy")


def _frames(trajectory: Trajectory, spec: DemonstrationSpec, *, pixels: bool) -> dict[str, np.ndarray]:
    """What the frames of an episode hold besides counters, each [T, ...]."""
    observations, length = trajectory.observations, len(trajectory)
    top = len(spec.stages) - 1
    names = {STATE: PROPRIOCEPTION, ENVIRONMENT_STATE: PHYSICAL_STATE}
    frames = {name: observations[group][:-1] for name, group in names.items() if group in observations}
    if pixels and PIXELS in observations:
        frames[IMAGE] = observations[PIXELS][:-1]
    if trajectory.actions is not None:
        frames["action"] = trajectory.actions
    if trajectory.acted_by is not None:
        frames["acted_by"] = trajectory.acted_by
    return frames | {
        "next.reward": trajectory.rewards,
        "next.done": np.arange(length) == length - 1,
        "next.success": trajectory.stages[1:] == top,
        "next.stage": trajectory.stages[1:],
    }


def _features(frames: dict[str, np.ndarray], spec: DemonstrationSpec) -> dict[str, dict[str, Any]]:
    """What ``info.json`` says of a frame's features."""
    names: dict[str, Any] = {
        STATE: list(spec.observations[PROPRIOCEPTION].names) if PROPRIOCEPTION in spec.observations else None,
        ENVIRONMENT_STATE: list(spec.observations[PHYSICAL_STATE].names)
        if PHYSICAL_STATE in spec.observations
        else None,
        "action": list(spec.action.names),
        IMAGE: ["height", "width", "channels"],
    }
    features = {}
    for name, values in frames.items():
        dtype = "image" if name == IMAGE else values.dtype.name
        features[name] = {"dtype": dtype, "shape": list(values.shape[1:]) or [1], "names": names.get(name)}
    for name in _COUNTERS:
        features[name] = {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
    return features


def _info(
    features: dict[str, dict[str, Any]], spec: DemonstrationSpec, *, num_episodes: int, num_frames: int
) -> dict[str, Any]:
    return {
        "codebase_version": VERSION,
        "robot_type": "jaco",
        "total_episodes": num_episodes,
        "total_frames": num_frames,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": round(1.0 / spec.control_timestep),
        "splits": {"train": f"0:{num_episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
        "stages": list(spec.stages),
        "actors": list(ACTORS),
    }


def _about(number: int, first: int, length: int, instruction: str, stats: dict[str, Any]) -> dict[str, Any]:
    """The row of an episode in ``meta/episodes``."""
    place = {"episode_index": number, "tasks": [instruction], "length": length}
    place |= {
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": first,
        "dataset_to_index": first + length,
    }
    place |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
    flat = {f"stats/{name}/{key}": value for name, each in stats.items() for key, value in each.items()}
    return place | flat


def _stats(values: np.ndarray) -> dict[str, list[Any]]:
    """Statistics of a feature over its frames; of images over frames and pixels, in [0, 1], channels first."""
    if values.dtype == np.uint8 and values.ndim == 4:
        pixels = values.reshape(-1, values.shape[-1]) / 255.0
        return {key: [[[each]] for each in column] for key, column in _columns(pixels, len(values)).items()}
    rows = values.reshape(len(values), -1).astype(np.float64)
    return {key: list(column) for key, column in _columns(rows, len(values)).items()}


def _columns(rows: np.ndarray, count: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "min": rows.min(axis=0).tolist(),
        "max": rows.max(axis=0).tolist(),
        "mean": rows.mean(axis=0).tolist(),
        "std": rows.std(axis=0).tolist(),
    }
    columns |= {name: np.quantile(rows, share, axis=0).tolist() for name, share in _QUANTILES.items()}
    return columns | {"count": [count]}


def _column(pyarrow: Any, values: np.ndarray) -> Any:
    """A column of frames: a number, a list of numbers, or an image."""
    if values.dtype == np.uint8 and values.ndim == 4:
        rows = [{"bytes": _png(image), "path": None} for image in values]
        return pyarrow.array(rows, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))
    if values.ndim == 1:
        return pyarrow.array(values)
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _huggingface(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """The same features in the words of the package ``datasets``, which finds them in the Parquet file."""
    described: dict[str, Any] = {}
    for name, values in columns.items():
        value = {"dtype": "bool" if values.dtype == bool else values.dtype.name, "_type": "Value"}
        if values.dtype == np.uint8 and values.ndim == 4:
            described[name] = {"_type": "Image"}
        elif values.ndim == 1:
            described[name] = value
        else:
            described[name] = {"feature": value, "length": values.shape[1], "_type": "List"}
    return described


def _tasks(pyarrow: Any, instruction: str) -> Any:
    """The table of tasks, whose index is the task in words, as pandas writes and reads it."""
    table = pyarrow.table({"task_index": [0], "task": [instruction]})
    columns = [
        {
            "name": "task_index",
            "field_name": "task_index",
            "pandas_type": "int64",
            "numpy_type": "int64",
            "metadata": None,
        },
        {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(about)})
