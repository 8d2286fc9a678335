"""`handful train` as its user meets it: what a run leaves behind, and what it goes on from."""

from __future__ import annotations

import csv
import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from command_line import NUM_ENVS, NUM_STEPS, ROLLOUT_STEPS, TASK, TINY, assert_same_runs, checkpoint, rows

from handful.cli import demonstrate
from handful.cli.main import parse_options
from handful.cli.train import Options
from handful.learning.algorithms.reinforcement import ReinforcementImitation
from handful.learning.config.trainer import TrainerConfig
from handful.runs.config import RunConfig
from handful.runs.folder import read_description

ITERATION = NUM_ENVS * ROLLOUT_STEPS


@pytest.fixture
def copied_run(whole_run, tmp_path) -> pathlib.Path:
    """A copy of the whole run that a test may break."""
    return shutil.copytree(whole_run, tmp_path / "copied")


def two_demonstrations(monkeypatch) -> None:
    """Let runs record two demonstrations of their own, and not thirty."""
    function = demonstrate.record_with_progress
    monkeypatch.setattr(function, "__kwdefaults__", {**function.__kwdefaults__, "num_episodes": 2})


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_new_run_records_its_own_demonstrations_and_leaves_everything(tmp_path, handful, monkeypatch):
    two_demonstrations(monkeypatch)
    monkeypatch.chdir(tmp_path)
    status, out, err = handful("train", TASK, *TINY, "--num-steps", 2 * ITERATION, "--camera-hz", 10)
    run = tmp_path / "runs" / f"{TASK}-1"
    assert status == 0
    assert f"Trained {2 * ITERATION} steps." in out and f"--resume runs/{TASK}-1" in out
    assert "demonstrations.hdf5 holds 2 demonstrations" in err
    names = {path.name.partition(".out")[0] for path in run.iterdir()}
    assert names == {
        *("config.json", "budget.json", "demonstrations.hdf5", "metrics.csv", "episodes.csv", "checkpoint.safetensors"),
        *("policy.safetensors", "events"),
    }
    assert [row["steps"] for row in rows(run)] == [f"{float(ITERATION)}", f"{2.0 * ITERATION}"]
    description = read_description(run)
    assert (description.task, description.recipe) == (TASK, "quick")
    assert json.loads((run / "config.json").read_text())["demonstrations"] == "demonstrations.hdf5"
    assert (description.config.num_envs, description.config.camera_hz) == (NUM_ENVS, 10)
    # A run with its own demonstrations can be moved, and resumed from elsewhere.
    moved = shutil.move(run, tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert handful("train", TASK, "--resume", moved, "--num-steps", 3 * ITERATION)[0] == 0
    assert len(rows(moved)) == 3


def test_tensorboard_reads_the_metrics(whole_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole_run))
    events.Reload()
    assert [event.step for event in events.Scalars("task_reward")] == list(range(ITERATION, NUM_STEPS + 1, ITERATION))


def test_a_run_of_too_few_minutes_still_trains_once(tmp_path, demonstrations, handful):
    run = tmp_path / "run"
    words = ("train", TASK, *TINY, "--demonstrations", demonstrations, "--run", run)
    assert handful(*words, "--minutes", 0.0001, "--num-steps", 10**9)[0] == 0
    assert len(rows(run)) == 1


def test_stopped_and_resumed_from_another_folder_equals_never_stopped(
    tmp_path, whole_run, demonstrations, handful, monkeypatch
):
    run = tmp_path / "run"
    monkeypatch.chdir(demonstrations.parent)
    words = ("train", TASK, *TINY, "--demonstrations", demonstrations.name)
    assert handful(*words, "--run", run, "--num-steps", NUM_STEPS // 2)[0] == 0
    monkeypatch.chdir(tmp_path)
    status, _, _ = handful("train", TASK, "--resume", "run", "--num-steps", NUM_STEPS, "--num-threads", 2)
    assert status == 0
    assert_same_runs(run, whole_run)


def test_a_teacher_whose_starts_adapt_resumes_to_the_bit_and_says_where_episodes_began(
    tmp_path, demonstrations, handful
):
    small = (
        "--num-envs",
        4,
        "--rollout-steps",
        40,
        "--num-threads",
        1,
        "--cloning.epochs",
        20,
        "--cloning.num-segments",
        2,
    )
    words = ("train", TASK, "--recipe", "teacher", *small, "--demonstrations", demonstrations)
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert handful(*words, "--run", whole, "--num-steps", 4800)[0] == 0
    assert handful(*words, "--run", run, "--num-steps", 2400)[0] == 0
    assert handful("train", TASK, "--resume", run, "--num-steps", 4800)[0] == 0
    assert_same_runs(run, whole)
    assert float(rows(run)[-1]["frontier"]) < float(rows(run)[0]["frontier"])
    with open(run / "episodes.csv", newline="") as file:
        episodes = list(csv.DictReader(file))
    assert (run / "episodes.csv").read_bytes() == (whole / "episodes.csv").read_bytes()
    assert {int(episode["demonstration"]) for episode in episodes} == {-1, 0, 1}
    status, out, _ = handful("evaluate", TASK, "--policy", run, "--num-episodes", 2)
    assert status == 0 and "reached 'lift'" in out


def test_a_spent_budget_changes_nothing(copied_run, handful):
    before = contents(copied_run)
    status, out, _ = handful("train", TASK, "--resume", copied_run, "--num-steps", NUM_STEPS)
    assert status == 0 and f"Trained {NUM_STEPS} steps." in out
    assert contents(copied_run) == before


def test_a_run_killed_before_its_first_checkpoint_goes_on_from_the_start(
    tmp_path, whole_run, demonstrations, handful, monkeypatch
):
    """Killed while it records, and again between the configuration and the checkpoint."""
    run = tmp_path / "run"
    with monkeypatch.context() as killed:
        killed.setattr("handful.demonstrations.recorder.record_demonstrations", _kill)
        assert handful("train", TASK, *TINY, "--run", run)[0] == 130
    assert sorted(os.listdir(run)) == ["budget.json", "config.json"]
    shutil.copy(demonstrations, run / "demonstrations.hdf5")
    two_demonstrations(monkeypatch)
    with monkeypatch.context() as killed:
        killed.setattr("handful.runs.training_run.TrainingRun.save", _kill)
        assert handful("train", TASK, "--resume", run)[0] == 130
    assert handful("train", TASK, "--resume", run, "--num-steps", NUM_STEPS)[0] == 0
    assert_same_runs(run, whole_run)


def _kill(*arguments, **options):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("--resume", "nowhere"), 1, "nowhere holds no run to resume: config.json is missing."),
        (
            ("--resume", "RUN", "--num-envs", 64),
            2,
            "was begun with --num-envs 4, not 64: a run is resumed under its own",
        ),
        (("--resume", "RUN", "--ppo.discount", "0.9"), 2, "was begun with --ppo.discount 0.98, not 0.9"),
        (
            ("--resume", "RUN", "--run", "other"),
            2,
            "expected one of --run, --resume and --reproduce-failure, got --run and --res",
        ),
        (("--resume", "RUN", "--minutes", "0"), 2, "expected --minutes above 0, got 0.0."),
        (("--run", "RUN"), 2, "holds a run already: resume it by --resume"),
        (("--reproduce-failure", "RUN"), 1, "holds no failure: there is no folder"),
        (("--demonstrations", "nowhere.hdf5", "--run", "new"), 2, "no demonstration file at 'nowhere.hdf5'"),
        (("--device", "tpu", "--run", "new"), 2, "unknown device 'tpu'"),
        (("--recipe", "zhu-2017", "--run", "new"), 2, "unknown recipe 'zhu-2017': did you mean 'zhu-2018'?"),
        (("--resume", "RUN", "--recipe", "zhu-2018"), 2, "has the recipe quick, not zhu-2018"),
        (("--policy.groups", "pixel", "--run", "new"), 2, "unknown observation group 'pixel': did you mean 'pixels'?"),
        (("--device", "cuda:7", "--run", "new"), 2, "the device 'cuda:7' is not there"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    words, status, sentence, whole_run, demonstrations, tmp_path, handful, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if "new" in words and "--demonstrations" not in words:
        words = (*words, "--demonstrations", demonstrations)
    returned, out, err = handful("train", TASK, *(whole_run if word == "RUN" else word for word in words))
    assert (returned, out) == (status, "")
    assert sentence in err and err.count("\n") == 1


def test_a_run_of_another_task_is_not_resumed(copied_run, handful):
    config = copied_run / "config.json"
    config.write_text(config.read_text().replace(TASK, "pouring"))
    status, _, err = handful("train", TASK, "--resume", copied_run)
    assert status == 2 and "is of the task pouring, not block-lifting." in err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"num_envs": 4', '"num_envs": "four"', "Expected int, got str - at $.num_envs"),
        ('"discount"', '"discuont"', "unknown option 'trainer.ppo.discuont'"),
        ('"config": {', '"config": [', "cannot be read as a run's configuration"),
        ('"demonstrations"', '"demonstration"', "lacks the entry 'demonstrations'"),
        ('"format": 2', '"format": 1', "it is of version 1, and this program reads version 2"),
    ],
)
def test_a_damaged_configuration_is_named(copied_run, handful, old, new, sentence):
    config = copied_run / "config.json"
    config.write_text(config.read_text().replace(old, new))
    status, _, err = handful("train", TASK, "--resume", copied_run)
    assert status == 1 and str(config) in err and sentence in err and err.count("\n") == 1


def test_a_truncated_checkpoint_is_named(copied_run, handful):
    path = copied_run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    status, _, err = handful("train", TASK, "--resume", copied_run, "--num-steps", 2 * NUM_STEPS)
    assert status == 1 and f"{path} is not a checkpoint, or only a part of one" in err and err.count("\n") == 1


def test_truncated_demonstrations_are_named_before_there_is_a_run(tmp_path, demonstrations, handful):
    path = tmp_path / "half.hdf5"
    path.write_bytes(demonstrations.read_bytes()[:10_000])
    status, _, err = handful("train", TASK, *TINY, "--demonstrations", path, "--run", tmp_path / "run")
    assert status == 1 and f"{path} is not a whole HDF5 file" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_demonstrations_that_changed_since_the_run_began_are_refused(copied_run, demonstrations, tmp_path, handful):
    other = tmp_path / "other.hdf5"
    shutil.copy(demonstrations, other)
    words = ("train", TASK, "--resume", copied_run, "--num-steps", 2 * NUM_STEPS, "--demonstrations", other)
    assert handful("demonstrate", TASK, "--output", other, "--num-episodes", 3)[0] == 0
    before = contents(copied_run)
    status, _, err = handful(*words)
    assert status == 1 and f"{other} is not what the run {copied_run} began with" in err and err.count("\n") == 1
    assert contents(copied_run) == before


@pytest.mark.parametrize("place", ["file/run", "file", "/proc/run"])
def test_a_folder_that_cannot_be_made_is_a_sentence(place, tmp_path, demonstrations, handful, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    status, _, err = handful("train", TASK, *TINY, "--demonstrations", demonstrations, "--run", place)
    assert status == 1 and f"error: cannot make the folder {place} of the run: " in err and err.count("\n") == 1


def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(copied_run, whole_run, handful, monkeypatch):
    before = contents(copied_run)
    words = ("train", TASK, "--resume", copied_run, "--num-steps", 2 * NUM_STEPS)
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        status, _, err = handful(*words)
    assert status == 1 and calls
    assert "could not be written, because the disk is full; the previous file there is intact." in err
    assert f"resume: handful train {TASK} --resume {copied_run} --num-steps {2 * NUM_STEPS}" in err
    after = contents(copied_run)
    assert all(after[name] == before[name] for name in ("checkpoint.safetensors", "policy.safetensors", "config.json"))
    assert {name for name in after.keys() - before.keys() if "tfevents" not in name} == set()
    assert handful("train", TASK, "--resume", copied_run, "--num-steps", NUM_STEPS + ITERATION)[0] == 0


def test_a_nan_stops_the_run_and_is_reproduced(tmp_path, demonstrations, handful, monkeypatch):
    original = ReinforcementImitation.update

    def break_down(self, rollout, *, steps):
        if steps == 3 * ITERATION:
            rollout.task_reward *= float("nan")
        return original(self, rollout, steps=steps)

    run = tmp_path / "run"
    words = ("--demonstrations", demonstrations, "--run", run, "--num-steps", NUM_STEPS, "--checkpoint-seconds", 0)
    with monkeypatch.context() as broken:
        broken.setattr(ReinforcementImitation, "update", break_down)
        status, _, err = handful("train", TASK, *TINY, *words)
        assert status == 1 and err.count("\n") == 1
        assert "iteration 4: the reward of a step is not a finite number." in err
        assert err.rstrip().endswith(f"handful train {TASK} --reproduce-failure {run}")
        assert checkpoint(run)["iteration"] == 3
        assert json.loads((run / "failure" / "error.json").read_text())["failed_iteration"] == 4
        before = contents(run / "failure") | {"run": (run / "checkpoint.safetensors").read_bytes()}
        status, out, _ = handful("train", TASK, "--reproduce-failure", run)
        assert (status, out.count("\n")) == (0, 1)
        assert "came again: iteration 4: the reward of a step is not a finite number." in out
        assert contents(run / "failure") | {"run": (run / "checkpoint.safetensors").read_bytes()} == before
    status, _, err = handful("train", TASK, "--reproduce-failure", run)
    assert status == 1 and "did not come again up to iteration 4" in err
    # The cause gone, the run goes on from its last good checkpoint.
    assert handful("train", TASK, "--resume", run, "--num-steps", 5 * ITERATION)[0] == 0


@pytest.mark.parametrize(
    ("words", "cloned"),
    [
        ((), True),  # TINY asks for one pass
        (("--cloning.epochs", "0"), False),
        (("--imitation-weight", "0"), False),
    ],
)
def test_a_run_clones_where_it_is_asked_to_and_imitates(words, cloned, tmp_path, demonstrations, handful):
    run = tmp_path / "run"
    base = ("train", TASK, *TINY, "--demonstrations", demonstrations, "--run", run, "--num-steps", 3 * ITERATION)
    status, out, _ = handful(*base, *words)
    assert status == 0
    assert checkpoint(run)["cloned"] == cloned == ("copying the demonstrations pass 1" in out)
    assert [bool(row["demonstration_loss"]) for row in rows(run)] == [False, False, cloned]
    assert [bool(row["policy_loss"]) for row in rows(run)] == [not cloned, not cloned, True]


def test_a_run_begun_with_another_runs_networks_does_not_clone_again(whole_run, tmp_path, demonstrations, handful):
    run = tmp_path / "run"
    words = ("train", TASK, *TINY, "--demonstrations", demonstrations, "--run", run, "--num-steps", ITERATION)
    status, out, _ = handful(*words, "--start-from", whole_run)
    assert status == 0 and "copying" not in out
    begun, came_from = checkpoint(run), checkpoint(whole_run)
    assert begun["cloned"] == came_from["cloned"] and begun["steps"] == ITERATION
    count = "vector_normalizer.count"
    assert begun["ppo"]["policy"][count] == came_from["ppo"]["policy"][count] + ITERATION


def test_a_learning_rate_that_the_kl_steers_goes_on_unless_another_is_given(tmp_path, demonstrations, handful):
    first = tmp_path / "first"
    steered = ("--ppo.learning-rate-control", "kl", "--ppo.learning-rate-range", "1e-9", "1", "--cloning.epochs", "0")
    words = ("train", TASK, *TINY, *steered, "--demonstrations", demonstrations, "--num-steps", ITERATION)
    assert handful(*words, "--ppo.learning-rate", "1e-6", "--run", first)[0] == 0
    saved = checkpoint(first)["ppo"]["learning_rate"]
    assert saved != 1e-6

    def begun(name, *more) -> float:
        """The learning rate before the first iteration."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("handful.runs.training_run.TrainingRun.train", lambda *_, **__: True)
            assert handful(*words, "--start-from", first, "--run", tmp_path / name, *more)[0] == 0
        return checkpoint(tmp_path / name)["ppo"]["learning_rate"]

    assert begun("another") == saved
    assert begun("given", "--ppo.learning-rate", "0.5") == 0.5
    assert begun("like-the-recipe", "--ppo.learning-rate", "4e-4") == 4e-4
    status, _, err = handful("train", TASK, "--resume", tmp_path / "given", "--num-steps", ITERATION)
    assert status == 0, err


def test_a_run_may_begin_with_a_policy_that_ships(whole_run, tmp_path, demonstrations, handful):
    shipped, run = tmp_path / "shipped", tmp_path / "run"
    shipped.mkdir()
    words = (
        "train",
        TASK,
        *TINY,
        "--demonstrations",
        demonstrations,
        "--num-steps",
        ITERATION,
        "--start-from",
        shipped,
    )
    status, _, err = handful(*words, "--run", run)
    assert status != 0 and "holds nothing to start from" in err and not run.exists()
    shutil.copy(whole_run / "policy.safetensors", shipped)
    assert handful(*words, "--run", run)[0] == 0
    begun, came_from = checkpoint(run), checkpoint(whole_run)
    count = "vector_normalizer.count"
    assert begun["ppo"]["policy"][count] == came_from["average"][count] + ITERATION
    status, _, err = handful("train", "block-stacking", *TINY, "--start-from", shipped, "--run", tmp_path / "other")
    assert status != 0 and f"was trained on {TASK}, not on block-stacking" in err and not (tmp_path / "other").exists()


ABLATIONS = {
    "--imitation-weight 0": lambda config: config.trainer.imitation_weight == 0,
    "--imitation-weight 1": lambda config: config.trainer.imitation_weight == 1,
    "--curriculum.random-start-probability 1": lambda config: config.curriculum.random_start_probability == 1,
    "--curriculum.random-start-probability 0": lambda config: config.curriculum.random_start_probability == 0,
    "--curriculum.clusters stages": lambda config: config.curriculum.clusters == "stages",
    "--curriculum.max-seconds 2": lambda config: config.curriculum.max_seconds == 2,
    "--curriculum.max-seconds inf": lambda config: config.curriculum.max_seconds == float("inf"),
    "--curriculum.include-solved": lambda config: config.curriculum.include_solved,
    "--curriculum.cut-after-success 0": lambda config: config.curriculum.cut_after_success == 0,
    "--curriculum.cut-after-success inf": lambda config: config.curriculum.cut_after_success == float("inf"),
    "--discriminator.use-actions": lambda config: config.trainer.discriminator.use_actions,
    "--discriminator.gradient-penalty 0": lambda config: config.trainer.discriminator.gradient_penalty == 0,
    "--discriminator.replay-size 100": lambda config: config.trainer.discriminator.replay_size == 100,
    "--discriminator.hidden-sizes 20 10": lambda config: config.trainer.discriminator.hidden_sizes == (20, 10),
    "--discriminator.reward-clip 5": lambda config: config.trainer.discriminator.reward_clip == 5,
    "--ppo.objective clip": lambda config: config.trainer.ppo.objective == "clip",
    "--ppo.advantage-scale batch": lambda config: config.trainer.ppo.advantage_scale == "batch",
    "--ppo.gae-lambda 1": lambda config: config.trainer.ppo.gae_lambda == 1,
    "--ppo.auxiliary-weight 0": lambda config: config.trainer.ppo.auxiliary_weight == 0,
    "--ppo.entropy-weight 0.01": lambda config: config.trainer.ppo.entropy_weight == 0.01,
    "--ppo.kl-stop-factor inf": lambda config: config.trainer.ppo.kl_stop_factor == float("inf"),
    "--policy.groups physical_state": lambda config: config.trainer.policy.groups == ("physical_state",),
    "--policy.activation elu": lambda config: config.trainer.policy.activation == "elu",
    "--value-function.groups pixels proprioception": lambda config: "pixels" in config.trainer.value_function.groups,
    "--discriminator.groups object_features proprioception": lambda config: (
        config.trainer.discriminator.groups == ("object_features", "proprioception")
    ),
    "--policy.no-recurrent": lambda config: not config.trainer.policy.recurrent,
    "--policy.initial-log-std -3": lambda config: config.trainer.policy.initial_log_std == -3,
    "--randomization full": lambda config: config.randomization == "full",
    "--randomization none": lambda config: config.randomization == "none",
    "--camera-hz 20": lambda config: config.camera_hz == 20,
    "--seed 7": lambda config: config.trainer.seed == 7,
}


@pytest.mark.parametrize("words", ABLATIONS)
def test_every_ablation_reaches_the_learner_and_learns(words, tmp_path, demonstrations, handful):
    words, chosen = words.split(), ABLATIONS[words]
    assert chosen(parse_options(Options, [TASK, *words], program="handful train").config)
    assert not chosen(RunConfig()), "an ablation that changes nothing"
    run = tmp_path / "run"
    budget = ("--num-steps", 1, "--demonstrations", demonstrations, "--run", run)
    status, _, err = handful("train", TASK, *TINY, *budget, *words)
    assert (status, err) == (0, "")
    assert len(rows(run)) == 1
    # What was chosen is kept: the configuration survives its file.
    assert chosen(read_description(run).config)


@pytest.mark.parametrize(
    "words",
    [
        *("--num-envs 0", "--num-threads 0", "--torch-threads 0", "--rollout-steps 0", "--seed -1", "--camera-hz 7"),
        *("--randomization ful", "--renderer gl", "--backend gpu", "--imitation-weight 1.5", "--imitation-weight nan"),
        *("--curriculum.random-start-probability -0.1", "--curriculum.cut-after-success -1"),
        *("--curriculum.max-seconds 0", "--curriculum.clusters stage", "--ppo.advantage-scale none"),
        *("--policy.hidden-size 0", "--policy.image-features 0", "--policy.auxiliary-sizes 0"),
        *("--policy.vector-sizes 0", "--policy.initial-log-std nan", "--policy.initial-log-std inf"),
        *("--ppo.epochs 0", "--ppo.num-minibatches 0", "--ppo.num-minibatches 5", "--ppo.learning-rate -1"),
        *("--ppo.learning-rate nan", "--ppo.discount 1.1", "--ppo.gae-lambda -1", "--ppo.clip-range 0"),
        *("--ppo.max-grad-norm 0", "--ppo.kl-target 0", "--ppo.auxiliary-weight -1", "--value-function.hidden-sizes 0"),
        *("--ppo.value-learning-rate 0", "--ppo.initial-kl-weight -1", "--ppo.kl-stop-factor 0"),
        *("--discriminator.learning-rate 0", "--discriminator.gradient-penalty -1", "--discriminator.reward-clip 0"),
        *("--discriminator.updates-per-iteration 0", "--discriminator.batch-size 0", "--discriminator.hidden-sizes 0"),
        *("--checkpoint-seconds -1", "--num-steps 0", "--minutes nan"),
    ],
)
def test_values_that_cannot_be_are_refused_before_there_is_a_run(words, tmp_path, demonstrations, handful):
    run = tmp_path / "run"
    base = [*TINY, "--demonstrations", demonstrations, "--run", run]
    if not words.startswith("--num-steps"):
        base += ["--num-steps", 1]
    status, out, err = handful("train", TASK, *base, *words.split())
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not run.exists()


def test_the_learners_defaults_are_valid():
    assert TrainerConfig() == RunConfig().trainer


def test_the_profile_tells_where_the_time_went(handful, demonstrations, tmp_path):
    words = ("train", TASK, "--demonstrations", demonstrations, "--run", tmp_path / "run", *TINY)
    status, output, _ = handful(*words, "--num-steps", "200", "--profile")
    assert status == 0
    rows = {line.split("│")[1].strip(): line.split("│")[2:6] for line in output.splitlines() if line.count("│") == 6}
    assert {"training", "rollout", "physics", "camera", "encode", "act", "ppo", "backward", "discriminator"} <= set(
        rows
    )
    assert int(rows["physics"][0]) == 200 // NUM_ENVS
    parts = [float(rows[name][1]) for name in ("rollout", "discriminator", "advantage", "ppo", "statistics", "report")]
    assert sum(parts) <= float(rows["training"][1]) + 0.05


def test_a_run_that_another_process_trains_is_not_resumed(handful, copied_run):
    program = (
        "import pathlib, sys; from handful.storage import lock; "
        "release = lock(pathlib.Path(sys.argv[1]), what='it'); print(flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    words = [sys.executable, "-c", program, str(copied_run / ".lock")]
    before = rows(copied_run)
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        status, _, error = handful("train", TASK, "--resume", copied_run, "--num-steps", 2 * NUM_STEPS)
        other.stdin.close()
    assert status == 2 and f"{copied_run} is in use by process {other.pid}" in error and error.count("\n") == 1
    assert rows(copied_run) == before
    assert handful("train", TASK, "--resume", copied_run, "--num-steps", NUM_STEPS + ITERATION)[0] == 0
    assert not (copied_run / ".lock").exists()


def test_what_a_kill_left_in_a_finished_run_is_removed(handful, copied_run):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in ("checkpoint", "policy"):
        (copied_run / f".{name}.{gone.pid}.safetensors").write_text("half of it")
    (copied_run / f".metrics.{os.getppid()}.csv").write_text("of a process that runs")
    assert handful("train", TASK, "--resume", copied_run, "--num-steps", NUM_STEPS)[0] == 0
    assert [path.name for path in copied_run.glob(".*")] == [f".metrics.{os.getppid()}.csv"]
