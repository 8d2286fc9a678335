from __future__ import annotations

import errno
import os
import pathlib

import numpy as np
import pytest
import safetensors.numpy
from tree import assert_same

import handful.learning
from handful.errors import DataError, StorageError
from handful.learning.persistence.checkpoint import load_checkpoint, save_checkpoint

TREE = {
    "scalars": {"one": 1, "big": 2**127 + 1, "pi": 0.1 + 0.2, "text": "käse", "yes": True, "none": None},
    "arrays": {
        "float64": np.random.default_rng(0).normal(size=(3, 4)),
        "int64": np.arange(5),
        "bool": np.array([True, False]),
        "uint8": np.full((2, 2, 3), 255, dtype=np.uint8),
        "no_axis": np.array(3.5),
        "empty": np.zeros((0, 3)),
        "transposed": np.arange(6).reshape(2, 3).T,
    },
    "nothing": {},
    "generator": np.random.default_rng(5).bit_generator.state,
}


def test_a_tree_comes_back_to_the_bit(tmp_path):
    save_checkpoint(tmp_path / "c.safetensors", TREE)
    assert_same(TREE, load_checkpoint(tmp_path / "c.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_full_disk_leaves_the_previous_checkpoint_intact(tmp_path, monkeypatch, failing):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"version": 1})

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(StorageError, match=r"c\.safetensors.*the disk is full.*intact"):
        save_checkpoint(path, {"version": 2})
    monkeypatch.undo()
    assert load_checkpoint(path) == {"version": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_kill_in_the_middle_of_writing_leaves_the_previous_checkpoint_intact(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"version": 1})
    child = os.fork()
    if child == 0:
        os.replace = lambda *arguments: os.kill(os.getpid(), 9)
        save_checkpoint(path, {"version": 2})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert load_checkpoint(path) == {"version": 1}


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="no such folder"):
        save_checkpoint(tmp_path / "nowhere" / "c.safetensors", {})


def test_truncated_foreign_and_missing_files_are_named_in_one_sentence(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(DataError, match="there is no checkpoint at"):
        load_checkpoint(path)
    save_checkpoint(path, TREE)
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="not a checkpoint, or only a part"):
            load_checkpoint(path)
    safetensors.numpy.save_file({"a": np.zeros(3)}, path)
    with pytest.raises(DataError, match="says 'no format at all'"):
        load_checkpoint(path)
    safetensors.numpy.save_file({"a": np.zeros(3)}, path, {"format": "handful-checkpoint-99"})
    with pytest.raises(DataError, match="handful-checkpoint-99"):
        load_checkpoint(path)


def test_no_module_of_the_learner_can_read_or_write_a_pickle():
    for path in pathlib.Path(handful.learning.__file__).parent.glob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text and "torch.save" not in text and "torch.load" not in text
