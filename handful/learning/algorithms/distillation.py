"""Distillation: a student that sees pixels learns to act as a teacher that sees the physical state.

The student acts by itself from the first step, so that it learns where its own mistakes lead; the teacher says what it
would have done there (Ross et al. 2011, "DAgger").
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from handful.environment import StateTree
from handful.errors import ConfigurationError, DataError, TrainingError
from handful.learning.algorithms.cloning import shifted
from handful.learning.config.distillation import DistillationConfig
from handful.learning.data.rollout import Rollout
from handful.learning.models.policy import Policy, SequenceOutput
from handful.learning.parallel import ParallelGradient
from handful.learning.persistence.tensor_state import load_module, load_optimizer, module_state, optimizer_state
from handful.profiling import span
from handful.sequences import Sequences
from handful.workers import Workers

MINIMUM_TEACHER_STD = 0.05
"""Least deviation of a teacher by which errors are divided (our choice): one that is sure of itself is not followed at
the cost of all other actions."""


class Teacher:
    """A trained policy that sees the physical state and says what it would do."""

    def __init__(self, policy: Policy) -> None:
        """Take a policy without images and without a memory; a `ConfigurationError` refuses another."""
        if policy.sees_pixels or policy.config.recurrent:
            raise ConfigurationError(
                "expected a teacher that sees the physical state and has no memory, got a policy that "
                f"{'sees pixels' if policy.sees_pixels else 'is recurrent'}."
            )
        self.policy = policy.eval().requires_grad_(False)
        self.std: Float[Tensor, " action"] = policy.log_std.exp().clamp(min=MINIMUM_TEACHER_STD)
        """Standard deviations of its actions."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Observation groups that it reads."""
        return self.policy.config.groups

    @torch.no_grad()
    def actions(self, sequences: Sequences) -> Float[Tensor, "time sequence action"]:
        """What it would do at each step: its mean actions, as the robot executes them."""
        return self.policy.evaluate_sequence(sequences).mean.clamp(-1.0, 1.0)

    def error(self, mean: Float[Tensor, "*batch action"], actions: Float[Tensor, "*batch action"]) -> Float[Tensor, ""]:
        """Half the mean squared distance of actions from the teacher's, in its standard deviations."""
        return 0.5 * ((mean - actions) / self.std).square().mean()


class TeacherLoss:
    """A term of reinforcement's loss: the error of `Teacher.error` on the rollout's own steps."""

    name = "teacher_error"

    def __init__(self, teacher: Teacher, *, weight: float) -> None:
        """Weigh the error of a policy against what that teacher would have done."""
        self.weight = weight
        self._teacher = teacher

    def loss(self, output: SequenceOutput, batch: Rollout) -> Float[Tensor, ""]:
        """The error of the policy's means, in a rollout that holds the teacher's actions."""
        assert batch.teacher_actions is not None
        return self._teacher.error(output.mean, batch.teacher_actions)


class Distillation:
    """Updates a student from the teacher's actions along the student's own rollouts.

        L = E[|mean - a_teacher|^2 / (2 std_teacher^2)] + weight * error of the predicted object positions

    Batches are drawn from the latest rollouts. The deviations of the student's actions stay what they are.
    """

    def __init__(
        self,
        config: DistillationConfig,
        policy: Policy,
        teacher: Teacher,
        *,
        generator: torch.Generator,
        workers: Workers | None = None,
    ) -> None:
        """Begin with a fresh optimiser and an empty buffer; the generator, on the CPU, draws batches and shifts.

        ``workers`` compute the splits of a batch side by side; no bit depends on them.
        """
        self.config = config
        self.policy = policy
        self.teacher = teacher
        self._generator = generator
        self._buffer: collections.deque[Sequences] = collections.deque(maxlen=config.buffer_size)
        num_splits = config.num_splits if policy.log_std.device.type == "cpu" else 1
        self._gradient = ParallelGradient(policy, num_splits=num_splits, workers=workers or Workers(1))
        self._num_splits = num_splits
        self._optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)

    @property
    def groups(self) -> tuple[str, ...]:
        """What the teacher reads."""
        return self.teacher.groups

    @property
    def sees_outcome_frames(self) -> bool:
        """Nothing here looks at where an action led."""
        return False

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The student."""
        return {"policy": self.policy}

    def prepare(
        self, num_epochs: int | None = None, most_epochs: Callable[[int], float] = lambda done: math.inf
    ) -> Iterator[dict[str, float]]:
        """Nothing to prepare."""
        return iter(())

    def update(self, rollout: Rollout, *, steps: int) -> dict[str, float]:
        """Let the teacher label a rollout, keep it, and take gradient steps on batches of what is kept."""
        config = self.config
        with span("teacher"):
            labels = self.teacher.actions(rollout.sequences)
        everyone = torch.arange(rollout.num_envs, device=labels.device)
        # A copy, since the rollout's memory is written to again; of what the policy reads, with the labels as actions.
        vectors = {group: rollout.sequences.vectors[group] for group in self._vector_groups(rollout)}
        labeled = dataclasses.replace(rollout.sequences, vectors=vectors, outcomes={}, actions=labels)
        self._buffer.append(labeled.select(everyone))
        if rollout.sequences.frame_positions is not None:
            self.policy.position_normalizer.update(rollout.sequences.frame_positions)

        rate = config.learning_rate * (0.5 ** (steps / config.half_life) if config.half_life is not None else 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        rows = [self._step() for _ in range(config.updates_per_iteration)]
        metrics = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        return {**metrics, "learning_rate": rate}

    def _vector_groups(self, rollout: Rollout) -> list[str]:
        """Groups of a rollout that must be kept: the student's, or any one where it reads images alone."""
        groups = [group for group in self.policy.config.groups if group in rollout.sequences.vectors]
        return groups or [next(iter(rollout.sequences.vectors))]

    def _step(self) -> dict[str, float]:
        """One gradient step on sequences of one kept rollout; returns metrics."""
        config = self.config
        number = int(torch.randint(len(self._buffer), (), generator=self._generator))
        sequences = self._buffer[number]
        drawn = torch.randperm(sequences.num_sequences, generator=self._generator)[: config.batch_size]
        parts = drawn.to(sequences.device).chunk(self._num_splits)
        reach = config.image_shift
        shifts = torch.randint(-reach, reach + 1, (len(parts), 2), generator=self._generator).tolist()
        splits = [
            _Split(sequences, part, len(part) / len(drawn), (down, right))
            for part, (down, right) in zip(parts, shifts, strict=True)
        ]
        sums = torch.stack(self._gradient.accumulate(self._split_gradient, splits)).sum(dim=0).tolist()
        metrics = dict(zip(("distillation_error", "auxiliary_loss"), sums, strict=True))
        norm = float(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm))
        if not np.isfinite([norm, *sums]).all():
            raise TrainingError(f"the loss of distillation is {sums} and the norm of its gradient {norm}: not finite.")
        with span("adam"):
            self._optimizer.step()
        if not self.policy.sees_pixels:
            del metrics["auxiliary_loss"]
        return {**metrics, "policy_gradient_norm": norm}

    def _split_gradient(self, policy: Policy, split: _Split) -> Float[Tensor, " metric"]:
        """Leave the weighted gradient of a split in a replica; returns its weighted error and auxiliary loss."""
        with span("select"):
            batch = split.sequences.select(split.drawn)
            if batch.frames is not None and split.shift != (0, 0):
                batch.frames = shifted(batch.frames, split.shift)
        with span("forward"):
            output = policy.evaluate_sequence(batch)
            assert batch.actions is not None
            error = self.teacher.error(output.mean, batch.actions)
            auxiliary = torch.zeros_like(error)
            if output.object_positions is not None:
                assert batch.frame_positions is not None
                targets = policy.position_normalizer(batch.frame_positions)
                auxiliary = (output.object_positions - targets).square().mean()
        with span("backward"):
            (split.weight * (error + self.config.auxiliary_weight * auxiliary)).backward()
        return split.weight * torch.stack([error.detach(), auxiliary.detach()])

    def state_dict(self) -> StateTree:
        """The student, its optimiser and the rollouts that are kept."""
        buffer: StateTree = {str(number): _arrays(each) for number, each in enumerate(self._buffer)}
        student: StateTree = {
            "policy": module_state(self.policy),
            "optimizer": optimizer_state(self._optimizer),
            "buffer": buffer,
        }
        return {"distillation": student}

    def load_state_dict(self, state: Any) -> None:
        """Resume where ``state_dict`` was taken."""
        if "distillation" not in state:
            raise DataError("the checkpoint is not one of a student: it has no 'distillation'.")
        student = state["distillation"]
        load_module(self.policy, student["policy"])
        load_optimizer(self._optimizer, student["optimizer"])
        self._buffer.clear()
        device = self.policy.log_std.device
        self._buffer.extend(
            _sequences(student["buffer"][name]).to(device) for name in sorted(student["buffer"], key=int)
        )

    def load_networks(self, state: Any) -> None:
        """Begin with the policy that another run would save."""
        if "average" not in state:
            raise DataError("the checkpoint is not one of a training run: it has no 'average'.")
        load_module(self.policy, state["average"])


@dataclasses.dataclass(frozen=True)
class _Split:
    """A part of a batch, for one thread."""

    sequences: Sequences
    drawn: Tensor
    """Which of them."""
    weight: float
    """Its part of the batch."""
    shift: tuple[int, int]
    """Of its images, down and to the right [px]."""


def _arrays(sequences: Sequences) -> StateTree:
    """What `_sequences` makes sequences of."""

    def array(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: array(each) for name, each in value.items()}
        if isinstance(value, tuple):
            return {str(number): array(each) for number, each in enumerate(value)}
        return None if value is None else value.cpu().numpy().copy()

    return {field.name: array(getattr(sequences, field.name)) for field in dataclasses.fields(sequences)}


def _sequences(state: Any) -> Sequences:
    """Sequences of what `_arrays` gave."""

    def tensor(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensor(each) for name, each in value.items()}
        return None if value is None else torch.from_numpy(np.array(value))

    fields = {name: tensor(value) for name, value in state.items()}
    if fields["initial_state"] is not None:
        fields["initial_state"] = (fields["initial_state"]["0"], fields["initial_state"]["1"])
    return Sequences(**{"vectors": {}, "outcomes": {}, **fields})
