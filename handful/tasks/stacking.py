"""Block stacking: put the red block on the blue one and let go of it (paper, section IV-B)."""

from __future__ import annotations

import numpy as np

from handful.simulation import scene
from handful.simulation.props.block import Block, box_reach_up
from handful.simulation.props.prop import from_tcp, offset
from handful.simulation.randomization import Parameters
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import REACH_DISTANCE, Task, hand_is_open

RED = "red_block"
"""The block to be stacked."""

BLUE = "blue_block"
"""The block to stack it on."""

APART = 0.10
"""Least distance between the blocks' centres at the start [m]: half a block's diagonal (4 cm) and half the hand's width
(6 cm), so that the hand can descend at one without hitting the other."""

LIFT_HEIGHT = 0.03
"""The red block is lifted when its lowest point is this far above the table [m]. A tipped or leaning block still touches the
table. A block on the lowest blue block, 4 cm high, counts as lifted until it is released, so that the reward does not fall
on the way to a stack."""

GRASP_DISTANCE = 0.08
"""A lifted block counts only this near the tool [m], so that it is held and not thrown."""

CONTACT_GAP = 0.005
"""The blocks touch when the heights of the upper one's lowest point and the lower one's highest differ by less than this
[m]. A resting block is within a tenth of that; one in a shaking hand is not for long."""

REST_SPEED = 0.05
"""Both blocks are at rest below this speed [m/s]. A falling block reaches it within 5 ms."""

RELEASE_DISTANCE = 0.07
"""A hand this far from the block's centre [m] holds nothing: fingers reach 1 cm beyond the tool, corners 4.9 cm."""


class BlockStacking(Task):
    """Put the red block on the blue one.

    Both are boxes of random size, mass, friction and shade, at random places and yaws, at least 10 cm apart. Red is from
    crimson to vermilion, blue from azure to indigo; only the colour shows which block goes on which.

    Stages: *start*; *reach*, the tool is within 5 cm of the red block's centre; *lift*, the red block is 3 cm off the
    table and near the tool; *stack*, the red block rests on the blue one and the hand has let go. It rests when its lowest
    point is at the height of the blue block's highest, its centre is at most half the blue block's width beside the other
    centre, and neither moves. Success is a stack that stands over the last half second of the episode.
    Randomised: places, yaws, sizes, shades, masses, friction, and what every scene randomises.
    """

    name = "block-stacking"
    horizon = 500
    stages: tuple[str, ...] = ("start", "reach", "lift", "stack")
    stage_rewards: tuple[float, ...] = (0.0, 0.125, 0.25, 1.0)

    red = Block(
        RED,
        place=(scene.WORKSPACE_CENTER[0], -0.07),
        color_low=(-0.05, 0.7, 0.6),
        color_high=(0.04, 1.0, 1.0),
        color=(0.0, 0.85, 0.8),
    )
    blue = Block(
        BLUE,
        place=(scene.WORKSPACE_CENTER[0], 0.07),
        color_low=(0.54, 0.7, 0.6),
        color_high=(0.70, 1.0, 1.0),
        color=(0.62, 0.85, 0.8),
    )
    props = (red, blue)
    offsets = (from_tcp(red), from_tcp(blue), offset(red, blue, "red_to_blue"))
    object_features = offsets
    object_positions = (red.position, blue.position)
    object_state = (
        *(red.position, red.rotation, red.velocity, red.drawn("half_size"), red.drawn("mass")),
        *(blue.position, blue.rotation, blue.velocity, blue.drawn("half_size"), blue.drawn("mass")),
        *offsets,
    )

    def why_impossible(self, parameters: Parameters) -> str | None:
        distance = float(np.linalg.norm(parameters[f"{RED}.place"] - parameters[f"{BLUE}.place"]))
        if distance < APART:
            return f"the blocks are {distance:.3f} m apart, expected at least {APART} m"
        return None

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        distance = np.linalg.norm(snapshot.position(RED) - snapshot.tcp_position, axis=1)
        lifted = (lowest_point(snapshot, RED) > LIFT_HEIGHT) & (distance < GRASP_DISTANCE)
        released = hand_is_open(snapshot) | (distance > RELEASE_DISTANCE)
        stage = np.where(distance < REACH_DISTANCE, 1, 0)
        stage = np.where(lifted, 2, stage)
        return np.where(rests_on(snapshot, RED, BLUE) & released, 3, stage)


def lowest_point(snapshot: Snapshot, block: str) -> np.ndarray:
    """Height of a block's lowest corner over the table [m], [env]."""
    return snapshot.position(block)[:, 2] - _reach_up(snapshot, block)


def highest_point(snapshot: Snapshot, block: str) -> np.ndarray:
    """Height of a block's highest corner over the table [m], [env]."""
    return snapshot.position(block)[:, 2] + _reach_up(snapshot, block)


def lies_on(snapshot: Snapshot, upper: str, lower: str, *, gap: float) -> np.ndarray:
    """Whether one block is on top of another, centred within half its width and at most ``gap`` [m] away, bool [env]."""
    offset = snapshot.position(upper) - snapshot.position(lower)
    between = lowest_point(snapshot, upper) - highest_point(snapshot, lower)
    half_width = snapshot.parameters[f"{lower}.half_size"].min(axis=1)
    return (np.linalg.norm(offset[:, :2], axis=1) < half_width) & (np.abs(between) < gap)


def rests_on(snapshot: Snapshot, upper: str, lower: str) -> np.ndarray:
    """Whether one block lies on top of another and neither moves, bool [env]."""
    speeds = [np.linalg.norm(snapshot.velocity(block)[:, :3], axis=1) for block in (upper, lower)]
    return lies_on(snapshot, upper, lower, gap=CONTACT_GAP) & (np.maximum(*speeds) < REST_SPEED)


def _reach_up(snapshot: Snapshot, block: str) -> np.ndarray:
    """How far a block reaches above and below its centre [m], [env]."""
    return box_reach_up(snapshot.rotation(block), snapshot.parameters[f"{block}.half_size"])
