"""The discriminator of generative adversarial imitation learning and the reward it pays.

One convention, here and in every name: the discriminator is trained with ``labels_expert_is_one``, so that

    D(x) = sigmoid(logit(x)) = probability that x came from the expert

    r_gail = -log(1 - D(x)) = log(1 + exp(logit(x))) = softplus(logit(x))    (paper, section III-B)

which is positive everywhere and grows as x looks more like the expert's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handful.environment import PIXELS, EnvironmentSpec, StateTree
from handful.errors import ConfigurationError
from handful.learning.config.gail import DiscriminatorConfig
from handful.learning.models.layers import mlp
from handful.learning.models.normalization import RunningNormalizer
from handful.learning.models.policy import check_groups, join_groups, vector_size
from handful.learning.persistence.tensor_state import load_module, load_optimizer, module_state, optimizer_state
from handful.sequences import Sequences

_METRIC_NAMES = (
    "discriminator_loss",
    "discriminator_gradient_penalty",
    "discriminator_accuracy_expert",
    "discriminator_accuracy_policy",
)


class Discriminator(nn.Module):
    """Tells states of the expert from states of the policy, by object features alone unless configured otherwise.

    It judges the state that an action led to, as the reward of a transition is paid for where it ends.
    """

    def __init__(self, config: DiscriminatorConfig, spec: EnvironmentSpec, *, seed: int, device: str = "cpu") -> None:
        """Draw the weights from ``seed``; every later draw comes from a generator of its own, seeded alike."""
        super().__init__()
        self.config = config
        if PIXELS in config.groups:
            raise ConfigurationError("the discriminator reads vectors: expected groups other than pixels.")
        check_groups(spec, config.groups)
        size = vector_size(spec, config.groups) + (spec.action.shape[0] if config.use_actions else 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = mlp(size, config.hidden_sizes, 1)
        self.normalizer = RunningNormalizer(size)
        self.to(device)
        self.device = device
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)
        self.generator = torch.Generator().manual_seed(seed)
        self.replay = torch.zeros(config.replay_size, size, device=device)
        self.num_replayed = 0

    def logit(self, inputs: Float[Tensor, "*batch input"]) -> Float[Tensor, "*batch"]:
        """Log odds that the inputs came from the expert."""
        return self.network(self.normalizer(inputs))[..., 0]

    @torch.no_grad()
    def reward(
        self, inputs: Float[Tensor, "*batch input"], *, solved: Bool[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Imitation reward -log(1 - D), clipped at ``reward_clip``, and at least ``solved_reward`` where it is solved."""
        reward = F.softplus(self.logit(inputs)).clamp(max=self.config.reward_clip)
        return reward if solved is None else torch.where(solved, reward.clamp(min=self.config.solved_reward), reward)

    def inputs(self, sequences: Sequences) -> Float[Tensor, "time sequence input"]:
        """What the network sees of every step; actions as the environment clips them."""
        outcomes = join_groups(sequences.outcomes, self.config.groups)
        if not self.config.use_actions:
            return outcomes
        if sequences.actions is None:
            raise ConfigurationError(
                "the discriminator is to see actions, but the demonstrations hold none: switch use_actions off or "
                "give demonstrations with actions."
            )
        return torch.cat([outcomes, sequences.actions.clamp(-1.0, 1.0)], dim=-1)

    def update(self, *, policy: Float[Tensor, "sample input"], expert: Float[Tensor, "row input"]) -> dict[str, float]:
        """Take a few steps of gradient descent.

            L = E_expert[-log D] + E_policy[-log(1 - D)] + w E_expert[|d logit / d x|^2]

        The last term keeps the discriminator smooth around the expert (Mescheder et al. 2018, R1, eq. 9; Peng et al.
        2021, "AMP", eq. 8), x being the normalised input. ``policy`` and ``expert`` are ``inputs`` of this iteration's
        rollout and of all demonstrations. Returns metrics, averaged over the steps.
        """
        num_updates, size = self.config.updates_per_iteration, self.config.batch_size
        steps = [self._step(self._policy_batch(policy), self._draw(expert, size)) for _ in range(num_updates)]
        self._remember(policy)
        columns = torch.stack(steps).T.tolist()  # in one go: each number asked of a GPU waits for it
        means = [sum(value / num_updates for value in column) for column in columns]
        return dict(zip(_METRIC_NAMES, means, strict=True))

    def _step(self, policy: Tensor, expert: Tensor) -> Tensor:
        """One step of gradient descent; returns the values of `_METRIC_NAMES`."""
        self.normalizer.update(torch.cat([policy, expert]))
        normalized = self.normalizer(expert).requires_grad_()
        expert_logit = self.network(normalized)[..., 0]
        policy_logit = self.logit(policy)
        loss = F.softplus(-expert_logit).mean() + F.softplus(policy_logit).mean()
        if self.config.penalty_at == "expert":
            (gradient,) = torch.autograd.grad(expert_logit.sum(), normalized, create_graph=True)
        else:
            fraction = torch.rand(len(expert), 1, generator=self.generator).to(expert.device)
            between = torch.lerp(normalized.detach(), self.normalizer(policy), fraction).requires_grad_()
            (gradient,) = torch.autograd.grad(self.network(between).sum(), between, create_graph=True)
        penalty = gradient.square().sum(dim=-1).mean()
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.config.gradient_penalty * penalty).backward()
        self.optimizer.step()
        accuracies = (expert_logit > 0).float().mean(), (policy_logit < 0).float().mean()
        return torch.stack([loss.detach(), penalty.detach(), *accuracies])

    def _draw(self, rows: Tensor, num_samples: int) -> Tensor:
        index = torch.randint(rows.shape[0], (num_samples,), generator=self.generator)
        return rows[index.to(rows.device)]

    def _policy_batch(self, policy: Tensor) -> Tensor:
        num_old = self.config.batch_size // 2 if self.num_replayed else 0
        batch = self._draw(policy, self.config.batch_size - num_old)
        return torch.cat([batch, self._draw(self.replay[: self.num_replayed], num_old)]) if num_old else batch

    def _remember(self, policy: Tensor) -> None:
        """Fill the replay buffer; once full, overwrite random rows with half a batch of this rollout for each step."""
        size = self.config.replay_size
        if size == 0:
            return
        num_new = min(self.config.batch_size * self.config.updates_per_iteration // 2, size)
        rows = self._draw(policy, num_new)
        num_free = min(size - self.num_replayed, num_new)
        self.replay[self.num_replayed : self.num_replayed + num_free] = rows[:num_free]
        self.num_replayed += num_free
        index = torch.randperm(size, generator=self.generator)[: num_new - num_free]
        self.replay[index.to(self.replay.device)] = rows[num_free:]

    def training_state(self) -> StateTree:
        """Everything: weights, normaliser, optimiser, generator, replay buffer."""
        return {
            "module": module_state(self),
            "optimizer": optimizer_state(self.optimizer),
            "generator": self.generator.get_state().numpy(),
            "replay": self.replay[: self.num_replayed].cpu().numpy(),
        }

    def load_training_state(self, state: Any) -> None:
        """Resume where ``training_state`` was taken."""
        load_module(self, state["module"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        replay = torch.from_numpy(np.array(state["replay"]))
        self.num_replayed = len(replay)
        self.replay[: self.num_replayed] = replay.to(self.replay.device)
