"""The training loop: rollout, update, and the counters of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from handful.environment import EpisodeSummary, StateTree, VectorEnvironment
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.algorithms.algorithm import Algorithm
from handful.learning.algorithms.distillation import Distillation, Teacher
from handful.learning.algorithms.reinforcement import ReinforcementImitation
from handful.learning.config.trainer import TrainerConfig, check_device
from handful.learning.data.collector import RolloutCollector
from handful.learning.episodes import EpisodeWindow
from handful.learning.models.averaging import PolicyAverage
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.parallel import TorchWorkers
from handful.learning.persistence.tensor_state import load_module, module_state
from handful.learning.persistence.tree_check import check_form
from handful.profiling import span
from handful.sequences import Sequences

_STATE = ("iteration", "steps", "seconds", "average", "generator", "collector", "episodes", "environment")
"""What a saved trainer must hold besides its algorithm's own."""

TRAINING_SEED_TAG = 1
"""Third entry of a training seed [seed, env, 1]; evaluation's have two, so that the two never meet."""


class Trainer:
    """Trains a policy in an environment; one call of ``iterate`` is one rollout and the algorithm's updates on it.

    On the CPU, with the same number of threads, the run depends on the configuration, the environment and the
    demonstrations alone, to the bit; so does a run that is saved, loaded into a new trainer and continued.
    """

    def __init__(
        self,
        config: TrainerConfig,
        environment: VectorEnvironment,
        demonstrations: Sequences | None = None,
        *,
        teacher: Teacher | None = None,
        num_threads: int = 1,
    ) -> None:
        """Draw the networks and begin an episode in every simulation.

        The trainer resets the environment and then has it alone. Demonstrations are whole episodes, with images if the
        policy is to clone them; None where nothing imitates. No bit depends on ``num_threads``.

        Raises:
            ConfigurationError: demonstrations or the teacher are missing or do not fit, or there is no such device or
                observation group.
        """
        self.config = config
        self.environment = environment
        spec = environment.spec
        check_device(config.device)
        # Independent seeds for the parts, so that one part's draws do not move another's.
        seeds = [int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(4)]
        workers = TorchWorkers(num_threads)
        self.generator = torch.Generator().manual_seed(seeds[2])
        self.policy = Policy(config.policy, PolicySizes.of(spec, config.policy), seed=seeds[0]).to(config.device)
        self.average = PolicyAverage(self.policy, time=config.average_time)
        self.algorithm: Algorithm
        if config.algorithm == "distillation":
            if teacher is None:
                raise ConfigurationError("distillation needs a teacher: name the run of one.")
            self.algorithm = Distillation(
                config.distillation, self.policy, teacher, generator=self.generator, workers=workers
            )
        else:
            self.algorithm = ReinforcementImitation(
                *(config, spec, self.policy, demonstrations),
                seeds=(seeds[1], seeds[3]),
                generator=self.generator,
                workers=workers,
                teacher=teacher,
            )
        self.collector = RolloutCollector(
            environment,
            environment.reset(seeds=[[config.seed, env, TRAINING_SEED_TAG] for env in range(environment.num_envs)]),
            self.policy,
            num_steps=config.rollout_steps,
            groups=self.algorithm.groups,
            outcome_frames=self.algorithm.sees_outcome_frames,
            workers=workers,
        )
        self.prepared = False
        """Whether the algorithm has learned from demonstrations alone before the first iteration."""
        self.iteration, self.steps, self.seconds = 0, 0, 0.0
        self.ended_episodes: list[EpisodeSummary] = []
        """Those that ended in the last iteration."""
        self._episodes = EpisodeWindow(spec.stages)

    def prepare(self, num_epochs: int | None = None, *, max_seconds: float = math.inf) -> Iterator[dict[str, float]]:
        """Learn from demonstrations alone before the first iteration; done once the iterator has come to its end.

        It makes ``num_epochs`` passes, by default the configuration's, or as many as fit into ``max_seconds`` [s], but at
        least one, and yields after each the algorithm's metrics and ``seconds``.
        """
        start = time.perf_counter()

        def most_epochs(done: int) -> float:
            return done * max_seconds / (time.perf_counter() - start)

        for metrics in self.algorithm.prepare(num_epochs, most_epochs):
            yield {**metrics, "seconds": time.perf_counter() - start}
        self.average.restart()
        self.prepared = True
        self.seconds += time.perf_counter() - start

    def iterate(self) -> dict[str, float]:
        """One rollout and the updates on it; returns metrics, as `handful.learning.metrics.METRICS` defines them.

        A `TrainingError` says that a reward, a value, a loss or a parameter is not finite. The trainer is then of no more
        use; `handful.runs.failure.write_failure` keeps what leads to the error again.
        """
        start = time.perf_counter()
        with span("rollout"):
            rollout = self.collector.collect(generator=self.generator)
        rollout_seconds = time.perf_counter() - start
        try:
            metrics = self.algorithm.update(rollout, steps=self.steps)
        except TrainingError as error:
            raise TrainingError(f"iteration {self.iteration + 1}: {error}") from error
        with span("statistics"):
            if self.policy.sees_pixels:
                metrics["auxiliary_error_cm"] = 100.0 * self.policy.position_error(rollout.sequences, num_frames=64)
            # Last, because the actions of this rollout were chosen with the old statistics.
            self.policy.vector_normalizer.update(self.policy.join(rollout.sequences.vectors))
            self._check_parameters()

        self.ended_episodes = rollout.episodes
        self._episodes.add(rollout.episodes)
        self.iteration += 1
        num_steps = rollout.num_steps * rollout.num_envs
        self.average.update(iteration=self.iteration, num_steps=num_steps)
        self.steps += num_steps
        seconds = time.perf_counter() - start
        self.seconds += seconds
        return {
            "iteration": float(self.iteration),
            "steps": float(self.steps),
            "seconds": self.seconds,
            "steps_per_second": num_steps / seconds,
            "rollout_seconds": rollout_seconds,
            "update_seconds": seconds - rollout_seconds,
            "task_reward": float(rollout.task_reward.mean()),
            "policy_std": float(self.policy.log_std.detach().exp().mean()),
            **metrics,
            **self._episodes.metrics(),
        }

    def _check_parameters(self) -> None:
        for network, module in self.algorithm.modules.items():
            for name, tensor in module.state_dict().items():
                if not torch.isfinite(tensor).all():
                    raise TrainingError(
                        f"iteration {self.iteration + 1}: the parameter '{name}' of the {network} is not a finite number."
                    )

    def state_dict(self) -> StateTree:
        """All that a new trainer in a new environment needs to resume to the bit."""
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "prepared": self.prepared,
            "average": module_state(self.average.policy),
            "generator": self.generator.get_state().numpy().copy(),
            "collector": self.collector.state_dict(),
            "episodes": self._episodes.state_dict(),
            "environment": self.environment.state_dict(),
            **self.algorithm.state_dict(),
        }

    def load_networks(self, state: Any) -> None:
        """Begin with the networks of another run's ``state_dict``, and nothing else of it; see `load_state_dict`."""
        self.algorithm.load_networks(state)
        self.average.restart()

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken, with the same configuration, demonstrations and number of simulations.

        Raises:
            DataError: this is no trainer's state, or its networks have other sizes.
            ConfigurationError: one of the two has a discriminator and the other has not, or the number of simulations
                differs.
        """
        missing = set(_STATE) - state.keys()
        if missing:
            raise DataError(f"the checkpoint is not one of a training run: it has no '{min(missing)}'.")
        try:
            self._load(state)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise DataError(f"the checkpoint does not fit this run ({str(error)[:100]}).") from error

    def _load(self, state: Any) -> None:
        num_saved, num_envs = len(state["collector"]["episode_start"]), self.environment.num_envs
        if num_saved != num_envs:
            raise ConfigurationError(
                f"the saved run has {num_saved} simulations and this one {num_envs}: resume it with {num_saved}."
            )
        own = self.state_dict()
        if min(state["iteration"], state["steps"], state["seconds"]) < 0:
            raise DataError("the checkpoint is damaged: its counters are negative.")
        for name in _STATE:
            check_form(state[name], own[name], name)
        self.algorithm.load_state_dict(state)
        self.iteration, self.steps, self.seconds = state["iteration"], state["steps"], state["seconds"]
        self.prepared = bool(state.get("prepared", state.get("cloned", False)))
        load_module(self.average.policy, state["average"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._episodes.load_state_dict(state["episodes"])
        self.collector.load_state_dict(state["collector"], self.environment.load_state_dict(state["environment"]))
