"""A trained policy for one's own script: observations in, actions out; memory and the camera's rate are kept inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handful.environment import OBJECT_POSITIONS, PIXELS, ArraySpec, Observation, TimeStep
from handful.errors import ConfigurationError
from handful.learning.actors import PolicyActor
from handful.learning.models.policy import Policy
from handful.learning.persistence.policy_file import PolicyManifest


class TrainedPolicy:
    """A policy that acts by its mean action, in one episode or in several side by side.

    Call `reset` where an episode begins and `act` once every control step, `PolicyManifest.control_timestep` seconds apart.
    The policy remembers what it saw, and looks at a new image every `PolicyManifest.camera_period` control steps only, as
    it did in training: it does not matter whether the images in between are new or repeated.

    Attributes:
        manifest: What the policy's file says of it: its task, its observations with shapes and names, rates, training.
    """

    def __init__(self, network: Policy, manifest: PolicyManifest) -> None:
        """Act with a network, whose file says ``manifest``."""
        self.manifest = manifest
        self._actor = PolicyActor(network, manifest)
        self._ages: np.ndarray | None = None  # control steps since each episode began
        self._single = False

    def reset(self, done: Any = None) -> None:
        """Begin new episodes: everywhere, or where ``done`` is true, bool [env], or one bool for a single episode.

        Raises:
            ConfigurationError: ``done`` has another shape.
        """
        if done is None:
            self._ages = None
            self._actor.reset()
            return
        begins = np.atleast_1d(np.asarray(done, bool))
        if self._ages is not None:
            if begins.shape != self._ages.shape:
                raise ConfigurationError(
                    f"expected one bool for each of {len(self._ages)} episodes, got {begins.shape}."
                )
            self._ages[begins] = 0
        self._actor.reset(begins)

    @property
    def looks(self) -> bool:
        """Whether the next `act` looks at an image, in some episode; where not, the observation may lack ``pixels``."""
        if PIXELS not in self.manifest.observations:
            return False
        return self._ages is None or bool((self._ages % self.manifest.camera_period == 0).any())

    def act(self, observation: Mapping[str, Any] | TimeStep) -> np.ndarray:
        """The action for what is observed now: joint velocities in [-1, 1], as fractions of their limits.

        Args:
            observation: Observation groups by name, of one episode or of several on the first axis: ``pixels``, uint8
                [height, width, 3] or [env, height, width, 3], and ``proprioception``, float32 [entry] or [env, entry].
                The manifest names the entries; other groups are ignored. A time step of an environment is taken too; it
                says itself where its images are new.

        Returns:
            Float32 [action], or [env, action] where the observation is of several episodes.

        Raises:
            ConfigurationError: a group is missing, has another shape or type, or holds a number that is not finite, or
                the number of episodes has changed without a `reset`.
        """
        if isinstance(observation, TimeStep):
            return self._actor.act(observation)
        specs = self.manifest.observations
        single = self._is_single(observation)
        num_envs = 1 if single else len(observation[next(group for group in specs if group in observation)])
        ages = np.zeros(num_envs, np.int64) if self._ages is None else self._ages
        if self._ages is not None and (self._single, len(self._ages)) != (single, num_envs):
            raise ConfigurationError(
                f"expected observations of {_episodes(self._single, len(self._ages))}, as since the last reset, got "
                f"{_episodes(single, num_envs)}: call reset() first."
            )
        new = ages % self.manifest.camera_period == 0
        arrays = {
            group: _checked(group, spec, observation.get(group), None if single else num_envs)
            for group, spec in specs.items()
            if group != PIXELS or new.any()
        }
        if PIXELS in specs and PIXELS not in arrays:
            arrays[PIXELS] = np.zeros((num_envs, *specs[PIXELS].shape), np.uint8)  # not looked at
        arrays.setdefault(OBJECT_POSITIONS, np.zeros((num_envs, self.manifest.object_positions), np.float32))
        time_step = TimeStep.first(Observation(arrays), stage=np.zeros(num_envs, np.int64), pixels_updated=new)
        action = self._actor.act(time_step)
        self._ages, self._single = ages + 1, single
        return action[0] if single else action

    def _is_single(self, observation: Mapping[str, Any]) -> bool:
        if not isinstance(observation, Mapping):
            raise ConfigurationError(f"expected observation groups by name, got a {type(observation).__name__}.")
        for group, spec in self.manifest.observations.items():
            if group in observation:
                return np.ndim(observation[group]) == len(spec.shape)
        needed = ", ".join(self.manifest.observations)
        raise ConfigurationError(f"expected the observation groups {needed}, got {', '.join(observation) or 'none'}.")


def _checked(group: str, spec: ArraySpec, values: Any, num_envs: int | None) -> np.ndarray:
    """One observation group with the episodes on the first axis; ``num_envs`` is None for a single episode."""
    if values is None:
        raise ConfigurationError(f"expected the observation group '{group}', which is missing.")
    array = np.asarray(values)
    expected = spec.shape if num_envs is None else (num_envs, *spec.shape)
    if array.shape != expected:
        raise ConfigurationError(f"expected {group} of shape {expected}, got {array.shape}.")
    if group == PIXELS and array.dtype != np.uint8:
        raise ConfigurationError(f"expected {group} as uint8 from 0 to 255, got {array.dtype}.")
    if array.dtype.kind not in "fiu":
        raise ConfigurationError(f"expected {group} as numbers, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise ConfigurationError(f"expected finite numbers in {group}, got one that is not.")
    array = array.astype(spec.dtype, copy=False)
    return array[None] if num_envs is None else array


def _episodes(single: bool, num_envs: int) -> str:
    return "a single episode" if single else f"{num_envs} episodes"
