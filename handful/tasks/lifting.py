"""Block lifting: grasp a randomised block and lift it off the table (paper, section IV-B)."""

from __future__ import annotations

import mujoco
import numpy as np

from handful.simulation.physics.protocol import Physics
from handful.simulation.props.block import Block
from handful.simulation.randomization import Parameters, ParameterSpec
from handful.tasks.task import Snapshot, Task

BLOCK = "block"

REACH_DISTANCE = 0.05
"""The tool has reached the block when it is this near its centre [m]: about where a grasp can close."""

LIFT_HEIGHT = 0.05
"""The block is lifted when its centre is this far above where it rested [m]: too high to be tipped or rolled there."""

GRASP_DISTANCE = 0.08
"""A lifted block counts only this near the tool [m]: held, not thrown."""


class BlockLifting(Task):
    """Grasp the block and lift it.

    A box of random size, colour, mass and friction lies on the table, at a random place and yaw.

    Stages: *start*; *reach*, the tool is within 5 cm of the block's centre; *lift*, the block's centre is 5 cm above its
    place of rest and still by the tool. Success is to hold the block up over the last half second of the episode.
    Randomised: place, yaw, size, colour, mass, friction, and what every scene randomises.
    """

    name = "block-lifting"
    horizon = 100
    stages = ("start", "reach", "lift")
    stage_rewards = (0.0, 0.125, 1.0)
    object_feature_names = ("tcp_to_block_x", "tcp_to_block_y", "tcp_to_block_z", "block_height")
    object_position_names = ("block_x", "block_y", "block_z")
    object_state_names = (
        *object_position_names,
        *(f"block_rotation_{row}{column}" for row in range(3) for column in range(3)),
        *(f"block_velocity_{axis}" for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
        *(f"tcp_to_block_{axis}" for axis in "xyz"),
        *(f"block_half_size_{axis}" for axis in "xyz"),
        "block_mass",
    )

    _block = Block(BLOCK)

    def object_parameter_specs(self) -> tuple[ParameterSpec, ...]:
        return self._block.parameter_specs()

    def add_props(self, spec: mujoco.MjSpec) -> None:
        self._block.add(spec)

    def apply_objects(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        self._block.apply(physics, ids, parameters)

    def place_objects(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        self._block.put(model, parameters, qpos)

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        distance = np.linalg.norm(self._tcp_to_block(snapshot), axis=1)
        lifted = (self._block_height(snapshot) > LIFT_HEIGHT) & (distance < GRASP_DISTANCE)
        return np.where(lifted, 2, np.where(distance < REACH_DISTANCE, 1, 0))

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate([self._tcp_to_block(snapshot), self._block_height(snapshot)[:, None]], axis=1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.observed_position(BLOCK)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate(
            [
                snapshot.observed_position(BLOCK),
                snapshot.rotation(BLOCK).reshape(-1, 9),
                snapshot.velocity(BLOCK),
                self._tcp_to_block(snapshot),
                snapshot.parameters["block.half_size"],
                snapshot.parameters["block.mass"][:, None],
            ],
            axis=1,
        )

    def _tcp_to_block(self, snapshot: Snapshot) -> np.ndarray:
        """From the tool to where the block's centre is known to be [m], world frame, [env, 3]."""
        return snapshot.observed_position(BLOCK) - snapshot.tcp_position

    def _block_height(self, snapshot: Snapshot) -> np.ndarray:
        """How far the block's centre is above where it rested [m], [env]."""
        return snapshot.observed_position(BLOCK)[:, 2] - snapshot.parameters["block.half_size"][:, 2]
