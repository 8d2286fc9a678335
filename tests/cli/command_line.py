"""A learner small enough to test with, and what makes two of its runs the same."""

from __future__ import annotations

import csv
import json
import pathlib

import numpy as np
import safetensors

from handful.learning.persistence.checkpoint import load_checkpoint

TASK = "block-lifting"
NUM_ENVS, ROLLOUT_STEPS = 4, 10
NUM_STEPS = 20 * NUM_ENVS * ROLLOUT_STEPS
"""Length of the runs that are compared; episodes begin and end in it."""
TINY = (
    *("--recipe", "quick", "--num-envs", str(NUM_ENVS), "--rollout-steps", str(ROLLOUT_STEPS), "--num-threads", "1"),
    *("--cloning.epochs", "1", "--cloning.warmup-steps", "80", "--cloning.num-segments", "2"),
    *("--ppo.epochs", "2", "--ppo.num-minibatches", "2", "--discriminator.batch-size", "32"),
)
TIMES = {"seconds", "steps_per_second", "rollout_seconds", "update_seconds"}


def rows(run: pathlib.Path) -> list[dict[str, str]]:
    """Metrics apart from times."""
    with open(run / "metrics.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def checkpoint(run: pathlib.Path) -> dict:
    return load_checkpoint(run / "checkpoint.safetensors")


def assert_same_runs(left: pathlib.Path, right: pathlib.Path, *, anywhere: bool = False) -> None:
    """Checkpoints and policies to the bit, and metrics, apart from times; and from paths, if they are ``anywhere``."""
    _assert_same(*({**checkpoint(run), "seconds": 0.0} for run in (left, right)), where="checkpoint")
    assert rows(left) == rows(right)
    policies = [_policy(run) for run in (left, right)]
    if anywhere:
        for policy in policies:
            policy["manifest"]["training"]["config"] |= {"teacher": None, "start_from": None, "retries_from": None}
    _assert_same(*policies, where="policy")


def _policy(run: pathlib.Path) -> dict:
    with safetensors.safe_open(run / "policy.safetensors", framework="numpy") as file:
        manifest = json.loads(file.metadata()["manifest"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    manifest["training"]["seconds"] = 0.0
    manifest["training"]["config"]["num_threads"] = None  # which may change without changing a bit
    return {"manifest": manifest, **arrays}


def _assert_same(left, right, *, where: str) -> None:
    if isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for name in left:
            _assert_same(left[name], right[name], where=f"{where}/{name}")
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes()), where
    else:
        assert left == right, where
