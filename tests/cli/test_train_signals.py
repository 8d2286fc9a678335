"""A run in a process of its own that is killed, interrupted or starved of disk: what a person's evening looks like."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import subprocess
import time

import pytest
from command_line import NUM_STEPS, TASK, TINY, assert_same_runs, checkpoint, rows

pytestmark = pytest.mark.slow

PATIENCE = 300.0
"""Only to end a test that hangs [s]: a crowded machine is slow."""


def wait_for_row(process, run) -> None:
    """Until training has reported its first iteration."""
    end = time.monotonic() + PATIENCE
    while not (run / "metrics.csv").exists() or len((run / "metrics.csv").read_text().splitlines()) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_any_moment_a_run_goes_on_to_the_same_end(
    seed, tmp_path, whole_run, demonstrations, start_process, handful
):
    run = tmp_path / "run"
    words = ("--demonstrations", demonstrations, "--run", run, "--num-steps", NUM_STEPS, "--checkpoint-seconds", 0)
    process = start_process("train", TASK, *TINY, *words)
    wait_for_row(process, run)
    # Twenty iterations take about two seconds here: somewhere in them, in an update, a checkpoint or a row of the CSV.
    time.sleep(random.Random(seed).uniform(0.0, 1.0))
    process.kill()
    process.wait()
    status, _, err = handful("train", TASK, "--resume", run, "--num-steps", NUM_STEPS)
    assert (status, err) == (0, "")
    assert_same_runs(run, whole_run)
    assert not list(run.glob("*.tmp")) or all(path.name.startswith(".") for path in run.glob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_says_how_to_resume_and_is_resumed(
    number, tmp_path, whole_run, demonstrations, start_process, handful
):
    run = tmp_path / "run"
    words = ("--demonstrations", demonstrations, "--run", run, "--num-steps", NUM_STEPS)
    process = start_process("train", TASK, *TINY, *words)
    wait_for_row(process, run)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err == "interrupted.\n"
    resume = out.splitlines()[-1].partition("To resume: handful ")[2]
    assert resume == f"train {TASK} --resume {run} --num-steps {NUM_STEPS}"
    assert 0 < checkpoint(run)["iteration"] == len(rows(run))
    assert handful(*resume.split())[::2] == (0, "")
    assert_same_runs(run, whole_run)


def test_a_second_interruption_ends_at_once_and_leaves_the_checkpoint(tmp_path, demonstrations, start_process, handful):
    run = tmp_path / "run"
    # An iteration of a hundred thousand steps does not end by itself while we wait.
    words = ("--demonstrations", demonstrations, "--run", run, *TINY, "--rollout-steps", 25_000)
    process = start_process("train", TASK, *words)
    end = time.monotonic() + PATIENCE
    while not (run / "metrics.csv").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    # Signals that come before the process has its turn are one; a person presses again.
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    _, err = process.communicate(timeout=PATIENCE)
    # On a crowded machine one press more may meet the interpreter as it leaves, which ends it by the signal.
    assert process.returncode in (130, -signal.SIGINT) and err == "interrupted.\n"
    assert checkpoint(run)["iteration"] == 0


def test_a_file_that_may_not_grow_further_is_a_sentence_and_costs_nothing_before(
    tmp_path, demonstrations, start_process, handful
):
    """The operating system's own refusal, in the middle of a checkpoint."""
    run = tmp_path / "run"
    words = ("train", TASK, *TINY, "--demonstrations", demonstrations)
    assert handful(*words, "--run", run, "--num-steps", 1)[0] == 0
    before = {name: (run / name).read_bytes() for name in ("checkpoint.safetensors", "policy.safetensors")}

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before["policy.safetensors"]) // 2,) * 2)

    process = start_process("train", TASK, "--resume", run, "--num-steps", NUM_STEPS, preexec_fn=limit)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "policy.safetensors could not be written, because" in err and "the previous file there is intact" in err
    assert err.count("\n") == 1
    assert {name: (run / name).read_bytes() for name in before} == before
    assert handful("train", TASK, "--resume", run, "--num-steps", NUM_STEPS)[0] == 0
