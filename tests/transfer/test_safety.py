"""The safety limits, with `hypothesis` doing its best to break them; and the arm's body against its model."""

from __future__ import annotations

import importlib.resources
import json

import hypothesis
import mujoco
import numpy as np
import pytest
from hypothesis import strategies as st

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.jaco import HOME_QPOS, JACO
from handful.transfer.measuring import measure
from handful.transfer.robots.body import body_from_json, find_body
from handful.transfer.safety import Guard, SafetyLimits

TIMESTEP = 0.05
BODY = find_body("jaco")
LIMITS = SafetyLimits()
CHANGE = TIMESTEP * np.array([LIMITS.acceleration] * 6 + [LIMITS.finger_acceleration] * 3)

several = hypothesis.settings(
    deadline=None, max_examples=30, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=True
)
"""Derandomised: the same examples in every run."""


@pytest.fixture(scope="module")
def model():
    return scene.build_scene().compile()


def random_positions(generator: np.random.Generator, count: int, spread: float = 0.6) -> np.ndarray:
    positions = HOME_QPOS + spread * generator.normal(size=(count, 9))
    positions[:, 6:] = generator.uniform(0.15, 1.35, (count, 3))
    return positions


def test_the_file_of_the_body_is_that_of_the_model():
    """Make it anew by ``python -m handful.transfer.measuring jaco handful/transfer/robots/jaco.json``."""
    measured = measure(JACO)
    stored = json.loads((importlib.resources.files("handful.transfer.robots") / "jaco.json").read_text())
    assert measured.keys() == stored.keys()
    for mine, theirs in zip(measured["links"], stored["links"], strict=True):
        assert (mine["name"], mine["parent"], mine["joint"]) == (theirs["name"], theirs["parent"], theirs["joint"])
        for field in ("position", "rotation", "points", "spheres"):
            np.testing.assert_allclose(mine[field], theirs[field], atol=1e-4)
    assert {name: measured[name] for name in ("joints", "limits", "apart")} == {
        name: stored[name] for name in ("joints", "limits", "apart")
    }


def test_poses_are_those_of_mujoco_and_points_and_spheres_hold_the_meshes(model):
    data = mujoco.MjData(model)
    for positions in random_positions(np.random.default_rng(0), 5):
        data.qpos[:9] = positions
        mujoco.mj_kinematics(model, data)
        poses = BODY.poses(positions)
        lowest, spheres_hold = np.inf, []
        for index, link in enumerate(BODY.links):
            body = model.body(f"jaco/{link.name}").id
            np.testing.assert_allclose(poses[0][index], data.xpos[body], atol=1e-6)
            np.testing.assert_allclose(poses[1][index], data.xmat[body].reshape(3, 3), atol=1e-6)
            for geom in np.flatnonzero((model.geom_bodyid == body) & (model.geom_contype != 0)):
                if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH:
                    continue
                mesh = model.geom_dataid[geom]
                begin, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
                points = (
                    data.geom_xpos[geom] + model.mesh_vert[begin : begin + count] @ data.geom_xmat[geom].reshape(3, 3).T
                )
                lowest = min(lowest, points[:, 2].min()) if link.parent >= 0 else lowest
                local = (points - poses[0][index]) @ poses[1][index]
                gaps = np.linalg.norm(local[:, None] - link.spheres[:, :3], axis=2) - link.spheres[:, 3]
                spheres_hold.append(gaps.min(axis=1).max())
        assert max(spheres_hold) < 1e-4
        assert BODY.points(poses)[:, 2].min() - lowest < 0.002


def adversary(kind: str, generator: np.random.Generator, positions: np.ndarray, guard: Guard) -> object:
    """A request that no one should follow."""
    speed = BODY.speed
    if kind == "extreme":
        return speed * generator.choice([-1.0, 1.0], 9)
    if kind == "down":  # towards the table, as fast as the arm can
        down = hand_height(positions + 1e-4 * np.eye(9)) - hand_height(positions)
        return -speed * np.sign(down)
    if kind == "folded":  # parts of the arm towards one another
        nudged = positions + 1e-4 * np.eye(9)
        nearer = BODY.sphere_gaps(BODY.poses(nudged)).min(axis=-1) - BODY.sphere_gaps(BODY.poses(positions)).min()
        return -10.0 * speed * np.sign(nearer)
    if kind == "constant":
        return speed * np.sign(np.arange(9) % 2 - 0.5)
    if kind == "broken":
        wrong = [
            np.full(9, np.nan),
            np.full(9, np.inf),
            np.zeros(3),
            np.array(["a"] * 9),
            np.array(None),
            1e300 * speed,
        ]
        return wrong[generator.integers(len(wrong))]
    return speed * generator.normal(size=9)


def hand_height(positions: np.ndarray) -> np.ndarray:
    """Mean height of the parts of the hand [m]."""
    return BODY.poses(positions)[0][..., -7:, 2].mean(axis=-1)


KINDS = ("extreme", "down", "folded", "constant", "broken", "noise")


scripts = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 12)), min_size=1, max_size=6)
"""What an adversary asks for, and how often."""


@pytest.mark.slow
@several
@hypothesis.given(seed=st.integers(0, 2**32 - 1), script=scripts, delay=st.integers(0, 2))
def test_an_arm_that_does_what_it_is_told_stays_within_all_limits(seed, script, delay):
    attack(seed, script, delay)


@pytest.mark.long
@hypothesis.settings(several, max_examples=500)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), script=scripts, delay=st.integers(0, 2))
def test_ten_thousand_requests_break_no_limit(seed, script, delay):
    """Some 40 requests in each of 500 episodes."""
    attack(seed, script, delay)


def attack(seed: int, script: list[tuple[str, int]], delay: int) -> None:
    """An episode in which every request is an adversary's."""
    generator = np.random.default_rng(seed)
    limits = SafetyLimits(delay_steps=delay)
    guard = Guard(BODY, limits, control_timestep=TIMESTEP)
    positions = next(
        each for each in random_positions(generator, 100, 0.3) if (guard.clearances(each) >= guard_margins()).all()
    )
    measured = [positions] * (delay + 1)
    before = np.zeros(9)
    for kind, count in script:
        for _ in range(count):
            velocities = guard.filter(measured[-1 - delay], adversary(kind, generator, positions, guard)).velocities
            assert np.isfinite(velocities).all() and (np.abs(velocities) <= BODY.speed + 1e-9).all()
            assert (np.abs(velocities - before) <= CHANGE + 1e-9).all()
            between = positions + np.linspace(0.0, TIMESTEP, 9)[:, None] * velocities
            assert (guard.clearances(between) >= guard_margins() - 2e-4).all()
            positions, before = between[-1], velocities
            assert (positions >= BODY.low - 1e-9).all() and (positions <= BODY.high + 1e-9).all()
            measured.append(positions)
    while not guard.stands:  # and it can stop at any moment
        positions = positions + TIMESTEP * guard.brake()
        assert (guard.clearances(positions) >= guard_margins() - 2e-4).all()


def guard_margins() -> np.ndarray:
    return np.concatenate([np.zeros(6), np.full(len(BODY.apart), LIMITS.self_clearance)])


@several
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_an_arm_that_was_pushed_out_of_its_limits_comes_no_nearer(seed):
    """From anywhere: also under the table, folded, and past the joints' limits."""
    generator = np.random.default_rng(seed)
    guard = Guard(BODY, LIMITS, control_timestep=TIMESTEP)
    positions = random_positions(generator, 1, 1.5)[0]
    least = np.minimum(guard.clearances(positions), guard_margins())
    for _ in range(5):
        velocities = guard.filter(positions, BODY.speed * generator.choice([-1.0, 1.0], 9)).velocities
        positions = positions + TIMESTEP * velocities
        assert (guard.clearances(positions) >= least - 1e-6).all()
        beyond = (positions < BODY.low) | (positions > BODY.high)
        outward = np.where(positions > BODY.high, velocities, -velocities)
        assert (outward[beyond] <= 1e-9).all()


def test_what_is_allowed_passes_unchanged():
    guard = Guard(BODY, LIMITS, control_timestep=TIMESTEP)
    positions = HOME_QPOS.copy()
    positions[6:] = 0.6
    for _ in range(3):
        requested = 0.3 * BODY.speed * np.sin(np.arange(9))
        verdict = guard.filter(positions, requested)
        assert verdict.reason == ""
        np.testing.assert_array_equal(verdict.velocities, requested)


def test_an_arm_pressed_on_the_table_still_slides_along_it():
    guard = Guard(BODY, LIMITS, control_timestep=TIMESTEP)
    positions = HOME_QPOS.copy()
    for _ in range(80):  # down, by a policy that does not care
        velocities = guard.filter(positions, adversary("down", np.random.default_rng(0), positions, guard)).velocities
        positions = positions + TIMESTEP * velocities
    assert guard.clearances(positions)[2] < 0.02
    before, turned = positions.copy(), np.zeros(9)
    turned[0] = 0.4  # the base turns about the vertical
    for _ in range(10):
        down = adversary("down", np.random.default_rng(0), positions, guard) * 0.3
        positions = positions + TIMESTEP * guard.filter(positions, np.where(turned > 0, turned, down)).velocities
    assert positions[0] - before[0] > 0.05
    assert guard.clearances(positions)[2] >= -2e-4


@pytest.mark.parametrize("positions", [np.full(9, np.nan), np.zeros(4), np.full(9, np.inf)])
def test_a_reading_that_means_nothing_makes_the_arm_stop(positions):
    guard = Guard(BODY, LIMITS, control_timestep=TIMESTEP)
    guard.filter(HOME_QPOS + np.array([0] * 6 + [0.3] * 3), np.full(9, 0.3))
    assert not guard.stands
    for _ in range(3):
        assert guard.filter(positions, np.full(9, 0.3)).reason == "request"
    assert guard.stands


def test_limits_that_cannot_be_are_refused():
    for wrong in ({"acceleration": 0.0}, {"low": (1.0, 0.0, 0.0)}, {"finger_acceleration": np.nan}):
        with pytest.raises(ConfigurationError, match="expected finite safety limits"):
            SafetyLimits(**wrong)
    with pytest.raises(ConfigurationError, match="unknown robot body 'panda'"):
        find_body("panda")
    assert body_from_json(measure(JACO)).num_arm == 6
