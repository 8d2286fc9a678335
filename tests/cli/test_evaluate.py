"""`handful evaluate` as its user meets it: the numbers, the film, and what it says of policies that cannot be."""

from __future__ import annotations

import dataclasses
import json
import shutil

import av
import numpy as np
import pytest
from command_line import TASK

from handful.cli import evaluate
from handful.learning import evaluation
from handful.learning.persistence.policy_file import load_policy, save_policy
from handful.runs import policies
from handful.tasks.environment import TaskEnvironment

KEYS = {
    *("task", "policy", "randomization", "seed", "num_episodes"),
    *("success_rate", "success_interval", "stage_rates", "mean_return"),
}


@pytest.fixture
def policy_path(whole_run, tmp_path):
    """A copy of a policy, which a test may break."""
    return shutil.copy(whole_run / "policy.safetensors", tmp_path / "policy.safetensors")


@pytest.fixture
def no_episodes(monkeypatch):
    """Fails the test if an episode is run."""

    def fail(*arguments, **options):
        pytest.fail("an evaluation began")

    monkeypatch.setattr(evaluation, "evaluate_policy", fail)


def report_of(handful, *words) -> dict:
    status, out, err = handful("evaluate", TASK, "--json", *words)
    assert (status, err, out.count("\n")) == (0, "", 1)
    return json.loads(out)


@pytest.mark.parametrize("policy", ["RUN", "zero", "random", "scripted"])
def test_the_report_is_the_same_again_and_however_many_run_together(policy, whole_run, handful, monkeypatch):
    policy = whole_run if policy == "RUN" else policy
    words = ("--policy", policy, "--num-episodes", 3, "--seed", 5, "--randomization", "full")
    reports = []
    for num_envs in (64, 64, 2):
        monkeypatch.setattr(evaluate, "NUM_ENVS", num_envs)
        reports.append(report_of(handful, *words))
    report = reports[0]
    assert report == reports[1] == reports[2]
    assert report.keys() >= KEYS
    assert (report["task"], report["randomization"], report["seed"], report["num_episodes"]) == (TASK, "full", 5, 3)
    low, high = report["success_interval"]
    assert 0.0 <= low <= report["success_rate"] <= high <= 1.0
    assert list(report["stage_rates"]) == ["reach", "lift"]
    assert (report["demonstrations"] is not None) == (policy == whole_run)
    if policy == "scripted":
        assert report["success_rate"] == 1.0 and report["mean_return"] > 0.0


@pytest.mark.slow
def test_standard_output_holds_the_object_alone_whatever_others_would_say(whole_run, tmp_path, start_process):
    """In a fresh process, where Warp greets and misses its GPU, and with a video."""
    words = ("--policy", whole_run, "--num-episodes", 1, "--renderer", "raycaster", "--video", tmp_path / "one.mp4")
    process = start_process("evaluate", TASK, "--json", *words, cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err, out.count("\n")) == (0, "", 1)
    assert json.loads(out)["num_episodes"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one.mp4"]


def test_physics_that_blows_up_is_silent(tmp_path, capfd, monkeypatch):
    """MuJoCo would write to stderr, and to a file in the working folder."""
    monkeypatch.chdir(tmp_path)
    environment = TaskEnvironment(TASK, num_envs=2, pixels=False, num_threads=2)
    environment.reset()
    environment.physics.qvel[1, 3] = np.nan
    assert environment.step(np.zeros((2, 9), np.float32)).terminated.tolist() == [False, True]
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_the_table_has_intervals_and_the_demonstrations_beside_it(whole_run, handful):
    status, out, err = handful("evaluate", TASK, "--policy", whole_run, "--num-episodes", 1)
    assert (status, err) == (0, "")
    assert f"{TASK}: {whole_run}/policy.safetensors, 1 episodes, randomisation task" in out
    for row in ("sustained success", "reached 'reach'", "reached 'lift'", "mean return", "demonstrations' return"):
        assert row in out
    assert "95% interval" in out and "0.0% to 79.3%" in out
    demonstrations = load_policy(whole_run / "policy.safetensors")[1].training["demonstrations"]
    assert f"{demonstrations['mean_return']:.1f}" in out


def test_the_camera_runs_at_the_policys_rate_or_the_one_asked_for(whole_run, handful):
    words = ("--policy", whole_run, "--num-episodes", 1)
    assert report_of(handful, *words)["camera_hz"] == 5
    assert report_of(handful, *words, "--camera-hz", 20)["camera_hz"] == 20


def test_a_browser_can_play_the_film(tmp_path, handful):
    path = tmp_path / "new" / "film.mp4"
    status, out, _ = handful("evaluate", TASK, "--policy", "scripted", "--num-episodes", 2, "--video", path)
    assert status == 0 and f"Video: {path}" in out
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    # A second of reading the outcome follows the longest episode.
    assert len(frames) > 100 and stream.average_rate == 20
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("video", "status", "sentence"),
    [
        ("film.gif", 2, "expected the name of a video to end in .mp4, got film.gif."),
        ("folder.mp4", 2, "expected the name of a video to write, got the folder folder.mp4."),
        ("file/film.mp4", 1, "cannot write file/film.mp4: "),
        ("/proc/film.mp4", 1, "cannot write /proc/film.mp4: "),
    ],
)
def test_a_film_that_cannot_be_written_is_refused_before_the_evaluation(
    video, status, sentence, tmp_path, handful, monkeypatch, no_episodes
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    returned, out, err = handful("evaluate", TASK, "--policy", "zero", "--video", video)
    assert (returned, out) == (status, "")
    assert sentence in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--num-episodes", 0), "expected at least 1 episode, got 0."),
        (("--seed", -1), "expected a seed of at least 0, got -1."),
        (("--camera-hz", 7), "unknown camera rate 7 Hz; the choices are: 20, 10, 5."),
        (("--randomization", "ful"), "did you mean 'full'? The choices are: full, "),
        (("--renderer", "raytracer"), "did you mean 'raycaster'? The choices are: raycaster, rasterizer, "),
        (("--backend", "cud"), "unknown backend 'cud': did you mean 'cuda'? The choices are: cuda, cpu."),
        (("--policy", "scriptd"), "unknown policy 'scriptd': did you mean 'scripted'? Expected a policy file, "),
        (("--policy", "a_ru"), "did you mean 'a_run'? Expected a policy file, the folder of a run, or one of "),
        (("--policy", "empty"), "the folder empty holds no policy.safetensors."),
        (("--policy", "nowhere/else"), "unknown policy 'nowhere/else': there is no such file or folder; expected "),
    ],
)
def test_what_cannot_be_is_one_sentence_with_the_choices(
    words, sentence, whole_run, tmp_path, handful, monkeypatch, no_episodes
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "unrelated.txt").touch()
    (tmp_path / "a_run").mkdir()
    shutil.copy(whole_run / "policy.safetensors", tmp_path / "a_run")
    words = words if "--policy" in words else ("--policy", "zero", *words)
    status, out, err = handful("evaluate", TASK, *words)
    assert (status, out) == (2, "")
    assert sentence in err and err.count("\n") == 1 and "unrelated" not in err


def test_an_unknown_task_is_answered_with_the_nearest(handful):
    status, _, err = handful("evaluate", "block-liftin", "--policy", "zero")
    assert status == 2 and "unknown task 'block-liftin': did you mean 'block-lifting'?" in err


def test_a_truncated_policy_is_named(policy_path, handful, no_episodes):
    policy_path.write_bytes(policy_path.read_bytes()[:-100])
    status, _, err = handful("evaluate", TASK, "--policy", policy_path)
    assert status == 1 and f"{policy_path} is not a policy, or only a part of one" in err and err.count("\n") == 1


def test_a_checkpoint_is_no_policy(whole_run, handful, no_episodes):
    status, _, err = handful("evaluate", TASK, "--policy", whole_run / "checkpoint.safetensors")
    assert status == 1 and "expected to be a policy" in err and err.count("\n") == 1


def test_a_policy_that_sees_something_else_is_told_what_differs(policy_path, handful, no_episodes):
    policy, manifest = load_policy(policy_path)
    body = manifest.observations["proprioception"]
    other = dataclasses.replace(body, names=("elbow_room", *body.names[1:]))
    observations = {**manifest.observations, "proprioception": other}
    save_policy(policy_path, policy, dataclasses.replace(manifest, observations=observations))
    status, _, err = handful("evaluate", TASK, "--policy", policy_path)
    assert status == 1 and err.count("\n") == 1
    assert f"proprioception has entry 0 'elbow_room' in the policy and '{body.names[0]}' in the task" in err


def test_the_policy_that_ships_is_the_default(whole_run, tmp_path, handful, monkeypatch):
    monkeypatch.setattr(policies, "SHIPPED", tmp_path)
    status, _, err = handful("evaluate", TASK, "--num-episodes", 1)
    assert status == 2 and err.count("\n") == 1
    assert "no policy ships for block-lifting: name one by --policy, a file, a run's folder or zero, random" in err
    (tmp_path / TASK).mkdir()
    shutil.copy(whole_run / "policy.safetensors", tmp_path / TASK)
    assert report_of(handful, "--num-episodes", 1)["policy"] == str(tmp_path / TASK / "policy.safetensors")


def test_a_policy_of_another_task_is_refused_unless_asked_for(policy_path, handful, no_episodes, monkeypatch):
    network, manifest = load_policy(policy_path)
    # Order fulfilment observes what lifting does of arm and camera.
    save_policy(policy_path, network, dataclasses.replace(manifest, task="order-fulfillment"))
    for command in ("evaluate", "view"):
        status, out, err = handful(command, TASK, "--policy", policy_path)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "was trained on order-fulfillment, not on block-lifting" in err and "--force" in err
    monkeypatch.undo()
    report = report_of(handful, "--policy", policy_path, "--num-episodes", 1, "--force")
    assert report["num_episodes"] == 1 and report["demonstrations"] is None
