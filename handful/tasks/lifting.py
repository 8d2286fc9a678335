"""Block lifting: grasp a randomised block and lift it off the table (paper, section IV-B)."""

from __future__ import annotations

import numpy as np

from handful.simulation.props.block import Block
from handful.simulation.props.prop import from_tcp
from handful.simulation.snapshot import Snapshot
from handful.tasks.task import REACH_DISTANCE, Task

BLOCK = "block"

LIFT_HEIGHT = 0.05
"""The block is lifted when its centre is this far above where it rested [m]: tipping or rolling cannot do that."""

GRASP_DISTANCE = 0.08
"""A lifted block counts only this near the tool [m], so that it is held and not thrown."""


class BlockLifting(Task):
    """Grasp the block and lift it.

    A box of random size, colour, mass and friction lies on the table, at a random place and yaw.

    Stages: *start*; *reach*, the tool is within 5 cm of the block's centre; *lift*, the block's centre is 5 cm above where
    it rested, and near the tool. Success is to hold the block up over the last half second of the episode.
    Randomised: place, yaw, size, colour, mass, friction, and what every scene randomises.
    """

    name = "block-lifting"
    horizon = 100
    stages = ("start", "reach", "lift")
    stage_rewards = (0.0, 0.125, 1.0)

    block = Block(BLOCK)
    to_block = from_tcp(block)
    props = (block,)
    object_features = (to_block, block.height)
    object_positions = (block.position,)
    object_state = (
        block.position,
        block.rotation,
        block.velocity,
        to_block,
        block.drawn("half_size"),
        block.drawn("mass"),
    )

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        distance = np.linalg.norm(self.to_block(snapshot), axis=1)
        lifted = (self.block.height(snapshot)[:, 0] > LIFT_HEIGHT) & (distance < GRASP_DISTANCE)
        return np.where(lifted, 2, np.where(distance < REACH_DISTANCE, 1, 0))
