"""A task, its physics and its camera as a `handful.environment.VectorEnvironment`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from handful.environment import (
    OBJECT_FEATURES,
    OBJECT_POSITIONS,
    PHYSICAL_STATE,
    PIXELS,
    PROPRIOCEPTION,
    TIME_LEFT,
    ArraySpec,
    EnvironmentSpec,
    Images,
    Observation,
    StartDistribution,
    StateTree,
    TimeStep,
    on_host,
)
from handful.errors import ConfigurationError, DataError, check_count
from handful.profiling import span
from handful.simulation import jaco, scene
from handful.simulation.observable import entry_names, observe
from handful.simulation.observation import ARM_SENSORS, ARM_STATE
from handful.simulation.physics.factory import make_physics
from handful.simulation.randomization import (
    Level,
    Parameters,
    apply_scene,
    check_parameters,
    parse_level,
    seeded_generator,
    stack_parameters,
)
from handful.simulation.rendering.camera import Camera, empty_images, images_of
from handful.simulation.rendering.factory import make_camera
from handful.simulation.snapshot import Snapshot
from handful.tasks.episodes import EpisodeCounters
from handful.tasks.registry import make_task
from handful.tasks.task import Task, compile_task

CONTROL_HZ = round(1.0 / scene.CONTROL_TIMESTEP)

CAMERA_RATES = (20, 10, 5)
"""Camera rates that divide the control rate [Hz]; 5 is the paper's own for transfer (recalled)."""

SUSTAINED_STEPS = CONTROL_HZ // 2
"""Success is sustained when the top stage held for half a second at the episode's end [control steps]."""


class TaskEnvironment:
    """N simulations of one task; see `handful.environment.VectorEnvironment` for the contract.

    Attributes:
        task: The task.
        physics: The simulations, for whoever may see everything: operators, recorders, viewers.
        worlds: Each simulation's drawn parameters, [env, ...].
    """

    def __init__(
        self,
        task: Task | str,
        *,
        num_envs: int,
        seed: int = 0,
        randomization: Level | str = Level.TASK,
        camera_hz: int = 5,
        image_size: int = 64,
        pixels: bool = True,
        renderer: str | None = None,
        starts: StartDistribution | None = None,
        horizon: int | None = None,
        staggered: bool = False,
        num_threads: int | None = None,
        backend: str = "cpu",
        device: str | None = None,
    ) -> None:
        """Build the simulations; the first ``reset`` begins the episodes.

        Args:
            task: A task or its name.
            num_envs: Number of simulations.
            seed: Seed of all draws; simulation i draws from the generator of ``[seed, i]``.
            randomization: How much varies from episode to episode.
            camera_hz: Rate of the camera [Hz], one of `CAMERA_RATES`; control runs at 20 Hz.
            image_size: Height and width of the image [px].
            pixels: Whether to cast images at all; without, the group ``pixels`` does not exist.
            renderer: Who draws the images, one of `handful.simulation.rendering.factory.RENDERERS`; None takes the faster.
            starts: Where episodes begin; None begins all of them in random starts.
            horizon: Length of an episode [control steps]; None is the task's own. A recording may run longer.
            staggered: Whether the first episodes after a reset end early, spread over the horizon, so that ever
                after some simulations are at every moment of an episode. Without, all run in step, and a learner's
                rollouts would hold beginnings alone, then ends alone. No summary tells of the shortened episodes.
            num_threads: Threads for physics and camera; None takes every core.
            backend: Where the physics runs, one of `handful.simulation.physics.factory.BACKENDS`.
            device: Warp's name of the backend's device; None is the CPU or the first GPU, see `make_physics`.

        Raises:
            ConfigurationError: a name, rate or count that cannot be.
        """
        self.task = make_task(task) if isinstance(task, str) else task
        if camera_hz not in CAMERA_RATES:
            choices = ", ".join(map(str, CAMERA_RATES))
            raise ConfigurationError(f"unknown camera rate {camera_hz} Hz; the choices are: {choices}.")
        self.level = parse_level(randomization)
        self.starts = starts
        self._staggered = staggered
        self.horizon = self.task.horizon if horizon is None else horizon
        check_count("a seed", seed, at_least=0)
        check_count("the length of an episode in control steps", self.horizon)
        check_count("the size of an image in pixels", image_size)
        self.parameter_specs = self.task.parameter_specs()
        model = compile_task(self.task)
        self.physics = make_physics(
            backend,
            model,
            num_envs=num_envs,
            control_timestep=scene.CONTROL_TIMESTEP,
            num_threads=num_threads,
            device=device,
        )
        self._camera: Camera | None = None
        if pixels:
            size, threads = image_size, num_threads
            self._camera = make_camera(renderer, self.physics, width=size, height=size, num_threads=threads)
        self._spec = self._make_spec(camera_hz, image_size)
        self._generators = [seeded_generator([seed, i]) for i in range(num_envs)]
        nominal = {parameter.name: parameter.nominal for parameter in self.parameter_specs}
        self.parameters = stack_parameters([nominal] * num_envs)
        blank = np.zeros((num_envs, image_size, image_size, 3), np.uint8)
        self._pixels: Images = blank if self._camera is None else images_of(self._camera, blank)
        self._episodes = EpisodeCounters(
            num_envs, horizon=self.horizon, top_stage=len(self.task.stages) - 1, sustained_steps=SUSTAINED_STEPS
        )
        self._observation: Observation | None = None
        self.num_diverged = 0

    @property
    def spec(self) -> EnvironmentSpec:
        """What the environment delivers and accepts."""
        return self._spec

    @property
    def num_envs(self) -> int:
        """Number of simulations."""
        return self.physics.num_envs

    @property
    def snapshot(self) -> Snapshot:
        """The physical state of all simulations now."""
        return Snapshot(self.physics, self.parameters)

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Begin a new episode in every simulation; see the contract."""
        if seeds is not None:
            if not isinstance(seeds, Sequence | np.ndarray | range) or len(seeds) != self.num_envs:
                given = len(seeds) if isinstance(seeds, Sequence | np.ndarray) else repr(seeds)
                raise ConfigurationError(f"expected {self.num_envs} seeds, one a simulation, got {given}.")
            self._generators = [seeded_generator(seed) for seed in seeds]
        self._begin_episodes(np.arange(self.num_envs))
        if self._staggered:
            self._episodes.stagger(self._spec.camera_period)
        self._look(np.ones(self.num_envs, bool))
        return self._first_time_step(np.ones(self.num_envs, bool))

    def restart(self, ids: np.ndarray, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Begin new episodes in the simulations ``ids`` alone, as a recorder does whose operator has finished.

        Args:
            ids: The simulations.
            seeds: One seed for each of them; None keeps their present generators.
        """
        if seeds is not None:
            for i, seed in zip(ids, seeds, strict=True):
                self._generators[i] = seeded_generator(seed)
        self._begin_episodes(ids)
        return self._first_time_step(self._look(self._due))

    def step(self, action: np.ndarray) -> TimeStep:
        """Advance one control step; ended episodes begin anew at once; see the contract."""
        if self._observation is None:
            raise ConfigurationError("expected reset() before the first step().")
        control = self._control(action)
        with span("physics"):
            diverged = self.physics.step(control)
        with span("stage"):
            stage = np.where(diverged, 0, self.task.stage(self.snapshot))
            reward = np.where(diverged, np.float32(0.0), self.task.reward(self.snapshot, stage))
        self._episodes.count(stage, reward)
        self.num_diverged += int(diverged.sum())
        truncated = self._episodes.over & ~diverged
        done = np.flatnonzero(diverged | truncated)
        final_observation, episodes = None, []
        if len(done):
            with span("observe"):
                final_observation = self._final_observation(diverged)
            whole = done[~self._episodes.shortened[done]]
            episodes = [self._episodes.summary(int(i), diverged=bool(diverged[i])) for i in whole]
            if self.starts is not None:
                for episode in episodes:
                    self.starts.report(episode)
            with span("begin episodes"):
                self._begin_episodes(done)
        observed_stage = self.task.stage(self.snapshot) if len(done) else stage
        pixels_updated = self._look(self._due)
        with span("observe"):
            self._observation = self._observe()
        return TimeStep(
            observation=Observation(self._observation),
            reward=reward.astype(np.float32),
            terminated=diverged,
            truncated=truncated,
            stage=stage,
            observed_stage=observed_stage,
            pixels_updated=pixels_updated,
            final_observation=final_observation,
            episodes=episodes,
        )

    def restore(self, ids: np.ndarray, parameters: Sequence[Parameters], states: np.ndarray) -> None:
        """Put the simulations ``ids`` into recorded states [len(ids), state_size] and parameters, to the bit.

        Raises:
            DataError: parameters or a state do not fit this task.
        """
        ids = np.asarray(ids)
        if ids.dtype.kind not in "iu" or len(ids) != len(parameters) or not ((ids >= 0) & (ids < self.num_envs)).all():
            raise DataError(
                f"expected as many simulations from 0 to {self.num_envs - 1} as worlds, got the simulations "
                f"{ids.tolist()} and {len(parameters)} worlds."
            )
        for each in parameters:
            check_parameters(self.parameter_specs, each)
        self._apply_parameters(ids, parameters)
        self.physics.set_state(ids, states)

    def state_dict(self) -> StateTree:
        """Everything needed to resume to the bit."""
        return {
            "physics": self.physics.get_state(),
            "parameters": {name: values.copy() for name, values in self.parameters.items()},
            "generators": json.dumps([generator.bit_generator.state for generator in self._generators]),
            "pixels": on_host(self._pixels).copy(),
            "episodes": dict(self._episodes.state_dict()),
            "num_diverged": self.num_diverged,
            "starts": self.starts.state_dict() if self.starts is not None else None,
        }

    def load_state_dict(self, state: StateTree) -> TimeStep:
        """Resume where ``state_dict`` was taken.

        Raises:
            DataError: the state is of another task or another number of simulations.
        """
        tree = cast("dict[str, Any]", state)
        if tree["physics"].shape != (self.num_envs, self.physics.state_size):
            raise DataError(
                f"the saved environment has states of shape {tree['physics'].shape}, "
                f"this one {(self.num_envs, self.physics.state_size)}."
            )
        ids = np.arange(self.num_envs)
        parameters = [{name: values[i] for name, values in tree["parameters"].items()} for i in ids]
        self.restore(ids, parameters, tree["physics"])
        for generator, saved in zip(self._generators, json.loads(tree["generators"]), strict=True):
            generator.bit_generator.state = saved
        self._pixels = tree["pixels"].copy() if self._camera is None else images_of(self._camera, tree["pixels"])
        self._episodes.load_state_dict(tree["episodes"])
        self.num_diverged = int(tree["num_diverged"])
        if (self.starts is None) != (tree["starts"] is None):
            raise DataError("the saved environment and this one differ in whether episodes begin from demonstrations.")
        if self.starts is not None:
            self.starts.load_state_dict(tree["starts"])
        return self._first_time_step(np.ones(self.num_envs, bool))

    def render(self, camera: Camera | None = None) -> np.ndarray:
        """An image of every simulation as it stands now, uint8 [env, height, width, 3], by another camera if given.

        Raises:
            ConfigurationError: the environment was built without pixels and no camera is given.
        """
        camera = camera or self._camera
        if camera is None:
            raise ConfigurationError("this environment has no camera: it was built with pixels=False.")
        images = empty_images(camera)
        camera.render(np.arange(self.num_envs), images)
        return on_host(images)

    def close(self) -> None:
        """Stop the camera's threads."""
        if self._camera is not None:
            self._camera.close()

    def _make_spec(self, camera_hz: int, image_size: int) -> EnvironmentSpec:
        names = {
            PROPRIOCEPTION: entry_names(ARM_SENSORS),
            PHYSICAL_STATE: entry_names((*ARM_STATE, *self.task.object_state)),
            TIME_LEFT: ("time_left",),
            OBJECT_FEATURES: entry_names(self.task.object_features),
            OBJECT_POSITIONS: entry_names(self.task.object_positions),
        }
        observations = {group: ArraySpec((len(entries),), "float32", entries) for group, entries in names.items()}
        if self._camera is not None:
            observations = {PIXELS: ArraySpec((image_size, image_size, 3), "uint8"), **observations}
        return EnvironmentSpec(
            task=self.task.name,
            observations=observations,
            action=ArraySpec((len(jaco.JOINTS),), "float32", tuple(name.split("/")[-1] for name in jaco.JOINTS)),
            stages=self.task.stages,
            stage_rewards=self.task.stage_rewards,
            horizon=self.horizon,
            control_timestep=scene.CONTROL_TIMESTEP,
            camera_period=CONTROL_HZ // camera_hz,
        )

    def _control(self, action: np.ndarray) -> np.ndarray:
        """Velocity commands [rad/s] of an action in [-1, 1]."""
        action = np.asarray(action)
        expected = (self.num_envs, len(jaco.JOINTS))
        if action.shape != expected:
            raise ConfigurationError(f"expected an action of shape {expected}, got {action.shape}.")
        if action.dtype.kind not in "fiu":
            raise ConfigurationError(f"expected an action of numbers, got {action.dtype}.")
        if not np.isfinite(action).all():
            raise ConfigurationError("expected finite actions in [-1, 1], got one that is not a number or infinite.")
        return np.clip(action, -1.0, 1.0) * jaco.VELOCITY_LIMITS

    def _begin_episodes(self, ids: np.ndarray) -> None:
        """Begin new episodes in the simulations ``ids``."""
        begins = [self.starts.sample(self._generators[i]) if self.starts else None for i in ids]
        parameters: list[Parameters] = [
            self.task.draw(self._generators[i], self.level) if start is None else start.parameters
            for i, start in zip(ids, begins, strict=True)
        ]
        self._apply_parameters(ids, parameters)
        drawn = np.array([start is None for start in begins])
        if drawn.any():
            self._place(ids[drawn])
        if not drawn.all():
            states = np.stack([start.state for start in begins if start is not None])
            self.physics.set_state(ids[~drawn], states)
        self._episodes.begin(ids, begins)

    def _apply_parameters(self, ids: np.ndarray, parameters: Sequence[Parameters]) -> None:
        stacked = stack_parameters(parameters)
        for name, values in stacked.items():
            self.parameters[name][ids] = values
        apply_scene(self.physics, ids, stacked)
        self.task.apply_objects(self.physics, ids, stacked)
        self.physics.update_constants(ids)

    def _place(self, ids: np.ndarray) -> None:
        """Put arm and objects of the simulations ``ids`` where their worlds say an episode begins."""
        parameters = {name: values[ids] for name, values in self.parameters.items()}
        qpos = np.tile(self.physics.model.qpos0, (len(ids), 1))
        qpos[:, : len(jaco.ARM_JOINTS)] = parameters["arm.start"]
        qpos[:, len(jaco.ARM_JOINTS) : len(jaco.JOINTS)] = parameters["arm.start_fingers"][:, None]
        self.task.place_objects(self.physics.model, parameters, qpos)
        self.physics.place(ids, qpos)

    @property
    def _due(self) -> np.ndarray:
        """Where the camera takes an image in this step, bool [env]."""
        return self._episodes.length % self._spec.camera_period == 0

    def _look(self, due: np.ndarray) -> np.ndarray:
        """Take the images that are due, bool [env]; returns where."""
        if self._camera is not None and due.any():
            with span("camera"):
                images = empty_images(self._camera)  # the last ones belong to the caller now
                if not due.all():
                    images[:] = cast("Any", self._pixels)  # both are arrays or both tensors
                self._camera.render(np.flatnonzero(due), images)
                self._pixels = images
        return due

    def _observe(self) -> Observation:
        snapshot = self.snapshot
        vectors = {
            PROPRIOCEPTION: observe(ARM_SENSORS, snapshot),
            PHYSICAL_STATE: observe((*ARM_STATE, *self.task.object_state), snapshot),
            TIME_LEFT: self._episodes.time_left[:, None],
            OBJECT_FEATURES: observe(self.task.object_features, snapshot),
            OBJECT_POSITIONS: observe(self.task.object_positions, snapshot),
        }
        observation = {group: values.astype(np.float32) for group, values in vectors.items()}
        if self._camera is not None:
            observation = {PIXELS: self._pixels, **observation}
        return Observation(observation)

    def _final_observation(self, diverged: np.ndarray) -> Observation:
        """The observation before ended episodes begin anew; where the physics blew up, the one before that."""
        assert self._observation is not None
        now = self._observe()
        for group, values in now.items():
            if diverged.any() and group != PIXELS:
                values[diverged] = self._observation[group][diverged]
        return now

    def _first_time_step(self, pixels_updated: np.ndarray) -> TimeStep:
        """The time step after a reset or a load: an observation, no reward yet."""
        self._observation = self._observe()
        nothing = np.zeros(self.num_envs, bool)
        stage = self.task.stage(self.snapshot)
        return TimeStep(
            observation=Observation(self._observation),
            reward=np.zeros(self.num_envs, np.float32),
            terminated=nothing,
            truncated=nothing.copy(),
            stage=stage,
            observed_stage=stage,
            pixels_updated=pixels_updated,
        )
