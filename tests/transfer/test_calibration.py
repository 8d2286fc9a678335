"""The camera's pose from points: what was known is found again, and points that determine nothing are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from handful.cli.main import run_command_line
from handful.errors import DataError
from handful.simulation import scene
from handful.transfer.calibration import CameraPose, difference, fit_camera, overlay, read_points

SIZE = (640, 480)
TRUTH = CameraPose((0.98, -0.06, 0.5), tuple(scene.look_at((0.98, -0.06, 0.5), (0.35, 0.03, 0.08))), 47.0, *SIZE, 0.0)
GRID = np.array([[x, y, 0.0] for x in (0.25, 0.4, 0.55) for y in (-0.2, 0.0, 0.2)])
RAISED = np.concatenate([GRID, [[0.3, 0.1, 0.15], [0.5, -0.1, 0.2]]])


def assert_near(pose, *, shift, angle, fovy):
    far, turned = difference(pose, np.array(TRUTH.position), np.array(TRUTH.quaternion))
    assert far < shift and turned < angle and abs(pose.fovy_deg - TRUTH.fovy_deg) < fovy


def test_the_projection_is_that_of_the_simulations_camera():
    import mujoco

    from handful.simulation.jaco import JACO

    model = scene.build_scene(JACO).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = data.camera(scene.CAMERA)
    quaternion = Rotation.from_matrix(camera.xmat.reshape(3, 3)).as_quat(scalar_first=True)
    pose = CameraPose(tuple(camera.xpos), tuple(quaternion), scene.CAMERA_FOVY, 64, 64, 0.0)
    (middle,) = pose.project(np.array([scene.CAMERA_TARGET]))
    np.testing.assert_allclose(middle, [32.0, 32.0], atol=1e-6)
    (right,) = pose.project(np.array([[0.38, 0.1, 0.1]]))  # seen from the front, the arm's left is on the right
    (high,) = pose.project(np.array([[0.38, 0.0, 0.2]]))
    assert right[0] > 32.0 and high[1] < 32.0


@pytest.mark.parametrize(
    ("points", "fovy_deg"), [(RAISED, None), (RAISED, 47.0), (GRID, 47.0), (GRID[[0, 2, 6, 8]], 47.0)]
)
def test_a_known_pose_is_found_again(points, fovy_deg):
    pose = fit_camera(TRUTH.project(points), points, size=SIZE, fovy_deg=fovy_deg)
    assert_near(pose, shift=1e-4, angle=1e-4, fovy=0.01)
    assert pose.error < 0.01


def test_clicks_that_are_a_pixel_off_move_it_a_little():
    clicks = TRUTH.project(RAISED) + np.random.default_rng(0).normal(size=(len(RAISED), 2))
    pose = fit_camera(clicks, RAISED, size=SIZE)
    assert_near(pose, shift=0.05, angle=0.05, fovy=4.0)
    assert 0.3 < pose.error < 2.0


@pytest.mark.parametrize(
    ("points", "fovy_deg", "words"),
    [
        (RAISED[:5], None, "expected at least 6 points, or 4 with --fovy-deg, got 5"),
        (GRID[:3], 47.0, "expected at least 4 points, got 3"),
        (np.array([[0.1 * i, 0.05 * i, 0.0] for i in range(8)]), None, "lie on a line on the table"),
        (np.repeat(GRID[:1], 7, axis=0), None, "lie on a line on the table"),
    ],
)
def test_points_that_determine_nothing_are_refused(points, fovy_deg, words):
    with pytest.raises(DataError, match=words):
        fit_camera(TRUTH.project(points), points, size=SIZE, fovy_deg=fovy_deg)


def test_clicks_on_the_wrong_points_are_refused():
    clicks = TRUTH.project(RAISED)
    with pytest.raises(DataError, match="the points fit no camera"):
        fit_camera(clicks[::-1].copy(), RAISED, size=SIZE, fovy_deg=47.0)
    with pytest.raises(DataError, match="lie on a line in the picture"):
        fit_camera(np.full_like(clicks, 100.0), RAISED, size=SIZE)


def test_both_kinds_of_files_are_read_and_others_are_refused(tmp_path):
    rows = np.concatenate([TRUTH.project(GRID), GRID], axis=1)
    (tmp_path / "a.json").write_text(json.dumps([{"pixel": list(row[:2]), "point": list(row[2:])} for row in rows]))
    (tmp_path / "a.csv").write_text("u,v,x,y,z\n" + "\n".join(",".join(map(repr, map(float, row))) for row in rows))
    for name in ("a.json", "a.csv"):
        pixels, points = read_points(tmp_path / name)
        np.testing.assert_allclose(np.concatenate([pixels, points], axis=1), rows)
    for text in (
        "{}x",
        "[1]",
        '[{"pixel": [1], "point": [0, 0, 0]}]',
        '[{"pixel": [NaN, 1], "point": [0, 0, 0]}]',
        "[[]]",
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match="expected JSON"):
            read_points(tmp_path / "bad.json")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="or CSV u,v,x,y,z"):
        read_points(tmp_path / "bad.csv")


def test_the_overlay_is_half_real_and_half_simulated_in_the_middle_square():
    real, simulated = np.full((480, 640, 3), 100, np.uint8), np.full((60, 60, 3), 200, np.uint8)
    drawn = np.array(overlay(real, simulated, TRUTH, TRUTH.project(GRID[:1]) + 40.0, GRID[:1]))
    assert drawn[5, 100].tolist() == [150, 150, 150] and drawn[5, 60].tolist() == [100, 100, 100]
    column, row = np.round(TRUTH.project(GRID[:1])[0]).astype(int)
    assert (drawn[row - 2 : row + 3, column - 2 : column + 3] == [0, 255, 0]).all(axis=2).any()
    assert (drawn == [255, 0, 0]).all(axis=2).any()


@pytest.mark.usefixtures("one_thread")
def test_the_command_writes_the_pose_and_the_overlay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    looks = tuple(scene.look_at(scene.CAMERA_POSITION, scene.CAMERA_TARGET))
    clicks = CameraPose(scene.CAMERA_POSITION, looks, scene.CAMERA_FOVY, 96, 64, 0.0).project(RAISED)
    rows = [{"pixel": list(pixel), "point": list(point)} for pixel, point in zip(clicks, RAISED, strict=True)]
    (tmp_path / "points.json").write_text(json.dumps(rows))
    Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    words = ["calibrate", "camera", "points.json"]
    assert run_command_line(words) == 2 and "expected --picture FILE" in capsys.readouterr().err
    assert run_command_line([*words, "--picture", "points.json"]) == 1
    assert "points.json is no picture that can be read" in capsys.readouterr().err
    assert run_command_line(["calibrate", "camera", "nowhere.json", "--picture", "photo.png"]) == 2
    assert "there is no file 'nowhere.json'" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "points.json"]
    assert run_command_line([*words, "--picture", "photo.png"]) == 0
    printed = capsys.readouterr().out
    assert "points miss by 0.00 px" in printed and "training's is 0 mm and 0.0 degrees away" in printed
    written = json.loads((tmp_path / "camera.json").read_text())
    np.testing.assert_allclose(written["position"], scene.CAMERA_POSITION, atol=1e-4)
    drawn = np.array(Image.open(tmp_path / "camera.png"))
    assert drawn.shape == (64, 96, 3) and drawn[:, 20:76].std() > 10.0 and drawn[0, 0].tolist() == [90, 90, 90]
