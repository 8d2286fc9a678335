"""The twin's physics: the same arm and blocks as training's by their names and shapes, and other numbers everywhere."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import mujoco
import numpy as np

from handful.errors import ConfigurationError
from handful.simulation import scene
from handful.simulation.jaco import FINGER_TORQUE_LIMIT, JACO, VELOCITY_LIMITS
from handful.simulation.props.block import Block, box_inertia
from handful.simulation.snapshot import Snapshot
from handful.tasks.registry import make_task
from handful.tasks.task import Task
from handful.twin.laboratory import Laboratory, Texture, Transport

PHYSICS_TIMESTEP = 0.002
"""MuJoCo's time step [s]: finer than training's."""

COMMAND_HOLDS = 0.2
"""A command is forgotten after so long [s]: an arm that hears nothing stops."""

REFERENCE_LEASH = np.array([0.08] * 6 + [0.4] * 3)
"""How far the servos' reference may run ahead of a joint [rad]."""

FINGER_STIFFNESS, FINGER_DAMPING = 6.0, 1.0
"""Of the fingers' position loops [N m/rad, N m s/rad]."""

TRANSFERRED = ("block-lifting", "block-stacking")
"""Tasks that the twin can set up: those that the paper brought to its robot."""


class World:
    """One laboratory, with one arm and a task's blocks.

    Attributes:
        model: The model.
        data: Its state.
        reading: Joint state that has arrived last: positions, velocities and the time of arrival [s]; None before.
        frame: Positions ``qpos`` of the frame that has arrived last, and the time of arrival; None before.
    """

    def __init__(self, laboratory: Laboratory, task: str) -> None:
        if task not in TRANSFERRED:
            raise ConfigurationError(f"the twin cannot set up '{task}'; the choices are: {', '.join(TRANSFERRED)}.")
        self.laboratory = laboratory
        self.task = make_task(task)
        self.blocks = [prop for prop in self.task.props if isinstance(prop, Block)]
        self.model = build_model(laboratory, self.task)
        self.data = mujoco.MjData(self.model)
        self.begin({}, JACO.home, seed=0)

    def begin(self, places: dict[str, Any], arm: np.ndarray, *, seed: int) -> None:
        """Begin a trial: blocks at their places, x and y [m] and yaw [rad] by name, the arm at six joint angles [rad]."""
        self._generator = np.random.default_rng([97, seed])
        self._order = itertools.count()
        self._arriving: list[tuple[float, int, str, Any]] = []
        self.reading: tuple[np.ndarray, np.ndarray, float] | None = None
        self.frame: tuple[np.ndarray, float] | None = None
        self._commanded, self._commanded_at = np.zeros(9), -np.inf
        self._taken_up = np.zeros(9)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:6] = np.asarray(arm, float)
        self.data.qpos[6:9] = JACO.finger_open
        for block in self.blocks:
            x, y, yaw = places.get(block.name, (*block.place, 0.0))
            address = self.model.joint(block.name).qposadr[0]
            height = self.laboratory.blocks.half_size[2]
            self.data.qpos[address : address + 7] = (x, y, height, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        self._reference = self.data.qpos[:9].copy()
        mujoco.mj_forward(self.model, self.data)
        self._next = {"reading": 0.0, "frame": 0.0}
        self._highest_stage, self._held_since = 0, None
        self._count_stage()

    @property
    def time(self) -> float:
        """Since the trial began [s]."""
        return self.data.time

    def command(self, velocities: np.ndarray) -> None:
        """A command sets out for the arm; it may be lost."""
        self._travel("command", self.laboratory.commands, np.clip(velocities, -VELOCITY_LIMITS, VELOCITY_LIMITS))

    def stop(self) -> None:
        """Stand still at once: the arm's own brake, which no network is between."""
        self._arriving = [each for each in self._arriving if each[2] != "command"]
        heapq.heapify(self._arriving)
        self._commanded[:] = self._taken_up[:] = 0.0
        self._reference = self.data.qpos[:9].copy()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / PHYSICS_TIMESTEP)):
            self._measure()
            while self._arriving and self._arriving[0][0] <= self.time + 1e-9:
                self._arrive(*heapq.heappop(self._arriving))
            self._drive()
            mujoco.mj_step(self.model, self.data)
        self._count_stage()

    def referee(self) -> dict[str, Any]:
        """What a person beside the table sees: the stage, the highest one so far, and how long the top one has held [s]."""
        held = 0.0 if self._held_since is None else self.time - self._held_since
        return {"stage": self._stage, "highest_stage": self._highest_stage, "held": held, "time": self.time}

    def _measure(self) -> None:
        laboratory = self.laboratory
        if self.time >= self._next["reading"]:
            self._next["reading"] += 1.0 / laboratory.encoders.hz
            noise = self._generator.normal(size=(2, 9)) * [
                [laboratory.encoders.noise],
                [laboratory.encoders.velocity_noise],
            ]
            self._travel(
                "reading", laboratory.encoders.transport, np.stack([self.data.qpos[:9], self.data.qvel[:9]]) + noise
            )
        if self.time >= self._next["frame"]:
            self._next["frame"] += 1.0 / laboratory.camera.hz
            self._travel("frame", laboratory.camera.transport, self.data.qpos.copy())

    def _travel(self, kind: str, transport: Transport, content: Any) -> None:
        late, lost = self._generator.uniform(size=2)
        if lost >= transport.dropped:
            arrival = self.time + transport.latency + late * transport.jitter
            heapq.heappush(self._arriving, (arrival, next(self._order), kind, content))

    def _arrive(self, moment: float, order: int, kind: str, content: Any) -> None:
        if kind == "command":
            self._commanded, self._commanded_at = content, self.time
        elif kind == "reading":
            self.reading = (content[0], content[1], self.time)
        else:
            self.frame = (content, self.time)

    def _drive(self) -> None:
        """The position loops: the reference runs ahead by the commanded velocity, taken up with a lag."""
        wanted = self._commanded if self.time - self._commanded_at < COMMAND_HOLDS else np.zeros(9)
        self._taken_up += (wanted - self._taken_up) * min(1.0, PHYSICS_TIMESTEP / max(self.laboratory.servos.lag, 1e-6))
        positions = self.data.qpos[:9]
        ahead = self._reference + self._taken_up * PHYSICS_TIMESTEP - positions
        self._reference = positions + np.clip(ahead, -REFERENCE_LEASH, REFERENCE_LEASH)
        self.data.ctrl[:9] = self._reference

    def _count_stage(self) -> None:
        self._stage = int(self.task.stage(self._snapshot())[0])
        self._highest_stage = max(self._highest_stage, self._stage)
        if self._stage < len(self.task.stages) - 1:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = self.time

    def _snapshot(self) -> Snapshot:
        size = np.array([self.laboratory.blocks.half_size])
        physics: Any = _OneSimulation(self.model, self.data)
        return Snapshot(physics, {f"{block.name}.half_size": size for block in self.blocks})


class _OneSimulation:
    """What a snapshot reads of the physics, with one simulation on the first axis."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model = model
        for field in ("qpos", "qvel", "xpos", "xmat", "site_xpos", "site_xmat"):
            setattr(self, field, getattr(data, field)[None])


def build_model(laboratory: Laboratory, task: Task) -> mujoco.MjModel:
    """The laboratory's model of a task's scene."""
    spec = scene.build_scene()
    task.add_props(spec)
    spec.option.timestep = PHYSICS_TIMESTEP
    spec.visual.quality.shadowsize = 2048
    spec.visual.quality.offsamples = 4
    looks = laboratory.looks
    spec.visual.headlight.ambient = looks.ambient
    spec.visual.headlight.diffuse = (0.1, 0.1, 0.1)
    for geom, texture in ((scene.TABLE, looks.table), (scene.FLOOR, looks.floor), (scene.WALL, looks.wall)):
        _paint(spec, geom, texture)
    model = spec.compile()
    _set_dynamics(model, laboratory)
    _set_blocks(model, laboratory, task)
    _set_looks(model, laboratory)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _paint(spec: mujoco.MjSpec, geom: str, texture: Texture) -> None:
    patterns = {"flat": "FLAT", "checker": "CHECKER", "gradient": "GRADIENT"}
    spec.add_texture(
        name=f"twin_{geom}",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=getattr(mujoco.mjtBuiltin, f"mjBUILTIN_{patterns[texture.pattern]}"),
        rgb1=texture.first,
        rgb2=texture.second,
        width=256,
        height=256,
        mark=mujoco.mjtMark.mjMARK_RANDOM if texture.specks else mujoco.mjtMark.mjMARK_NONE,
        random=texture.specks,
        markrgb=texture.second,
    )
    material = spec.add_material(name=f"twin_{geom}", texrepeat=(texture.repeat, texture.repeat), specular=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"twin_{geom}"
    spec.geom(geom).material = f"twin_{geom}"
    spec.geom(geom).rgba = (1.0, 1.0, 1.0, 1.0)


def _set_dynamics(model: mujoco.MjModel, laboratory: Laboratory) -> None:
    servos, dynamics = laboratory.servos, laboratory.dynamics
    stiffness = np.array([servos.stiffness] * 6 + [FINGER_STIFFNESS] * 3)
    damping = np.array([servos.damping] * 6 + [FINGER_DAMPING] * 3)
    model.actuator_gainprm[:9, 0] = stiffness
    model.actuator_biasprm[:9, 1:3] = np.stack([-stiffness, -damping], axis=1)
    model.actuator_biastype[:9] = mujoco.mjtBias.mjBIAS_AFFINE
    model.actuator_ctrllimited[:9] = False
    model.actuator_forcerange[6:9] = np.array([-1.0, 1.0]) * FINGER_TORQUE_LIMIT * servos.grip
    model.dof_frictionloss[:9] *= dynamics.friction
    model.dof_damping[:9] *= dynamics.damping
    model.dof_armature[:9] *= dynamics.armature
    arm = [body for body in range(model.nbody) if model.body(body).name.startswith(JACO.prefix)]
    model.body_mass[arm] *= dynamics.mass
    model.body_inertia[arm] *= dynamics.mass
    model.body_gravcomp[arm] = dynamics.gravity_compensation


def _set_blocks(model: mujoco.MjModel, laboratory: Laboratory, task: Task) -> None:
    blocks = laboratory.blocks
    for prop in task.props:
        geom, body = model.geom(prop.name).id, model.body(prop.name).id
        model.geom_size[geom] = model.geom_aabb[geom, 3:] = blocks.half_size
        model.geom_rbound[geom] = np.linalg.norm(blocks.half_size)
        model.geom_rgba[geom, :3] = blocks.colors[prop.name]
        model.geom_friction[geom, 0] = blocks.friction
        model.geom_solref[geom] = (blocks.softness, 1.0)
        model.body_mass[body] = blocks.mass
        model.body_inertia[body] = box_inertia(np.array(blocks.mass), np.array(blocks.half_size))


def _set_looks(model: mujoco.MjModel, laboratory: Laboratory) -> None:
    looks, camera = laboratory.looks, laboratory.camera
    lamp = model.light(scene.LIGHT).id
    model.light_pos[lamp], model.light_diffuse[lamp], model.light_castshadow[lamp] = looks.lamp, looks.lamp_color, True
    for shade, materials in zip(looks.arm_shades, JACO.materials, strict=True):
        for material in materials:
            model.mat_rgba[model.material(material).id, :3] = shade
    lens = model.camera(scene.CAMERA).id
    model.cam_pos[lens], model.cam_fovy[lens] = camera.position, camera.fovy
    roll, turned = np.deg2rad(camera.roll_deg) / 2.0, np.zeros(4)
    mujoco.mju_mulQuat(
        turned, scene.look_at(camera.position, camera.target), np.array([np.cos(roll), 0, 0, np.sin(roll)])
    )
    model.cam_quat[lens] = turned
