"""A task, its physics and its camera as a `handful.environment.VectorEnvironment`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from handful.environment import (
    ArraySpec,
    EnvironmentSpec,
    Observation,
    StartDistribution,
    StateTree,
    TimeStep,
    on_host,
)
from handful.errors import ConfigurationError, DataError, check_count
from handful.profiling import span
from handful.simulation import scene
from handful.simulation.physics.factory import make_physics
from handful.simulation.randomization import (
    Level,
    Parameters,
    check_parameters,
    nominal_parameters,
    parse_level,
    saved_parameters,
    seeded_generator,
    stack_parameters,
)
from handful.simulation.rendering.camera import Camera
from handful.simulation.rendering.factory import make_camera
from handful.simulation.snapshot import Snapshot
from handful.tasks.episodes import EpisodeCounters, report_ends
from handful.tasks.observer import Observer
from handful.tasks.registry import make_task
from handful.tasks.task import Task, apply_parameters, compile_task, start_parameters, start_positions

CONTROL_HZ = round(1.0 / scene.CONTROL_TIMESTEP)

CAMERA_RATES = (20, 10, 5)
"""Camera rates that divide the control rate [Hz]; 5 is believed to be the paper's for transfer."""


class TaskEnvironment:
    """N simulations of one task; see `handful.environment.VectorEnvironment` for the contract.

    Attributes:
        task: The task.
        physics: The simulations, for operators, recorders and viewers, which may see everything.
        parameters: Each simulation's drawn parameters, [env, ...].
        starts: Where episodes begin; None begins all of them in random starts.
        num_diverged: How often the physics of a simulation diverged.
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
        tool_state: bool = False,
        end_when_lost: bool = False,
        held_steps: int | None = None,
        fresh_looks: bool = False,
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
            pixels: Whether to draw images; without, the group ``pixels`` does not exist.
            renderer: See `make_camera`.
            starts: Where episodes begin; None begins all of them in random starts.
            horizon: Length of an episode [control steps]; None is the task's own. A recording may run longer.
            staggered: Whether the first episodes after a reset end early, spread over the horizon, so that from then on
                some simulations are at every moment of an episode. Otherwise all run in step, and a learner's rollouts
                hold beginnings alone, then ends alone. The shortened episodes have no summary.
            tool_state: Whether to deliver the group ``tool_state``.
            end_when_lost: Whether an episode terminates when an object has fallen off the table. Rewards are never negative,
                so a value of zero beyond is sound.
            fresh_looks: Whether an episode that begins in a recorded state draws its looks anew.
            held_steps: Success in a row that truncates an episode [control steps], see `EpisodeCounters`; None: never.
            num_threads: Threads for physics and camera; None takes every core.
            backend: Where the physics runs; see `make_physics`.
            device: See `make_physics`.

        Raises:
            ConfigurationError: a name, rate or count is not possible.
        """
        self.task = make_task(task) if isinstance(task, str) else task
        if camera_hz not in CAMERA_RATES:
            choices = ", ".join(map(str, CAMERA_RATES))
            raise ConfigurationError(f"unknown camera rate {camera_hz} Hz; the choices are: {choices}.")
        self.num_envs = num_envs
        self.level = parse_level(randomization)
        self.starts = starts
        self._staggered = staggered
        self.horizon = self.task.horizon if horizon is None else horizon
        check_count("a seed", seed, at_least=0)
        check_count("the length of an episode in control steps", self.horizon)
        check_count("the size of an image in pixels", image_size)
        self.parameter_specs = self.task.parameter_specs()
        self.physics = make_physics(
            backend,
            compile_task(self.task),
            num_envs=num_envs,
            control_timestep=scene.CONTROL_TIMESTEP,
            num_threads=num_threads,
            device=device,
        )
        drawing = {"width": image_size, "height": image_size, "num_threads": num_threads}
        camera = make_camera(renderer, self.physics, **drawing) if pixels else None
        top = len(self.task.stages) - 1
        self._episodes = EpisodeCounters(num_envs, horizon=self.horizon, top_stage=top, held_steps=held_steps)
        self._end_when_lost = end_when_lost
        self._fresh_looks = fresh_looks
        period = CONTROL_HZ // camera_hz
        observed = {"image_size": image_size, "camera_period": period, "tool_state": tool_state}
        self._observer, arm = Observer(self.task, self._episodes, camera, **observed), self.task.arm
        self.spec = EnvironmentSpec(
            task=self.task.name,
            observations=self._observer.specs(),
            action=ArraySpec((arm.num_joints,), "float32", tuple(name.split("/")[-1] for name in arm.all_joints)),
            stages=self.task.stages,
            stage_rewards=self.task.stage_rewards,
            horizon=self.horizon,
            control_timestep=scene.CONTROL_TIMESTEP,
            camera_period=period,
        )
        self._generators = [seeded_generator([seed, i]) for i in range(num_envs)]
        self.parameters = nominal_parameters(self.parameter_specs, num_envs)
        self.num_diverged = 0

    @property
    def snapshot(self) -> Snapshot:
        """The physical state of all simulations now."""
        return Snapshot(self.physics, self.parameters, self.task.arm)

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Begin a new episode in every simulation; see the contract."""
        if seeds is not None:
            if not isinstance(seeds, Sequence | np.ndarray | range) or len(seeds) != self.num_envs:
                given = len(seeds) if isinstance(seeds, Sequence | np.ndarray) else repr(seeds)
                raise ConfigurationError(f"expected {self.num_envs} seeds, one a simulation, got {given}.")
            self._generators = [seeded_generator(seed) for seed in seeds]
        self._begin_episodes(np.arange(self.num_envs))
        if self._staggered:
            self._episodes.stagger(self.spec.camera_period)
        return self._first_time_step(self._observer.take_images())

    def restart(self, ids: np.ndarray, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Begin new episodes in the simulations ``ids`` alone; without a seed for each they keep their generators."""
        if seeds is not None:
            for i, seed in zip(ids, seeds, strict=True):
                self._generators[i] = seeded_generator(seed)
        self._begin_episodes(ids)
        return self._first_time_step(self._observer.take_images())

    def step(self, action: np.ndarray) -> TimeStep:
        """Advance one control step; ended episodes begin anew at once; see the contract."""
        if self._observer.latest is None:
            raise ConfigurationError("expected reset() before the first step().")
        control = self.task.arm.velocity_commands(action, self.num_envs)
        with span("physics"):
            diverged = self.physics.step(control)
        snapshot = self.snapshot
        with span("stage"):
            stage = np.where(diverged, 0, self.task.stage(snapshot))
            reward = np.where(diverged, np.float32(0.0), self.task.reward(snapshot, stage)).astype(np.float32)
        self._episodes.count(stage, reward)
        self.num_diverged += int(diverged.sum())
        terminated = diverged | self.task.lost(snapshot) if self._end_when_lost else diverged
        truncated = self._episodes.over & ~terminated
        done = np.flatnonzero(terminated | truncated)
        final_observation, episodes = None, []
        if len(done):
            with span("observe"):
                final_observation = self._observer.final_observation(snapshot, diverged)
            episodes = self._episodes.summaries(done, diverged, self.task.score(snapshot, stage))
            if self.starts is not None and episodes:
                states, parameters = self.physics.get_state(), self.parameters
                report_ends(self.starts, episodes, states, parameters, terminated=terminated, stage=stage)
            with span("begin episodes"):
                self._begin_episodes(done)
            snapshot = self.snapshot
        pixels_updated = self._observer.take_images()
        with span("observe"):
            observation = self._observer.observe(snapshot)
        return TimeStep(
            observation=observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            stage=stage,
            observed_stage=self.task.stage(snapshot) if len(done) else stage,
            pixels_updated=pixels_updated,
            final_observation=final_observation,
            episodes=episodes,
        )

    def restore(self, ids: np.ndarray, parameters: Sequence[Parameters], states: np.ndarray) -> None:
        """Put the simulations ``ids`` into recorded states [len(ids), state_size] and parameters; a DataError refuses."""
        ids = np.asarray(ids)
        if ids.dtype.kind not in "iu" or len(ids) != len(parameters) or not ((ids >= 0) & (ids < self.num_envs)).all():
            raise DataError(
                f"expected as many simulations from 0 to {self.num_envs - 1} as parameters, got the "
                f"simulations {ids.tolist()} and parameters of {len(parameters)}."
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
            "pixels": on_host(self._observer.pixels).copy() if self._observer.camera is not None else None,
            "episodes": dict(self._episodes.state_dict()),
            "num_diverged": self.num_diverged,
            "starts": self.starts.state_dict() if self.starts is not None else None,
        }

    def load_state_dict(self, state: StateTree) -> TimeStep:
        """Resume where ``state_dict`` was taken; a DataError says that the task or the number of simulations is another."""
        tree = cast("dict[str, Any]", state)
        parameters = saved_parameters(self.task.recorded_parameter_specs(), tree["parameters"], len(tree["physics"]))
        self.restore(np.arange(self.num_envs), parameters, tree["physics"])
        for generator, saved in zip(self._generators, json.loads(tree["generators"]), strict=True):
            generator.bit_generator.state = saved
        if self._observer.camera is not None:
            self._observer.load_pixels(tree["pixels"])
        self._episodes.load_state_dict(tree["episodes"])
        self.num_diverged = int(tree["num_diverged"])
        if (self.starts is None) != (tree["starts"] is None):
            raise DataError("the saved environment and this one differ in whether episodes begin from demonstrations.")
        if self.starts is not None:
            self.starts.load_state_dict(tree["starts"])
        return self._first_time_step(np.ones(self.num_envs, bool))

    def observe(self) -> Observation:
        """What is observed of the simulations as they stand, without the image that is due."""
        return self._observer.observe(self.snapshot)

    def render(self, camera: Camera | None = None) -> np.ndarray:
        """An image of every simulation as it stands now, uint8 [env, height, width, 3]; see `Observer.render`."""
        return self._observer.render(camera)

    def close(self) -> None:
        """Stop the camera's threads."""
        if self._observer.camera is not None:
            self._observer.camera.close()

    def _begin_episodes(self, ids: np.ndarray) -> None:
        """Begin new episodes in the simulations ``ids``."""
        begins = [self.starts.sample(self._generators[i]) if self.starts else None for i in ids]
        parameters = [
            start_parameters(self.task, start, self.level, self._generators[i], fresh_looks=self._fresh_looks)
            for i, start in zip(ids, begins, strict=True)
        ]
        self._apply_parameters(ids, parameters)
        drawn = np.array([start is None or start.state is None for start in begins])
        if drawn.any():
            stacked = {name: values[ids[drawn]] for name, values in self.parameters.items()}
            self.physics.place(ids[drawn], start_positions(self.task, self.physics.model, stacked))
        if not drawn.all():
            states = np.stack([start.state for start in begins if start and start.state is not None])
            self.physics.set_state(ids[~drawn], states)
        self._episodes.begin(ids, begins)

    def _apply_parameters(self, ids: np.ndarray, parameters: Sequence[Parameters]) -> None:
        stacked = stack_parameters(parameters)
        for name, values in stacked.items():
            self.parameters[name][ids] = values
        apply_parameters(self.task, self.physics, ids, stacked)

    def _first_time_step(self, pixels_updated: np.ndarray) -> TimeStep:
        stage = self.task.stage(self.snapshot)
        return TimeStep.first(self._observer.observe(self.snapshot), stage=stage, pixels_updated=pixels_updated)
