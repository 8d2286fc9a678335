"""Commands that are killed, or meet a full disk, at a random moment: nothing that was kept is lost."""

from __future__ import annotations

import csv
import hashlib
import os
import pathlib
import random
import shutil

import numpy as np
import pytest
from command_line import assert_same_runs
from harness import NUM_CASES
from interruptions import (
    BALLAST,
    Length,
    Moment,
    can_mount,
    fill_disk,
    in_a_process,
    mount_small_disk,
    run_here,
    run_until,
)

from handful.demonstrations.dataset import load_demonstrations
from handful.learning.persistence.checkpoint import load_checkpoint
from handful.learning.persistence.policy_file import load_policy

TASK = "block-lifting"
NUM_KILLS, NUM_FULL = min(100, max(2, NUM_CASES // 10)), min(30, max(1, NUM_CASES // 30))
"""A hundred kills and thirty full disks of training, and of recording, in ``make fuzz``, and a few in ``make test``."""

NUM_EPISODES, NUM_STEPS = 3, 240
TINY = (
    *("--recipe", "teacher", "--num-envs", "4", "--rollout-steps", "10", "--num-threads", "1"),
    *("--cloning.epochs", "1", "--cloning.warmup-steps", "80", "--cloning.num-segments", "2"),
    *("--ppo.epochs", "1", "--ppo.num-minibatches", "2", "--discriminator.batch-size", "8"),
    *("--policy.vector-sizes", "8", "--policy.hidden-size", "8", "--value-function.hidden-sizes", "8"),
    *("--discriminator.hidden-sizes", "8", "--discriminator.updates-per-iteration", "1"),
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
"""A child that is forked has none of its parent's threads, and must not wait for them."""


def _record_words(path: pathlib.Path) -> list[str]:
    return ["demonstrate", TASK, "--num-episodes", str(NUM_EPISODES), "--output", str(path)]


def _train_words(run: pathlib.Path, demonstrations: pathlib.Path) -> list[str]:
    bounds = ["--num-steps", str(NUM_STEPS), "--checkpoint-seconds", "0"]
    if (run / "config.json").exists():
        return ["train", TASK, "--resume", str(run), *bounds]
    return ["train", TASK, "--run", str(run), "--demonstrations", str(demonstrations), *TINY, *bounds]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[pathlib.Path, Length]:
    """A recording that was not interrupted, and its length."""
    path = tmp_path_factory.mktemp("recorded") / "whole.hdf5"
    return path, run_here(_record_words(path), path.parent)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, recorded) -> tuple[pathlib.Path, Length]:
    """A run that was not interrupted, and its length."""
    run = tmp_path_factory.mktemp("trained") / "run"
    return run, run_here(_train_words(run, recorded[0]), run)


def _episodes(path: pathlib.Path) -> dict[tuple[int, ...], str]:
    """A digest of each episode in a file, by its seed; none where there is no file."""
    if not path.exists():
        return {}
    found = {}
    for each in load_demonstrations(path, TASK).trajectories:
        arrays = [each.actions, each.states, each.rewards, each.stages, *each.observations.values()]
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
        found[each.seed] = digest.hexdigest()
    return found


def _kept(run: pathlib.Path) -> int:
    """Check what is in the folder of a run, and return the iteration from which it can be resumed."""
    if not (run / "checkpoint.safetensors").exists():
        return 0
    load_policy(run / "policy.safetensors")
    iteration = load_checkpoint(run / "checkpoint.safetensors")["iteration"]
    if iteration:
        lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        rows = [int(float(row["iteration"])) for row in csv.DictReader(whole)]
        assert rows == list(range(1, len(rows) + 1)) and len(rows) >= iteration, (iteration, rows)
    return iteration


def _leftovers(folder: pathlib.Path) -> list[str]:
    return [file.name for file in folder.iterdir() if file.name.startswith(".") or file.name == BALLAST]


def test_training_killed_at_random_moments_loses_nothing_that_was_kept(tmp_path, recorded, trained):
    whole, length = trained
    rng, num_killed, run, iteration = random.Random(0), 0, tmp_path / "run-0", 0
    for number in range(4 * NUM_KILLS):
        last = num_killed >= NUM_KILLS
        ended = run_until(_train_words(run, recorded[0]), run, None if last else Moment.draw(rng, length))
        ended.check()
        before, iteration = iteration, _kept(run) if run.exists() else 0
        assert iteration >= before, f"from iteration {before} back to {iteration}"
        num_killed += ended.status < 0
        if ended.status == 0:
            assert_same_runs(run, whole)
            assert not _leftovers(run)
            shutil.rmtree(run)
            run, iteration = tmp_path / f"run-{number + 1}", 0
            if last:
                break
    assert num_killed == NUM_KILLS


def test_recording_killed_at_random_moments_loses_nothing_that_was_kept(tmp_path, recorded):
    whole, length = _episodes(recorded[0]), recorded[1]
    rng, num_killed, folder, kept = random.Random(1), 0, tmp_path / "files", {}
    folder.mkdir()
    path = folder / "killed.hdf5"
    for _ in range(4 * NUM_KILLS):
        last = num_killed >= NUM_KILLS
        ended = run_until(_record_words(path), folder, None if last else Moment.draw(rng, length))
        ended.check()
        before, kept = kept, _episodes(path)
        assert before.items() <= kept.items() <= whole.items()
        num_killed += ended.status < 0
        if ended.status == 0:
            assert kept == whole
            assert not _leftovers(folder)
            path.unlink()
            kept = {}
            if last:
                break
    assert num_killed == NUM_KILLS


def _on_a_small_disk(folder: pathlib.Path, num_bytes: int, case) -> None:
    """Run a case in a process in which ``folder`` is a disk of so many bytes."""
    folder.mkdir()
    if not can_mount(folder):
        pytest.skip("no small disk can be mounted here")

    def function() -> None:
        assert mount_small_disk(folder, num_bytes)
        case()

    in_a_process(function)


def _file_sizes(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def test_training_on_a_disk_that_is_full_ends_in_a_sentence_and_is_resumed_where_there_is_room(
    tmp_path, recorded, trained
):
    whole, length = trained
    disk = tmp_path / "disk"
    run = disk / "run"

    def case() -> None:
        rng, num_refused = random.Random(2), 0
        for _ in range(NUM_FULL):
            left = rng.choice((0, rng.randrange(_file_sizes(whole))))
            moment = Moment.draw(rng, length)
            ended = run_until(_train_words(run, recorded[0]), disk, moment, lambda left=left: fill_disk(disk, left))
            ended.check()
            if ended.status:
                num_refused += 1
                assert "the disk is full" in ended.err, ended.err
            iteration = _kept(run) if run.exists() else 0
            (disk / BALLAST).unlink(missing_ok=True)
            again = run_until(_train_words(run, recorded[0]), disk)
            assert again.status == 0, again
            assert _kept(run) >= iteration
            assert_same_runs(run, whole)
            assert not _leftovers(run)
            shutil.rmtree(run)
        assert num_refused or NUM_FULL < 10

    _on_a_small_disk(disk, 64 * 2**20, case)


def test_recording_on_a_disk_that_is_full_ends_in_a_sentence_and_keeps_every_episode_before(tmp_path, recorded):
    whole, length = _episodes(recorded[0]), recorded[1]
    disk = tmp_path / "disk"
    path = disk / "full.hdf5"

    def case() -> None:
        rng, num_refused = random.Random(3), 0
        for _ in range(NUM_FULL):
            left = rng.choice((0, rng.randrange(os.stat(recorded[0]).st_size)))
            moment = Moment.draw(rng, length)
            ended = run_until(_record_words(path), disk, moment, lambda left=left: fill_disk(disk, left))
            ended.check()
            if ended.status:
                num_refused += 1
                assert "the disk is full" in ended.err, ended.err
            kept = _episodes(path)
            (disk / BALLAST).unlink(missing_ok=True)
            again = run_until(_record_words(path), disk)
            assert again.status == 0, again
            assert kept.items() <= _episodes(path).items() == whole.items()
            assert not _leftovers(disk)
            path.unlink()
        assert num_refused or NUM_FULL < 10

    _on_a_small_disk(disk, 64 * 2**20, case)
