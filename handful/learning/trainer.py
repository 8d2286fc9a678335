"""The training loop (paper, section III): rollout, discriminator, hybrid reward, advantages, PPO."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handful.environment import EpisodeSummary, StateTree, VectorEnvironment
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.algorithms.cloning import DemonstrationLoss, clone
from handful.learning.algorithms.gail import Discriminator
from handful.learning.algorithms.ppo import PPO
from handful.learning.config.trainer import TrainerConfig
from handful.learning.data.advantage import explained_variance, generalized_advantage
from handful.learning.data.collector import RolloutCollector
from handful.learning.data.demonstrations import check_demonstrations
from handful.learning.data.reward import hybrid_reward
from handful.learning.data.rollout import Rollout
from handful.learning.episodes import EpisodeWindow
from handful.learning.models.averaging import PolicyAverage
from handful.learning.models.policy import Policy, PolicySizes
from handful.learning.models.value_function import ValueFunction
from handful.learning.parallel import TorchWorkers
from handful.learning.persistence.tensor_state import load_module, module_state
from handful.profiling import span
from handful.sequences import Sequences

_STATE = ("iteration", "steps", "seconds", "cloned", "ppo", "average", "discriminator", "collector", "environment")
"""What a saved trainer must hold."""

TRAINING_SEED_TAG = 1
"""Third entry of a training seed [seed, env, 1]; evaluation's have two, so that the two never meet."""


class Trainer:
    """Trains a policy in an environment; one call of ``iterate`` is one iteration of the paper's algorithm.

    On the CPU, with the same number of threads, the run depends on the configuration, the environment and the
    demonstrations alone, to the bit; so does a run that is saved, loaded into a new trainer and continued.
    """

    def __init__(
        self,
        config: TrainerConfig,
        environment: VectorEnvironment,
        demonstrations: Sequences | None = None,
        *,
        num_threads: int = 1,
    ) -> None:
        """Draw the networks and begin an episode in every simulation.

        The trainer resets the environment and then has it alone. Demonstrations are whole episodes, with images if the
        policy is to clone them; None where lambda is 0. No bit depends on ``num_threads``.

        Raises:
            ConfigurationError: demonstrations are missing or do not fit, or there is no such device or observation group.
        """
        self.config = config
        self.environment = environment
        spec = environment.spec
        if config.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigurationError(f"the device '{config.device}' is not there; the choices here are: cpu.")
        # Independent seeds for the parts, so that one part's draws do not move another's.
        seeds = [int(seed) for seed in np.random.SeedSequence(config.seed).generate_state(4)]
        workers = self._workers = TorchWorkers(num_threads)
        self.generator = torch.Generator().manual_seed(seeds[2])
        self.policy = Policy(config.policy, PolicySizes.of(spec, config.policy), seed=seeds[0]).to(config.device)
        separate = config.value_function.separate_rewards and config.imitation_weight > 0
        weights = [1.0 - config.imitation_weight, config.imitation_weight] if separate else [1.0]
        self._stream_weights = torch.tensor(weights, device=config.device)
        self.value_function = ValueFunction(config.value_function, spec, seed=seeds[1], num_streams=len(weights))
        self.value_function.to(config.device)
        self.average = PolicyAverage(self.policy, time=config.average_time)
        self.ppo = PPO(config.ppo, self.policy, self.value_function, generator=self.generator, workers=workers)
        self.discriminator: Discriminator | None = None
        groups = (*config.policy.groups, *config.value_function.groups)
        self.demonstrations = None if demonstrations is None else demonstrations.to(config.device)
        if config.imitation_weight > 0:
            self.discriminator = Discriminator(config.discriminator, spec, seed=seeds[3], device=config.device)
            groups += config.discriminator.groups
            expert = check_demonstrations(self.demonstrations, spec, groups=config.discriminator.groups)
            self._expert = self.discriminator.inputs(expert)[expert.mask]
        self.collector = RolloutCollector(
            environment,
            environment.reset(seeds=[[config.seed, env, TRAINING_SEED_TAG] for env in range(environment.num_envs)]),
            self.policy,
            num_steps=config.rollout_steps,
            groups=groups,
            outcome_frames=self.value_function.sees_pixels,
            workers=workers,
        )
        self._task_reward_scale = 1.0 / (max(spec.stage_rewards) or 1.0) if config.scale_task_reward else 1.0
        self.cloned = False
        """Whether the policy began by cloning demonstrations."""
        self.iteration, self.steps, self.seconds = 0, 0, 0.0
        self.ended_episodes: list[EpisodeSummary] = []
        """Those that ended in the last iteration."""
        self._episodes = EpisodeWindow(spec.stages)

    def clone(self, num_epochs: int | None = None) -> Iterator[dict[str, float]]:
        """Clone the demonstrations before the first iteration; it is done once the iterator has come to its end.

        It makes ``num_epochs`` passes, by default the configuration's, and yields after each what `cloning.clone` yields,
        and ``seconds``.
        """
        groups = self.config.policy.groups
        demonstrations = check_demonstrations(self.demonstrations, self.environment.spec, groups=groups, actions=True)
        start = time.perf_counter()
        for metrics in clone(
            self.policy,
            demonstrations,
            config=self.config.cloning,
            num_epochs=self.config.cloning.epochs if num_epochs is None else num_epochs,
            generator=self.generator,
            workers=self._workers,
            num_splits=self.ppo.num_splits,
        ):
            yield {**metrics, "seconds": time.perf_counter() - start}
        self.average.restart()
        self.cloned = True
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

        with span("discriminator"):
            metrics, imitation_reward = self._update_discriminator(rollout)
        task_reward = rollout.task_reward * self._task_reward_scale
        reward = hybrid_reward(
            task_reward=task_reward, imitation_reward=imitation_reward, imitation_weight=self.config.imitation_weight
        )
        separate = imitation_reward is not None and self.config.value_function.separate_rewards
        streams = [task_reward, imitation_reward] if separate else [reward]
        with span("advantage"):
            advantage, value = self._advantage(rollout, torch.stack(streams, dim=-1))
        with span("ppo"):
            metrics |= self.ppo.update(
                rollout,
                advantage=advantage @ self._stream_weights,
                value_target=advantage + value,
                steps=self.steps,
                **self._after_cloning(),
            )
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
        if imitation_reward is not None:
            metrics["imitation_reward"] = float(imitation_reward.mean())
        return {
            "iteration": float(self.iteration),
            "steps": float(self.steps),
            "seconds": self.seconds,
            "steps_per_second": num_steps / seconds,
            "rollout_seconds": rollout_seconds,
            "update_seconds": seconds - rollout_seconds,
            "task_reward": float(rollout.task_reward.mean()),
            "reward": float(reward.mean()),
            "policy_std": float(self.policy.log_std.detach().exp().mean()),
            "value_explained_variance": explained_variance(value, advantage + value),
            **metrics,
            **self._episodes.metrics(),
        }

    def _after_cloning(self) -> dict[str, Any]:
        """How PPO treats a policy that was cloned."""
        config = self.config.cloning
        if not self.cloned:
            return {}
        weight = config.weight * 0.5 ** (self.steps / config.half_life if config.half_life is not None else 0.0)
        freeze = self.steps < config.warmup_steps
        terms = []
        if weight > 0 and not freeze and self.demonstrations is not None:
            options = {"length": self.config.rollout_steps, "num_segments": config.num_segments, "weight": weight}
            terms.append(DemonstrationLoss(self.demonstrations, self.policy, **options))
        return {"terms": terms, "freeze_policy": freeze, "learning_rate_scale": config.learning_rate_scale}

    def _update_discriminator(self, rollout: Rollout) -> tuple[dict[str, float], Tensor | None]:
        """Metrics of the discriminator's update, and the imitation reward by the updated discriminator."""
        if self.discriminator is None:
            return {}, None
        inputs = self.discriminator.inputs(rollout.sequences)
        metrics = self.discriminator.update(policy=inputs.flatten(0, 1), expert=self._expert)
        solved = rollout.stage_after == len(self.environment.spec.stages) - 1
        return metrics, self.discriminator.reward(inputs, solved=solved)

    @torch.no_grad()
    def _advantage(self, rollout: Rollout, reward: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and V before each action, each [time, env, stream]."""
        self.value_function.observe(rollout.sequences)
        value, value_after = self.value_function(rollout.sequences), self.value_function.after(rollout.sequences)
        advantage = generalized_advantage(
            reward=reward,
            value=torch.cat([value, value_after[-1:]]),
            final_value=value_after,
            terminated=rollout.terminated[..., None],
            truncated=rollout.truncated[..., None],
            discount=self.config.ppo.discount,
            gae_lambda=self.config.ppo.gae_lambda,
        )
        for name, tensor in (("reward", reward), ("value", value), ("advantage", advantage)):
            self._check_finite(tensor, f"{name} of a step")
        return advantage, value

    def _check_parameters(self) -> None:
        modules = {"policy": self.policy, "value function": self.value_function, "discriminator": self.discriminator}
        for network, module in modules.items():
            for name, tensor in (module.state_dict() if module else {}).items():
                self._check_finite(tensor, f"parameter '{name}' of the {network}")

    def _check_finite(self, tensor: Tensor, name: str) -> None:
        if not torch.isfinite(tensor).all():
            raise TrainingError(f"iteration {self.iteration + 1}: the {name} is not a finite number.")

    def state_dict(self) -> StateTree:
        """All that a new trainer in a new environment needs to resume to the bit."""
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "cloned": self.cloned,
            "ppo": self.ppo.state_dict(),
            "average": module_state(self.average.policy),
            "discriminator": None if self.discriminator is None else self.discriminator.training_state(),
            "generator": self.generator.get_state().numpy().copy(),
            "collector": self.collector.state_dict(),
            "episodes": self._episodes.state_dict(),
            "environment": self.environment.state_dict(),
        }

    def load_networks(self, state: Any) -> None:
        """Begin with the networks, normalisers and optimisers of another run's ``state_dict``, and nothing else of it.

        A discriminator is taken over where both runs have one. See `load_state_dict` for what is refused.
        """
        _check_state(state, ("ppo", "discriminator"))
        self.ppo.load_state_dict(state["ppo"])
        self.average.restart()
        if self.discriminator is not None and state["discriminator"] is not None:
            self.discriminator.load_training_state(state["discriminator"])

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken, with the same configuration, demonstrations and number of simulations.

        Raises:
            DataError: this is no trainer's state, or its networks have other sizes.
            ConfigurationError: one of the two has a discriminator and the other has not, or the number of simulations
                differs.
        """
        _check_state(state, _STATE)
        num_saved, num_envs = len(state["collector"]["episode_start"]), self.environment.num_envs
        if num_saved != num_envs:
            raise ConfigurationError(
                f"the saved run has {num_saved} simulations and this one {num_envs}: resume it with {num_saved}."
            )
        if (state["discriminator"] is None) != (self.discriminator is None):
            raise ConfigurationError(
                "the saved run and this one differ in whether there is a discriminator, which is where the imitation "
                "weight is above 0: resume it with the imitation weight of the saved run."
            )
        self.iteration, self.steps, self.seconds = state["iteration"], state["steps"], state["seconds"]
        self.cloned = bool(state["cloned"])
        self.ppo.load_state_dict(state["ppo"])
        load_module(self.average.policy, state["average"])
        if self.discriminator is not None:
            self.discriminator.load_training_state(state["discriminator"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._episodes.load_state_dict(state["episodes"])
        self.collector.load_state_dict(state["collector"], self.environment.load_state_dict(state["environment"]))


def _check_state(state: Any, names: tuple[str, ...]) -> None:
    missing = set(names) - state.keys()
    if missing:
        raise DataError(f"the checkpoint is not one of a training run: it has no '{min(missing)}'.")
