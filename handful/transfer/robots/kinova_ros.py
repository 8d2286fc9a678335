"""The Jaco behind Kinova's ROS driver and rosbridge.

Topics are those of Kinova's ``kinova_driver`` (commit 924781d): joint angles come in radians, with the fingers' among them;
joint velocities go in degrees per second, 100 times a second. The driver takes no velocities of fingers beside those of
joints, so fingers are sent as goals of its action, seldom: each goal clears the arm's queue, and one that is replaced pauses
the arm for a moment. `handful.transfer.robots.kinova_sdk` moves fingers smoothly. No line here has run on an arm.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from handful.transfer.robots.cameras import Camera
from handful.transfer.robots.kinova import FINGER_UNITS, TABLE, finger_units, to_kinova
from handful.transfer.robots.kinova_arm import KinovaArm
from handful.transfer.robots.rosbridge import Rosbridge

AHEAD_S = 0.5
"""A goal of the fingers is where they would be after so long at the commanded speed [s] (our choice)."""

GOAL_STEP, GOAL_PERIOD_S = 400.0, 0.25
"""A new goal is sent if it differs by so much [unit], and so long after the last one [s] (our choice)."""


class KinovaRosRobot(KinovaArm):
    """A Jaco by its ROS driver, and a camera."""

    name = "kinova-ros"

    def __init__(self, bridge: Rosbridge, camera: Camera | None = None, *, arm: str = "j2n6s300") -> None:
        """Listen to the driver of the arm with that name; nothing is sent to it before the first command.

        The connection and the camera are closed by `close`. A `RobotError` says that the connection is lost.
        """
        super().__init__(camera)
        self._bridge = bridge
        self._names = [f"{arm}_{row.kinova}" for row in TABLE]
        driver = f"/{arm}_driver"
        self._velocity_topic, self._clear_service = f"{driver}/in/joint_velocity", f"{driver}/in/clear_trajectories"
        self._goal_topic = f"{driver}/fingers_action/finger_positions/goal"
        self._goal, self._goal_at = np.full(3, np.nan), -np.inf
        bridge.subscribe(f"{driver}/out/joint_state", "sensor_msgs/JointState", self._on_joints)
        bridge.advertise(self._velocity_topic, "kinova_msgs/JointVelocity")
        bridge.advertise(self._goal_topic, "kinova_msgs/SetFingersPositionActionGoal")

    def _check(self) -> None:
        self._bridge.check()

    def _clear(self) -> None:
        self._bridge.call(self._clear_service)

    def _hang_up(self) -> None:
        self._bridge.close()

    def _on_joints(self, message: dict[str, Any]) -> None:
        places = [message["name"].index(name) for name in self._names]
        angles = np.array([float(message["position"][place]) for place in places])
        rates = np.array([float(message["velocity"][place]) for place in places])
        self._take(angles, rates)

    def _send(self, velocities: np.ndarray) -> None:
        arm, fingers = to_kinova(velocities)
        message = {f"joint{number}": float(rate) for number, rate in enumerate(arm, start=1)}
        self._bridge.publish(self._velocity_topic, {**message, "joint7": 0.0})
        self._send_fingers(fingers)

    def _send_fingers(self, rates: np.ndarray) -> None:
        assert self._reading is not None
        now = time.monotonic()
        goal = np.clip(finger_units(self._reading.positions) + AHEAD_S * rates, 0.0, FINGER_UNITS)
        first, stop = np.isnan(self._goal).any(), not rates.any()
        if (first and stop) or (now - self._goal_at < GOAL_PERIOD_S and not stop):
            return
        if first or np.abs(goal - self._goal).max() >= GOAL_STEP:
            self._goal, self._goal_at = goal, now
            fingers = {f"finger{number}": float(each) for number, each in enumerate(goal, start=1)}
            self._bridge.publish(self._goal_topic, {"goal": {"fingers": fingers}})
