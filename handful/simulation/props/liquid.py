"""A liquid of many small balls."""

from __future__ import annotations

import functools

import mujoco
import numpy as np

from handful.simulation import scene
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics
from handful.simulation.props.mug import Mug, let_touch
from handful.simulation.props.prop import Prop, hsv_colors, yaw_matrix
from handful.simulation.randomization import Level, Parameters, ParameterSpec, nominal_parameters
from handful.simulation.snapshot import Snapshot

TIMESTEP = 0.005
"""Time step of the physics of a scene with a liquid [s], unless another is given: balls are light and small, and their
contacts stiff."""

NUM_BALLS = 32
"""Number of balls of a liquid, unless another is given."""

BALL_SHARES = (0.29, 0.30, 0.31, 0.32)
"""Radius of a ball as a fraction of the mug's inner radius, one for each settled heap."""

CALMING_TIME = 0.25
"""Time constant at which drag slows a free ball [s]. A ball spilled at 0.5 m/s stops after 12 cm; one that falls from
20 cm loses a quarter of its speed."""

_TOUCHES_BALLS, _ARM_TOUCHES = 4, 2
"""Bits of ``contype`` and ``conaffinity`` for contacts with balls and with the arm."""

_CONTACT_STEPS, _DAMPING_RATIO = 2.0, 1.0
"""Time constant [physics steps] and damping ratio of contacts with balls: as stiff as the time step allows, without a
bounce. At 5 ms the lowest balls of a heap overlap by up to a millimetre."""

_SETTLING_TIME, _SWIRL, _TURNS = 0.8, 0.25, 12.0
"""Duration of each of three phases of settling a heap in the nominal mug (drop, swirl, rest) [s]; initial slope of the
swirl; its turn in that duration [rad]. Without the swirl, a heap may balance on one ball and slide in a mug of a slightly
different shape."""


class Liquid(Prop):
    """Balls without friction and without spin. They begin in a mug; they flow, and drag brings them to rest.

    A ball is a point mass on three slide joints along the world's axes. It has half the degrees of freedom of a free body,
    and its position is its three entries of ``qpos``. Without friction, a contact is one row of the solver. A step of a
    full mug at rest takes 121 us of one core, 187 us with friction, 321 us with free bodies, 459 us with both (measured).

    Attributes:
        num_balls: Number of balls.
        timestep: Time step of the physics [s].
    """

    def __init__(self, name: str, mug: Mug, *, num_balls: int = NUM_BALLS, timestep: float = TIMESTEP) -> None:
        """A liquid of that name in that mug; its balls are ``NAME/number``. Those of lower numbers lie lower in the mug."""
        self.name = name
        self.num_balls = num_balls
        self.timestep = timestep
        self._mug = mug

    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """The heap, which decides the size of the balls; their colour and mass. Ranges are our choice."""
        low, high, nominal = (0.0, 0.8, 0.8), (1.0, 1.0, 1.0), (0.12, 1.0, 1.0)
        return (
            ParameterSpec.between(f"{self.name}.heap", 0.0, len(BALL_SHARES), level=Level.TASK),  # rounded down
            ParameterSpec.between(f"{self.name}.color_hsv", low, high, level=Level.TASK, nominal=nominal, looks=True),
            ParameterSpec.between(f"{self.name}.ball_mass", 0.0015, 0.0030, level=Level.TASK),
        )

    def add(self, spec: mujoco.MjSpec) -> None:
        """Add the nominal balls and set the time step that they need. Add first all props that they may touch."""
        spec.option.timestep = self.timestep
        nominal = nominal_parameters((*self.parameter_specs(), *self._mug.parameter_specs()))
        radius = float(self.ball_radius(nominal)[0])
        let_touch(spec, _TOUCHES_BALLS)
        for k in range(self.num_balls):
            place = np.array([0.004 * k, 0.0, 2.0 + 0.05 * k])
            ball = spec.worldbody.add_body(name=f"{self.name}/{k}", pos=place)
            for axis, at in zip(np.eye(3), place, strict=True):
                # ref makes qpos the position in the world
                ball.add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, ref=at)
            ball.add_geom(
                name=f"{self.name}/{k}",
                type=mujoco.mjtGeom.mjGEOM_SPHERE,
                size=(radius, 0.0, 0.0),
                mass=float(nominal[f"{self.name}.ball_mass"][0]),
                contype=_TOUCHES_BALLS | _ARM_TOUCHES,
                conaffinity=_TOUCHES_BALLS,
                condim=1,
                priority=2,  # no friction, whatever they touch
                solref=(_CONTACT_STEPS * self.timestep, _DAMPING_RATIO),
            )

    def apply(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write size, colour, mass and drag of the balls: ``geom_*``, ``body_*`` and ``dof_damping``."""
        model = physics.model
        geoms = [model.geom(f"{self.name}/{k}").id for k in range(self.num_balls)]
        bodies = [model.body(f"{self.name}/{k}").id for k in range(self.num_balls)]
        radius, mass = self.ball_radius(parameters)[:, None], parameters[f"{self.name}.ball_mass"][:, None]
        rows = np.ix_(ids, geoms)
        physics.field("geom_size")[(*rows, 0)] = radius
        physics.field("geom_rbound")[rows] = radius
        physics.field("geom_aabb")[(*rows, slice(3, 6))] = radius[..., None]
        physics.field("geom_rgba")[(*rows, slice(0, 3))] = hsv_colors(parameters[f"{self.name}.color_hsv"])[:, None]
        physics.field("body_mass")[np.ix_(ids, bodies)] = mass
        physics.field("body_inertia")[np.ix_(ids, bodies)] = (0.4 * mass * radius**2)[..., None]
        physics.field("dof_damping")[ids, self._dofs(model)] = mass / CALMING_TIME

    def put(
        self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray, *, yaw: np.ndarray | None = None
    ) -> None:
        """Write the settled balls into ``qpos``, where the mug stands already, turned by ``yaw`` if known [rad], [env]."""
        address = model.joint(self._mug.name).qposadr[0]
        position = qpos[:, address : address + 3]
        yaw = 2.0 * np.arctan2(qpos[:, address + 6], qpos[:, address + 3]) if yaw is None else yaw
        heaps = np.stack([self._settled(share) for share in BALL_SHARES])[self._heap(parameters)]  # [env, ball, 3]
        turn = yaw_matrix(yaw)
        radius = parameters[f"{self._mug.name}.inner_radius"][:, None, None]
        places = heaps * radius
        places[..., :2] = np.einsum("wij,wbj->wbi", turn, places[..., :2])
        floor = parameters[f"{self._mug.name}.floor"] - self._mug.rest_height(parameters)
        places[..., 2] += floor[:, None]
        qpos[:, self._entries(model)] = (places + position[:, None]).reshape(len(qpos), -1)

    def positions(self, physics: Physics) -> np.ndarray:
        """Centres of the balls [m], world frame, [env, ball, 3]."""
        return physics.qpos[:, self._entries(physics.model)].reshape(-1, self.num_balls, 3)

    def velocities(self, physics: Physics) -> np.ndarray:
        """Velocities of the balls [m/s], world frame, [env, ball, 3]."""
        return physics.qvel[:, self._dofs(physics.model)].reshape(-1, self.num_balls, 3)

    def ball_radius(self, parameters: Parameters) -> np.ndarray:
        """Radius of a ball [m], [env]."""
        return np.asarray(BALL_SHARES)[self._heap(parameters)] * parameters[f"{self._mug.name}.inner_radius"]

    def surface(self, parameters: Parameters) -> np.ndarray:
        """Height of the settled liquid over the mug's inner floor [m], [env]."""
        highest = np.array([self._settled(share)[:, 2].max() + share for share in BALL_SHARES])
        return highest[self._heap(parameters)] * parameters[f"{self._mug.name}.inner_radius"]

    @property
    def distribution(self) -> Observable:
        """Mean and standard deviation of the balls' positions [m], each clipped to the observed region."""

        def mean_and_spread(snapshot: Snapshot) -> np.ndarray:
            balls = self.positions(snapshot.physics).clip(*scene.OBSERVED_REGION)
            return np.concatenate([balls.mean(axis=1), balls.std(axis=1)], axis=1)

        axes = [f"{quantity}_{axis}" for quantity in ("mean", "spread") for axis in "xyz"]
        return Observable.vector("balls", mean_and_spread, axes)

    @property
    def mean_velocity(self) -> Observable:
        """Mean velocity of the balls [m/s]."""
        return Observable.vector("balls_velocity", lambda snapshot: self.velocities(snapshot.physics).mean(axis=1))

    @property
    def ball(self) -> Observable:
        """Radius [m] and mass [kg] of a ball."""

        def radius_and_mass(snapshot: Snapshot) -> np.ndarray:
            parameters = snapshot.parameters
            return np.column_stack([self.ball_radius(parameters), parameters[f"{self.name}.ball_mass"]])

        return Observable.vector("ball", radius_and_mass, ("radius", "mass"))

    def _settled(self, share: float) -> np.ndarray:
        """The settled heap of these balls, see `settled_heap`."""
        return settled_heap(share, num_balls=self.num_balls, timestep=self.timestep)

    def _heap(self, parameters: Parameters) -> np.ndarray:
        return np.clip(parameters[f"{self.name}.heap"].astype(np.int64), 0, len(BALL_SHARES) - 1)

    def _entries(self, model: mujoco.MjModel) -> slice:
        """Where the balls are in ``qpos``."""
        first = int(model.jnt_qposadr[model.body(f"{self.name}/0").jntadr[0]])
        return slice(first, first + 3 * self.num_balls)

    def _dofs(self, model: mujoco.MjModel) -> slice:
        """Where the balls are in ``qvel``."""
        first = int(model.body(f"{self.name}/0").dofadr[0])
        return slice(first, first + 3 * self.num_balls)


@functools.cache
def settled_heap(share: float, *, num_balls: int = NUM_BALLS, timestep: float = TIMESTEP) -> np.ndarray:
    """Balls at rest in a mug of inner radius 1 above the origin of its floor, [ball, 3].

    Simulates balls that drop into the nominal mug, three abreast, and settle. Without friction, whether a heap is at rest
    depends on its shape alone, so the heap is at rest in a mug of any size, but for the tenth of a millimetre by which
    contacts yield. ``share`` is the radius of a ball as a fraction of the mug's inner radius. Takes a tenth of a second; the
    result is deterministic.
    """
    mug = Mug("mug")
    liquid = Liquid("liquid", mug, num_balls=num_balls, timestep=timestep)
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1.0, 1.0, 0.1))
    mug.add(spec)
    liquid.add(spec)
    model = spec.compile()
    nominal = {name: values[0] for name, values in nominal_parameters(mug.parameter_specs()).items()}
    inner, half_height, floor = nominal["mug.inner_radius"], 0.5 * nominal["mug.height"], nominal["mug.floor"]
    radius = share * inner
    balls = [model.geom(f"liquid/{k}").id for k in range(num_balls)]
    model.geom_size[balls, 0] = model.geom_rbound[balls] = radius
    model.geom_aabb[balls, 3:] = radius
    model.dof_damping[liquid._dofs(model)] = model.body("liquid/0").mass / CALMING_TIME
    data = mujoco.MjData(model)
    layer, beside = np.divmod(np.arange(num_balls), 3)
    angle = 2.0 * np.pi / 3.0 * beside + layer  # turned by a radian from layer to layer
    height = floor + (1.0 + 2.1 * layer) * radius
    drop = np.stack([1.3 * radius * np.cos(angle), 1.3 * radius * np.sin(angle), height], axis=1)
    entries = liquid._entries(model)
    data.qpos[entries] = drop.ravel()
    for step in range(round(3.0 * _SETTLING_TIME / model.opt.timestep)):
        time = step * model.opt.timestep / _SETTLING_TIME  # dropped until 1, swirled until 2, at rest until 3
        lean = 9.81 * _SWIRL * (2.0 - time) * (1.0 < time < 2.0)
        model.opt.gravity[:2] = lean * np.cos(_TURNS * time), lean * np.sin(_TURNS * time)
        mujoco.mj_step(model, data)
    balls_at_rest = data.qpos[entries].reshape(-1, 3) - data.body("mug").xpos
    return (balls_at_rest + np.array([0.0, 0.0, half_height - floor])) / inner
