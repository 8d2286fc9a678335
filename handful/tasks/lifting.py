"""Block lifting: grasp a randomised block and lift it off the table (paper, section IV-B)."""

from __future__ import annotations

import colorsys

import mujoco
import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation import scene
from handful.simulation.cpu import BatchPhysics
from handful.simulation.randomization import Level, Parameter, World, box_inertia
from handful.tasks.task import Snapshot, Task

BLOCK = "block"

REACH_DISTANCE = 0.05
"""The tool has reached the block when it is this near its centre [m]: about where a grasp can close."""

LIFT_HEIGHT = 0.05
"""The block is lifted when its centre is this far above where it rested [m]: too high to be tipped or rolled there."""

GRASP_DISTANCE = 0.08
"""A lifted block counts only this near the tool [m]: held, not thrown."""


class BlockLifting(Task):
    """A box of random size, colour, mass and friction lies on the table, at a random place and yaw.

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

    def object_parameters(self) -> tuple[Parameter, ...]:
        """Ranges are ours: blocks that the hand can span, over the part of the table that camera and arm reach."""
        x, y = scene.WORKSPACE_CENTER
        return (
            Parameter.around("block.place", (x, y), (0.08, 0.12), level=Level.TASK),
            Parameter.around("block.yaw", 0.0, np.pi / 4, level=Level.TASK),
            Parameter.between("block.half_size", (0.020,) * 3, (0.028,) * 3, level=Level.TASK),
            Parameter.between(
                "block.color_hsv", (0.0, 0.6, 0.6), (1.0, 1.0, 1.0), level=Level.TASK, nominal=(0.0, 0.8, 0.8)
            ),
            Parameter.between("block.mass", 0.05, 0.15, level=Level.TASK),
            Parameter.between("block.friction", 0.8, 1.2, level=Level.FULL),
        )

    def add_props(self, spec: mujoco.MjSpec) -> None:
        body = spec.worldbody.add_body(name=BLOCK, pos=(*scene.WORKSPACE_CENTER, 0.024))
        body.add_freejoint(name=BLOCK)
        body.add_geom(
            name=BLOCK,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(0.024, 0.024, 0.024),
            mass=0.1,
            condim=4,  # torsional friction, so that a block pinched by three fingers does not spin
            priority=1,  # the block's friction rules its contacts, else MuJoCo takes the larger of the two
            friction=(1.0, 0.005, 0.0001),
        )

    def apply_objects(self, physics: BatchPhysics, ids: np.ndarray, worlds: World) -> None:
        """Write ``geom_size``, ``geom_aabb``, ``geom_rgba``, ``geom_friction``, ``body_mass`` and ``body_inertia``."""
        geom, body = physics.model.geom(BLOCK).id, physics.model.body(BLOCK).id
        physics.field("geom_size")[ids, geom] = worlds["block.half_size"]
        physics.field("geom_aabb")[ids, geom, 3:] = worlds["block.half_size"]
        physics.field("geom_rgba")[ids, geom, :3] = [colorsys.hsv_to_rgb(*hsv) for hsv in worlds["block.color_hsv"]]
        physics.field("geom_friction")[ids, geom, 0] = worlds["block.friction"]
        physics.field("body_mass")[ids, body] = worlds["block.mass"]
        physics.field("body_inertia")[ids, body] = box_inertia(worlds["block.mass"], worlds["block.half_size"])

    def place_objects(self, model: mujoco.MjModel, worlds: World, qpos: np.ndarray) -> None:
        address = model.joint(BLOCK).qposadr[0]
        qpos[:, address : address + 2] = worlds["block.place"]
        qpos[:, address + 2] = worlds["block.half_size"][:, 2]
        qpos[:, address + 3 : address + 7] = yaw_quaternion(worlds["block.yaw"])

    def stage(self, snapshot: Snapshot) -> np.ndarray:
        distance = np.linalg.norm(self._tcp_to_block(snapshot), axis=1)
        lifted = (self._block_height(snapshot) > LIFT_HEIGHT) & (distance < GRASP_DISTANCE)
        return np.where(lifted, 2, np.where(distance < REACH_DISTANCE, 1, 0))

    def object_features(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate([self._tcp_to_block(snapshot), self._block_height(snapshot)[:, None]], axis=1)

    def object_positions(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.position(BLOCK)

    def object_state(self, snapshot: Snapshot) -> np.ndarray:
        return np.concatenate(
            [
                snapshot.position(BLOCK),
                snapshot.rotation(BLOCK).reshape(-1, 9),
                snapshot.velocity(BLOCK),
                self._tcp_to_block(snapshot),
                snapshot.worlds["block.half_size"],
                snapshot.worlds["block.mass"][:, None],
            ],
            axis=1,
        )

    def _tcp_to_block(self, snapshot: Snapshot) -> np.ndarray:
        """From the tool to the block's centre [m], world frame, [env, 3]."""
        return snapshot.position(BLOCK) - snapshot.tcp_position

    def _block_height(self, snapshot: Snapshot) -> np.ndarray:
        """How far the block's centre is above where it rested [m], [env]."""
        return snapshot.position(BLOCK)[:, 2] - snapshot.worlds["block.half_size"][:, 2]
