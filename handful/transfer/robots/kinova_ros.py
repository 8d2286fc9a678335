"""The Jaco behind Kinova's ROS driver and rosbridge.

Topics are those of Kinova's ``kinova_driver`` (commit 924781d): joint angles come in radians, with the fingers' among them;
joint velocities go in degrees per second, 100 times a second. The driver takes no velocities of fingers beside those of
joints, so fingers are sent as goals of its action, seldom: each goal clears the arm's queue, and one that is replaced pauses
the arm for a moment. `handful.transfer.robots.kinova_sdk` moves fingers smoothly. No line here has run on an arm.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np

from handful.errors import RobotError
from handful.transfer.robots.cameras import Camera
from handful.transfer.robots.kinova import (
    FINGER_UNITS,
    NUM_ARM,
    PERIOD_S,
    TABLE,
    FingerRates,
    Obedience,
    finger_units,
    from_kinova,
    rates_from_kinova,
    to_kinova,
)
from handful.transfer.robots.repeater import Repeater
from handful.transfer.robots.robot import Clock, JointReading, Picture, SteadyClock
from handful.transfer.robots.rosbridge import Rosbridge

AHEAD_S = 0.5
"""A goal of the fingers is where they would be after so long at the commanded speed [s] (our choice)."""

GOAL_STEP, GOAL_PERIOD_S = 400.0, 0.25
"""A new goal is sent if it differs by so much [unit], and so long after the last one [s] (our choice)."""


class KinovaRosRobot:
    """A Jaco, and a camera."""

    name = "kinova-ros"

    def __init__(self, bridge: Rosbridge, camera: Camera | None = None, *, arm: str = "j2n6s300") -> None:
        """Listen to the driver of the arm with that name; nothing is sent to it before the first command.

        The connection and the camera are closed by `close`. A `RobotError` says that the connection is lost.
        """
        self.clock: Clock = SteadyClock()
        self._bridge, self._camera = bridge, camera
        self._names = [f"{arm}_{row.kinova}" for row in TABLE]
        driver = f"/{arm}_driver"
        self._velocity_topic, self._clear_service = f"{driver}/in/joint_velocity", f"{driver}/in/clear_trajectories"
        self._goal_topic = f"{driver}/fingers_action/finger_positions/goal"
        self._reading: JointReading | None = None
        self._finger_rates, self._obedience = FingerRates(), Obedience()
        self._goal, self._goal_at = np.full(3, np.nan), -np.inf
        self._repeater = Repeater(self._send, period=PERIOD_S, num_joints=len(TABLE))
        bridge.subscribe(f"{driver}/out/joint_state", "sensor_msgs/JointState", self._on_joints)
        bridge.advertise(self._velocity_topic, "kinova_msgs/JointVelocity")
        bridge.advertise(self._goal_topic, "kinova_msgs/SetFingersPositionActionGoal")

    def joints(self) -> JointReading | None:
        """See `handful.transfer.robots.robot.Robot`."""
        self._bridge.check()
        return self._reading

    def picture(self) -> Picture | None:
        """See `handful.transfer.robots.robot.Robot`."""
        return None if self._camera is None else self._camera.read()

    def command(self, velocities: np.ndarray) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        self._bridge.check()
        if self._reading is None:
            raise RobotError("the arm has said nothing of its joints.")
        self._obedience.check(time.monotonic(), self._reading.positions, velocities)
        self._repeater.command(velocities)

    def stop(self) -> None:
        """See `handful.transfer.robots.robot.Robot`; where no command was sent, nothing is."""
        if not self._repeater.begun:
            return
        self._repeater.stop()
        with contextlib.suppress(RobotError):
            self._bridge.call(self._clear_service)

    def close(self) -> None:
        """See `handful.transfer.robots.robot.Robot`."""
        self.stop()
        self._repeater.close()
        if self._camera is not None:
            self._camera.close()
        self._bridge.close()

    def _on_joints(self, message: dict[str, Any]) -> None:
        places = [message["name"].index(name) for name in self._names]
        angles = np.array([float(message["position"][place]) for place in places])
        rates = np.array([float(message["velocity"][place]) for place in places])
        if not (np.isfinite(angles).all() and np.isfinite(rates).all()):
            raise ValueError("a number that is not finite")
        now = time.monotonic()
        positions, velocities = from_kinova(angles), rates_from_kinova(rates)
        velocities[NUM_ARM:] = self._finger_rates.update(now, positions[NUM_ARM:])
        self._reading = JointReading(positions, velocities, now)

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
