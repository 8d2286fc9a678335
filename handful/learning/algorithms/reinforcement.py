"""Reinforcement and imitation learning (paper, section III): hybrid reward, advantages, PPO, and what cloning adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from handful.environment import EnvironmentSpec, StateTree
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.algorithms.cloning import DemonstrationLoss, clone
from handful.learning.algorithms.distillation import Teacher, TeacherLoss
from handful.learning.algorithms.gail import Discriminator
from handful.learning.algorithms.policy_loss import OutputTerm
from handful.learning.algorithms.ppo import PPO
from handful.learning.config.trainer import TrainerConfig
from handful.learning.data.advantage import explained_variance, generalized_advantage
from handful.learning.data.demonstrations import check_demonstrations
from handful.learning.data.reward import hybrid_reward
from handful.learning.data.rollout import Rollout
from handful.learning.models.policy import Policy
from handful.learning.models.value_function import ValueFunction
from handful.learning.persistence.tensor_state import load_module
from handful.profiling import span
from handful.sequences import Sequences
from handful.workers import Workers


class ReinforcementImitation:
    """PPO on the mixture of task reward and a discriminator's, from rollouts of a policy.

    A policy that was distilled can be held near its teacher by a term of the loss that fades away.
    """

    def __init__(
        self,
        config: TrainerConfig,
        spec: EnvironmentSpec,
        policy: Policy,
        demonstrations: Sequences | None,
        *,
        seeds: tuple[int, int],
        generator: torch.Generator,
        workers: Workers,
        teacher: Teacher | None = None,
    ) -> None:
        """Draw the value function from the first seed and the discriminator from the second.

        Demonstrations are whole episodes, with images if the policy is to clone them; None where lambda is 0.

        Raises:
            ConfigurationError: demonstrations are missing or do not fit, or there is no such observation group.
        """
        self.config = config
        self.policy = policy
        self.teacher = teacher if config.distillation.weight > 0 else None
        self._spec, self._generator, self._workers = spec, generator, workers
        separate = config.value_function.separate_rewards and config.imitation_weight > 0
        weights = [1.0 - config.imitation_weight, config.imitation_weight] if separate else [1.0]
        self._stream_weights = torch.tensor(weights, device=config.device)
        self.value_function = ValueFunction(config.value_function, spec, seed=seeds[0], num_streams=len(weights))
        self.value_function.to(config.device)
        self.ppo = PPO(config.ppo, policy, self.value_function, generator=generator, workers=workers)
        self.discriminator: Discriminator | None = None
        self.demonstrations = None if demonstrations is None else demonstrations.to(config.device)
        if config.imitation_weight > 0:
            self.discriminator = Discriminator(config.discriminator, spec, seed=seeds[1], device=config.device)
            expert = check_demonstrations(self.demonstrations, spec, groups=config.discriminator.groups)
            self._expert = self.discriminator.inputs(expert)[expert.mask]
        self._task_reward_scale = 1.0 / (max(spec.stage_rewards) or 1.0) if config.scale_task_reward else 1.0
        self.cloned = False
        """Whether the policy began by cloning demonstrations."""

    @property
    def groups(self) -> tuple[str, ...]:
        """What value function, discriminator and teacher read."""
        groups = self.config.value_function.groups
        if self.discriminator is not None:
            groups += self.config.discriminator.groups
        return groups + (self.teacher.groups if self.teacher else ())

    @property
    def sees_outcome_frames(self) -> bool:
        """Whether the value function reads images."""
        return self.value_function.sees_pixels

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Policy, value function, and the discriminator if there is one."""
        modules = {"policy": self.policy, "value function": self.value_function}
        return modules if self.discriminator is None else {**modules, "discriminator": self.discriminator}

    def prepare(
        self, num_epochs: int | None = None, most_epochs: Callable[[int], float] = lambda done: math.inf
    ) -> Iterator[dict[str, float]]:
        """Clone the demonstrations in ``num_epochs`` passes, by default the configuration's; see `cloning.clone`."""
        groups = self.config.policy.groups
        demonstrations = check_demonstrations(self.demonstrations, self._spec, groups=groups, actions=True)
        yield from clone(
            self.policy,
            demonstrations,
            config=self.config.cloning,
            num_epochs=self.config.cloning.epochs if num_epochs is None else num_epochs,
            generator=self._generator,
            workers=self._workers,
            num_splits=self.ppo.num_splits,
            most_epochs=most_epochs,
        )
        self.cloned = True

    def update(self, rollout: Rollout, *, steps: int) -> dict[str, float]:
        """Discriminator, hybrid reward, advantages, PPO: one iteration of the paper's algorithm after its rollout."""
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
                steps=steps,
                output_terms=self._near_teacher(rollout, steps),
                **self._after_cloning(steps),
            )
        if imitation_reward is not None:
            metrics["imitation_reward"] = float(imitation_reward.mean())
        return {
            "reward": float(reward.mean()),
            "value_explained_variance": explained_variance(value, advantage + value),
            **metrics,
        }

    def _after_cloning(self, steps: int) -> dict[str, Any]:
        """How PPO treats a policy that was cloned."""
        config = self.config.cloning
        if not self.cloned:
            return {}
        weight = config.weight * 0.5 ** (steps / config.half_life if config.half_life is not None else 0.0)
        freeze = steps < config.warmup_steps
        terms = []
        if weight > 0 and not freeze and self.demonstrations is not None:
            options = {"length": self.config.rollout_steps, "num_segments": config.num_segments, "weight": weight}
            terms.append(DemonstrationLoss(self.demonstrations, self.policy, **options))
        return {"terms": terms, "freeze_policy": freeze, "learning_rate_scale": config.learning_rate_scale}

    def _near_teacher(self, rollout: Rollout, steps: int) -> list[OutputTerm]:
        """The term that holds a distilled policy near its teacher, whose actions are written into the rollout."""
        if self.teacher is None:
            return []
        with span("teacher"):
            rollout.teacher_actions = self.teacher.actions(rollout.sequences)
        config = self.config.distillation
        decay = 0.5 ** (steps / config.weight_half_life) if config.weight_half_life is not None else 1.0
        return [TeacherLoss(self.teacher, weight=config.weight * decay)]

    def _update_discriminator(self, rollout: Rollout) -> tuple[dict[str, float], Tensor | None]:
        """Metrics of the discriminator's update, and the imitation reward by the updated discriminator."""
        if self.discriminator is None:
            return {}, None
        inputs = self.discriminator.inputs(rollout.sequences)
        metrics = self.discriminator.update(policy=inputs.flatten(0, 1), expert=self._expert)
        solved = rollout.stage_after == len(self._spec.stages) - 1
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
            if not torch.isfinite(tensor).all():
                raise TrainingError(f"the {name} of a step is not a finite number.")
        return advantage, value

    def state_dict(self) -> StateTree:
        """Networks, optimisers, and whether the policy was cloned."""
        return {
            "cloned": self.cloned,
            "ppo": self.ppo.state_dict(),
            "discriminator": None if self.discriminator is None else self.discriminator.training_state(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken; a `ConfigurationError` says that only one of the two imitates."""
        if "ppo" not in state:
            raise DataError("the checkpoint is not one of reinforcement: it has no 'ppo'.")
        if (state["discriminator"] is None) != (self.discriminator is None):
            raise ConfigurationError(
                "the saved run and this one differ in whether there is a discriminator, which is where the imitation "
                "weight is above 0: resume it with the imitation weight of the saved run."
            )
        self.cloned = bool(state["cloned"])
        self.ppo.load_state_dict(state["ppo"])
        if self.discriminator is not None:
            self.discriminator.load_training_state(state["discriminator"])

    def load_networks(self, state: Any) -> None:
        """Begin with the networks and optimisers of another run; of a student's run, with its policy.

        A discriminator is taken over where both runs have one.
        """
        if "distillation" in state:
            load_module(self.policy, state["average"])
            return
        for name in ("ppo", "discriminator"):
            if name not in state:
                raise DataError(f"the checkpoint is not one of a training run: it has no '{name}'.")
        self.cloned = bool(state.get("cloned", False))
        self.ppo.load_state_dict(state["ppo"])
        if self.discriminator is not None and state["discriminator"] is not None:
            self.discriminator.load_training_state(state["discriminator"])

    def load_judges(self, state: Any) -> None:
        """Begin with the value function and the discriminator of a teacher's run, whose ``state_dict`` this is."""
        self.ppo.load_value_function(state["ppo"])
        if self.discriminator is not None and state["discriminator"] is not None:
            self.discriminator.load_training_state(state["discriminator"])
