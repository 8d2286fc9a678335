"""What every prop offers: its parameters, how it is added to a scene, how a draw is applied, and its observables."""

from __future__ import annotations

import abc
import colorsys

import mujoco
import numpy as np

from handful.geometry import yaw_quaternion
from handful.simulation.observable import Observable
from handful.simulation.physics.protocol import Physics
from handful.simulation.randomization import Parameters, ParameterSpec


class Prop(abc.ABC):
    """An object that a task puts on the table."""

    name: str
    """Its name. Its parameters are ``NAME.quantity``; names in the model begin with it."""

    @abc.abstractmethod
    def parameter_specs(self) -> tuple[ParameterSpec, ...]:
        """What an episode draws for it."""

    @abc.abstractmethod
    def add(self, spec: mujoco.MjSpec) -> None:
        """Add it to a scene, with nominal parameters."""

    @abc.abstractmethod
    def apply(self, physics: Physics, ids: np.ndarray, parameters: Parameters) -> None:
        """Write parameters, stacked over the simulations ``ids``, into its model fields."""

    @abc.abstractmethod
    def put(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Write where it begins an episode into ``qpos`` [env, nq], given stacked parameters."""

    def drawn(self, quantity: str) -> Observable:
        """The observable of a drawn parameter, for example ``block.drawn("mass")``.

        Raises:
            KeyError: the prop has no such parameter.
        """
        key = f"{self.name}.{quantity}"
        shape = {spec.name: spec.nominal.shape for spec in self.parameter_specs()}[key]
        name = f"{self.name}_{quantity}"
        if not shape:
            return Observable.scalar(name, lambda snapshot: snapshot.parameters[key])
        return Observable.vector(name, lambda snapshot: snapshot.parameters[key], "xyz"[: shape[0]])


class RigidProp(Prop):
    """A prop that is one free rigid body; the body and its joint have its name."""

    @abc.abstractmethod
    def rest_height(self, parameters: Parameters) -> np.ndarray:
        """Height of its centre when it stands on the table [m], [env]."""

    def put(self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray) -> None:
        """Stand it at ``NAME.place`` [m], turned by ``NAME.yaw`` [rad]."""
        place, yaw = parameters[f"{self.name}.place"], parameters[f"{self.name}.yaw"]
        self.stand(model, parameters, qpos, place=place, yaw=yaw)

    def stand(
        self, model: mujoco.MjModel, parameters: Parameters, qpos: np.ndarray, *, place: np.ndarray, yaw: np.ndarray
    ) -> None:
        """Write its upright pose, at a place on the table [m], [env, 2], with a yaw [rad], [env], into ``qpos``."""
        address = model.joint(self.name).qposadr[0]
        qpos[:, address : address + 2] = place
        qpos[:, address + 2] = self.rest_height(parameters)
        qpos[:, address + 3 : address + 7] = yaw_quaternion(yaw)

    @property
    def position(self) -> Observable:
        """Its centre [m], clipped to the observed region."""
        return Observable.vector(self.name, lambda snapshot: snapshot.observed_position(self.name))

    @property
    def rotation(self) -> Observable:
        """Its rotation matrix to the world, row by row."""
        return Observable.matrix(f"{self.name}_rotation", lambda snapshot: snapshot.rotation(self.name))

    @property
    def velocity(self) -> Observable:
        """Its linear velocity [m/s] in the world and its angular velocity [rad/s] in its own frame."""
        axes = ("x", "y", "z", "roll", "pitch", "yaw")
        return Observable.vector(f"{self.name}_velocity", lambda snapshot: snapshot.velocity(self.name), axes)


def from_tcp(prop: RigidProp) -> Observable:
    """From the tool point to a prop's centre [m], world frame."""
    return Observable.vector(
        f"tcp_to_{prop.name}", lambda snapshot: snapshot.observed_position(prop.name) - snapshot.tcp_position
    )


def offset(start: RigidProp, end: RigidProp, name: str | None = None) -> Observable:
    """From one prop's centre to another's [m], world frame; its name is ``START_to_END`` unless given."""
    return Observable.vector(
        name or f"{start.name}_to_{end.name}",
        lambda snapshot: snapshot.observed_position(end.name) - snapshot.observed_position(start.name),
    )


def hsv_colors(hsv: np.ndarray) -> np.ndarray:
    """Red, green and blue in [0, 1] of hue (a circle: 1 is 0 again), saturation and value, [..., 3]."""
    hsv = np.asarray(hsv)
    rgb = [colorsys.hsv_to_rgb(hue % 1.0, saturation, value) for hue, saturation, value in hsv.reshape(-1, 3)]
    return np.array(rgb).reshape(hsv.shape)


def yaw_matrix(yaw: np.ndarray) -> np.ndarray:
    """Rotations about z by angles [rad], [env], in the plane of the table, [env, 2, 2]."""
    return np.moveaxis(np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]), -1, 0)
