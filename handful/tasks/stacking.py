"""Block stacking: put the red block on the blue one and let go of it (paper, section IV-B)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.simulation import scene
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.block import Block, box_reach_up
from handful.simulation.randomization import Parameters, ParameterSpec
from handful.tasks.task import Snapshot, Task

RED = "red_block"
"""The block to be stacked."""

BLUE = "blue_block"
"""The block to stack it on."""

APART = 0.10
"""Nearest that the blocks' centres may begin [m]: half a block's diagonal (4 cm) and half the hand's breadth (6 cm), so
that the hand can go down beside one without striking the other."""

REACH_DISTANCE = 0.05
"""The tool has reached the red block when it is this near its centre [m]: about where a grasp can close."""

LIFT_HEIGHT = 0.03
"""The red block is lifted when its lowest point is this far above the table [m]. A block that is tipped, rolled or leant
touches the table still; one set down on the lowest blue block, 4 cm high, counts as lifted until it is let go, so that
the reward never falls on the way to a stack."""

GRASP_DISTANCE = 0.08
"""A lifted block counts only this near the tool [m]: held, not thrown."""

CONTACT_GAP = 0.005
"""The blocks touch when the lowest point of the one is this near, in height, to the highest of the other [m]: one that
rests there is within a tenth of that, one in a shaking hand is not for long."""

REST_SPEED = 0.05
"""Both blocks are at rest below this speed [m/s]: a block that falls has it after 5 ms, one physics step."""

OPEN_FINGERS = 0.5
"""A hand with all fingers less closed than this [rad] holds nothing: the narrowest gap between thumb and fingers is then
8.6 cm (from the hand's meshes), wider than the diagonal of the widest block, 7.9 cm."""

RELEASE_DISTANCE = 0.07
"""A hand this far from the block's centre [m] holds nothing either: fingers reach 1 cm beyond the tool, corners 4.9 cm."""


class BlockStacking(Task):
    """Put the red block on the blue one.

    Both lie on the table, boxes of random size, mass, friction and shade, at random places and yaws, at least 10 cm
    apart. Red runs from crimson to vermilion, blue from azure to indigo: which goes on which is told by colour alone.

    Stages: *start*; *reach*, the tool is within 5 cm of the red block's centre; *lift*, the red block is 3 cm off the
    table and by the tool; *stack*, the red block rests on the blue one and the hand has let go. It rests there when its
    lowest point is at the height of the blue block's highest, its centre no more than half the blue block's width beside
    the other's, and both stand still. Success is a stack that stands over the last half second of the episode.
    Randomised: places, yaws, sizes, shades, masses, friction, and what every scene randomises.
    """

    name = "block-stacking"
    horizon = 500
    stages: tuple[str, ...] = ("start", "reach", "lift", "stack")
    stage_rewards: tuple[float, ...] = (0.0, 0.125, 0.25, 1.0)
    object_feature_names: tuple[str, ...] = (
        *(f"tcp_to_{block}_{axis}" for block in (RED, BLUE) for axis in "xyz"),
        *(f"red_to_blue_{axis}" for axis in "xyz"),
    )
    object_position_names = tuple(f"{block}_{axis}" for block in (RED, BLUE) for axis in "xyz")
    object_state_names = (
        *(
            f"{block}_{quantity}"
            for block in (RED, BLUE)
            for quantity in (
                *"xyz",
                *(f"rotation_{row}{column}" for row in range(3) for column in range(3)),
                *(f"velocity_{axis}" for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
                *(f"half_size_{axis}" for axis in "xyz"),
                "mass",
            )
        ),
        *(f"tcp_to_{block}_{axis}" for block in (RED, BLUE) for axis in "xyz"),
        *(f"red_to_blue_{axis}" for axis in "xyz"),
    )

    blocks = (
        Block(
            RED,
            place=(scene.WORKSPACE_CENTER[0], -0.07),
            color_low=(-0.05, 0.7, 0.6),
            color_high=(0.04, 1.0, 1.0),
            color=(0.0, 0.85, 0.8),
        ),
        Block(
            BLUE,
            place=(scene.WORKSPACE_CENTER[0], 0.07),
            color_low=(0.54, 0.7, 0.6),
            color_high=(0.70, 1.0, 1.0),
            color=(0.62, 0.85, 0.8),
        ),
    )

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return tuple(parameter for block in self.blocks for parameter in block.parameter_specs())

    def why_impossible(self, parameters: Parameters) -> str | None:
        distance = float(np.linalg.norm(parameters[f"{RED}.place"] - parameters[f"{BLUE}.place"]))
        if distance < APART:
            return f"the blocks are {distance:.3f} m apart, expected at least {APART} m"
        return None

    def add_props(self, spec: mujoco.MjSpec) -> None:
        for block in self.blocks:
            block.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        for block in self.blocks:
            block.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        for block in self.blocks:
            block.put(model, parameters, qpos)

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        distance = np.linalg.norm(snapshot.position(RED) - snapshot.tcp_position, axis=1)
        lifted = (lowest_point(snapshot, RED) > LIFT_HEIGHT) & (distance < GRASP_DISTANCE)
        released = (snapshot.finger_positions < OPEN_FINGERS).all(axis=1) | (distance > RELEASE_DISTANCE)
        stage = np.where(distance < REACH_DISTANCE, 1, 0)
        stage = np.where(lifted, 2, stage)
        return np.where(rests_on(snapshot, RED, BLUE) & released, 3, stage)

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        red, blue = snapshot.observed_position(RED), snapshot.observed_position(BLUE)
        return np.concatenate([red - snapshot.tcp_position, blue - snapshot.tcp_position, blue - red], axis=1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate([snapshot.observed_position(RED), snapshot.observed_position(BLUE)], axis=1)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        blocks = [
            (
                snapshot.observed_position(block),
                snapshot.rotation(block).reshape(-1, 9),
                snapshot.velocity(block),
                snapshot.parameters[f"{block}.half_size"],
                snapshot.parameters[f"{block}.mass"][:, None],
            )
            for block in (RED, BLUE)
        ]
        # Not `self.object_features`: a task that builds on this one may show its discriminator more.
        return np.concatenate([*blocks[0], *blocks[1], BlockStacking.object_features(self, snapshot)], axis=1)


def lowest_point(snapshot: Snapshot, block: str) -> np.ndarray:
    """Height of a block's lowest corner over the table [m], [env]."""
    return snapshot.position(block)[:, 2] - _reach_up(snapshot, block)


def highest_point(snapshot: Snapshot, block: str) -> np.ndarray:
    """Height of a block's highest corner over the table [m], [env]."""
    return snapshot.position(block)[:, 2] + _reach_up(snapshot, block)


def rests_on(snapshot: Snapshot, upper: str, lower: str) -> np.ndarray:
    """Whether one block lies on top of another and neither moves, bool [env]."""
    offset = snapshot.position(upper) - snapshot.position(lower)
    gap = lowest_point(snapshot, upper) - highest_point(snapshot, lower)
    half_width = snapshot.parameters[f"{lower}.half_size"].min(axis=1)
    centred = np.linalg.norm(offset[:, :2], axis=1) < half_width
    speeds = [np.linalg.norm(snapshot.velocity(block)[:, :3], axis=1) for block in (upper, lower)]
    return centred & (np.abs(gap) < CONTACT_GAP) & (np.maximum(*speeds) < REST_SPEED)


def _reach_up(snapshot: Snapshot, block: str) -> np.ndarray:
    """How far a block reaches above and below its centre [m], [env]."""
    return box_reach_up(snapshot.rotation(block), snapshot.parameters[f"{block}.half_size"])
