"""The tasks as Gymnasium environments, single and vector.

    import gymnasium
    import handful

    environment = gymnasium.make("handful/BlockLifting-v0", observation="pixels", randomization="full")
    environments = gymnasium.make_vec("handful/BlockLifting-v0", num_envs=64, observation="state")

Every episode has its task's length and ends there by truncation, success or not; it terminates only where the physics
diverged. ``info`` holds the ``stage`` of each step, and ``is_success`` where an episode ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from handful.environment import GROUPS, PHYSICAL_STATE, PIXELS, POLICY_GROUPS, TimeStep, on_host
from handful.errors import ConfigurationError, unknown_name
from handful.simulation.rendering.camera import Camera
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.tasks.registry import make_task

OBSERVATIONS = ("pixels", "state", "all")
"""What can be observed: a `Dict` of what the policy of the paper sees, a `Box` with the physical state, or a `Dict` of
every group, for a learner whose value function sees more than its policy."""

LIMIT = 100.0
"""Bound of every observed number but pixels [SI units], to which it is clipped: speeds beyond are of a simulation that
blows up, and Gymnasium asks for finite bounds."""

RENDER_SIZE = 256
"""Height and width of the view for people [px]."""

OF_THE_TASK = ("variant", "arm")
"""Settings that `handful.tasks.registry.make_task` takes."""

_OWN_SETTINGS = ("task", "num_envs", "pixels")
"""Arguments of `TaskEnvironment` that are not the user's to set here."""

RENDER_MODES = ["rgb_array"]

Observation = np.ndarray | dict[str, np.ndarray]


class _Simulations:
    """The simulations behind an environment, what is observed of them, and a view for people."""

    def __init__(
        self, task: str, num_envs: int, observation: str, render_mode: str | None, settings: dict[str, Any]
    ) -> None:
        if observation not in OBSERVATIONS:
            raise unknown_name("observation", observation, OBSERVATIONS)
        if render_mode not in (None, *RENDER_MODES):
            raise unknown_name("render mode", str(render_mode), RENDER_MODES)
        parameters = inspect.signature(TaskEnvironment).parameters
        choices = [*OF_THE_TASK, *(name for name in parameters if name not in _OWN_SETTINGS)]
        for name in settings:
            if name not in choices:
                raise unknown_name("setting", name, ["observation", "render_mode", *choices])
        made = make_task(task, **{name: settings.pop(name) for name in OF_THE_TASK if name in settings})
        self.environment = TaskEnvironment(made, num_envs=num_envs, pixels=observation != "state", **settings)
        self._view: Camera | None = None
        self._seeded = False
        self._groups = {"pixels": POLICY_GROUPS, "state": (PHYSICAL_STATE,), "all": GROUPS}[observation]
        boxes: dict[str, spaces.Space] = {}
        for group in self._groups:
            shape = self.environment.spec.observations[group].shape
            boxes[group] = spaces.Box(-LIMIT, LIMIT, shape, np.float32)
            if group == PIXELS:
                boxes[group] = spaces.Box(0, 255, shape, np.uint8)
        self._is_vector = observation == "state"
        self.observation_space = boxes[PHYSICAL_STATE] if self._is_vector else spaces.Dict(boxes)
        self.action_space = spaces.Box(-1.0, 1.0, self.environment.spec.action.shape, np.float32)

    def reset(self, seed: int | Sequence[int | None] | None, generator: np.random.Generator) -> TimeStep:
        """Begin new episodes; see `TaskVectorEnv.reset`. The first ones without a seed take it from the generator."""
        if seed is None and not self._seeded:
            seed = int(generator.integers(1 << 62))
        seeds = [seed + i for i in range(self.environment.num_envs)] if isinstance(seed, int) else seed
        if seeds is not None and any(s is None for s in seeds):
            raise ConfigurationError("expected a seed for every simulation, or none at all.")
        self._seeded = True
        return self.environment.reset(seeds=seeds)  # type: ignore[arg-type]

    def observe(self, groups: dict[str, np.ndarray]) -> Observation:
        """What is observed, [env, ...]; the arrays are the caller's."""
        clipped = {
            group: on_host(groups[group]).copy() if group == PIXELS else groups[group].clip(-LIMIT, LIMIT)
            for group in self._groups
        }
        return clipped[PHYSICAL_STATE] if self._is_vector else clipped

    def observe_one(self, groups: dict[str, np.ndarray], env: int) -> Observation:
        """What is observed of one simulation."""
        observed = self.observe({group: values[env : env + 1] for group, values in groups.items()})
        return {group: values[0] for group, values in observed.items()} if isinstance(observed, dict) else observed[0]

    def render(self) -> np.ndarray:
        """A view of every simulation, uint8 [env, RENDER_SIZE, RENDER_SIZE, 3]; its camera is made at the first call."""
        if self._view is None:
            self._view = make_camera(None, self.environment.physics, width=RENDER_SIZE, height=RENDER_SIZE)
        return self.environment.render(self._view)

    def close(self) -> None:
        """Stop the cameras' threads."""
        if self._view is not None:
            self._view.close()
            self._view = None
        self.environment.close()


class TaskEnv(gymnasium.Env):
    """One simulation of a task."""

    metadata = {"render_modes": RENDER_MODES, "render_fps": CONTROL_HZ}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self, task: str, *, observation: str = "pixels", render_mode: str | None = None, **settings: Any
    ) -> None:
        """Build the simulation of a task.

        Args:
            task: Name of the task.
            observation: What is observed, one of `OBSERVATIONS`.
            render_mode: One of `RENDER_MODES`, or None.
            settings: ``variant`` and ``arm``, as `handful.make` takes them, and those of
                `handful.tasks.environment.TaskEnvironment`: ``randomization``, ``camera_hz``, ``image_size``, ``horizon``,
                ``starts`` and so on.

        Raises:
            ConfigurationError: a name, rate or count is not possible.
        """
        self._simulations = _Simulations(task, 1, observation, render_mode, settings)
        self.render_mode = render_mode
        self.observation_space = self._simulations.observation_space
        self.action_space = self._simulations.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode; a seed decides this one and all that follow it."""
        super().reset(seed=seed)
        time_step = self._simulations.reset(seed, self.np_random)
        return self._simulations.observe_one(time_step.observation, 0), {"stage": int(time_step.stage[0])}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance one control step.

        Raises:
            ConfigurationError: the action has a wrong shape or is not finite.
        """
        if np.shape(action) != self.action_space.shape:
            raise ConfigurationError(f"expected an action of shape {self.action_space.shape}, got {np.shape(action)}.")
        time_step = self._simulations.environment.step(np.asarray(action)[None])
        info: dict[str, Any] = {"stage": int(time_step.stage[0])}
        groups = time_step.observation
        if time_step.final_observation is not None:
            groups = time_step.final_observation
            info["is_success"] = time_step.episodes[0].success
        observation = self._simulations.observe_one(groups, 0)
        terminated, truncated = bool(time_step.terminated[0]), bool(time_step.truncated[0])
        return observation, float(time_step.reward[0]), terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """A view for people, uint8 [RENDER_SIZE, RENDER_SIZE, 3]; None without a render mode."""
        return None if self.render_mode is None else self._simulations.render()[0]

    def close(self) -> None:
        """Stop the cameras' threads."""
        self._simulations.close()


class TaskVectorEnv(VectorEnv):
    """Many simulations of a task in one batch; simulation i with seed s is a `TaskEnv` with seed s + i, to the bit.

    An episode that ends is followed by the next one in the same step; ``infos["final_obs"]`` and ``infos["final_info"]``
    are of the one that ended.
    """

    metadata = {  # noqa: RUF012 (Gymnasium's own form)
        "render_modes": RENDER_MODES,
        "render_fps": CONTROL_HZ,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        task: str,
        *,
        num_envs: int = 1,
        observation: str = "pixels",
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        """Build the simulations; the arguments are those of `TaskEnv`."""
        self._simulations = _Simulations(task, num_envs, observation, render_mode, settings)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = self._simulations.observation_space
        self.single_action_space = self._simulations.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode in every simulation.

        The seeds are one for each, or one from which they count up; None keeps the present generators.

        Raises:
            ConfigurationError: there are not as many seeds as simulations.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        time_step = self._simulations.reset(seed, self.np_random)
        return self._simulations.observe(time_step.observation), self._infos(time_step)

    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every simulation one control step.

        Raises:
            ConfigurationError: the actions have a wrong shape or are not finite.
        """
        step = self._simulations.environment.step(actions)
        observation = self._simulations.observe(step.observation)
        return observation, step.reward, step.terminated, step.truncated, self._infos(step)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A view for people of each simulation, uint8 [RENDER_SIZE, RENDER_SIZE, 3]; None without a render mode."""
        return None if self.render_mode is None else tuple(self._simulations.render())

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the cameras' threads."""
        self._simulations.close()

    def _infos(self, time_step: TimeStep) -> dict[str, Any]:
        infos: dict[str, Any] = {"stage": time_step.stage, "_stage": np.ones(self.num_envs, bool)}
        for episode in time_step.episodes:
            assert time_step.final_observation is not None
            final_observation = self._simulations.observe_one(time_step.final_observation, episode.env)
            final_info = {"stage": episode.final_stage, "is_success": episode.success}
            infos = self._add_info(infos, {"final_obs": final_observation, "final_info": final_info}, episode.env)
        return infos
