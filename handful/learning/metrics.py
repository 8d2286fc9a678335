"""What a run reports: every metric with its definition, and the files that they are written to."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import pathlib
from typing import TYPE_CHECKING

from handful.environment import EnvironmentSpec
from handful.errors import DataError, StorageError
from handful.storage import write_atomically

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number that an iteration reports."""

    name: str
    """Column in the CSV and tag in TensorBoard; ``{stage}`` stands for each stage but the first."""
    unit: str
    """Unit, or 1."""
    definition: str
    """What it is."""


WINDOW = 100
"""Episodes over which rates and returns are averaged."""

METRICS = (
    Metric("iteration", "1", "Iterations (a rollout and the updates on it) since the run began."),
    Metric("steps", "control steps", "Control steps in all simulations since the run began."),
    Metric("seconds", "s", "Training time since the run began, without what lies between two iterations."),
    Metric("steps_per_second", "1/s", "Control steps of this iteration by its time."),
    Metric("rollout_seconds", "s", "Time of this iteration's rollout: simulation, camera and the policy's actions."),
    Metric(
        "update_seconds", "s", "Time of this iteration's updates: discriminator, advantages, policy, value function."
    ),
    Metric("success_rate_random_start", "1", f"Sustained success in the last {WINDOW} episodes from random starts."),
    Metric("return_random_start", "reward", f"Mean task return of the last {WINDOW} episodes from random starts."),
    Metric("return_demo_start", "reward", f"Mean task return of the last {WINDOW} episodes from demonstration states."),
    Metric("stage_rate/{stage}", "1", f"Reached this stage or a later one, last {WINDOW} episodes from random starts."),
    Metric("episodes", "1", "Episodes that have ended since the run began."),
    Metric("diverged_episodes", "1", "Episodes that ended because the physics blew up, since the run began."),
    Metric("task_reward", "reward/step", "Mean task reward of this rollout, before it is weighed with lambda."),
    Metric("imitation_reward", "reward/step", "Mean -log(1 - D) of this rollout, before it is weighed with lambda."),
    Metric("reward", "reward/step", "Mean hybrid reward of this rollout: what PPO maximises."),
    Metric("kl", "nat", "KL(old || new policy) over the last epoch, each minibatch before its own step."),
    Metric("kl_weight", "1", "Weight of the KL penalty that this update used."),
    Metric("epochs", "1", "Passes over the rollout; fewer than configured where the KL ran away."),
    Metric("clip_fraction", "1", "Samples whose probability ratio lies outside 1 -+ clip_range."),
    Metric("policy_std", "1", "Mean standard deviation of the actions."),
    Metric("policy_loss", "1", "Loss of the policy, with KL penalty, entropy and auxiliary error."),
    Metric("policy_gradient_norm", "1", "Norm of the policy's gradient before it is bounded."),
    Metric(
        "demonstration_loss",
        "nat",
        "Half the squared distance [deviations] of demonstrated actions from the mean.",
    ),
    Metric("value_loss", "1", "Squared error of the value function, in squared standard deviations of the returns."),
    Metric("value_gradient_norm", "1", "Norm of the value function's gradient before it is bounded."),
    Metric("value_explained_variance", "1", "1 - var(target - V) / var(target) before the update: 1 is perfect."),
    Metric("auxiliary_loss", "1", "Squared error of the predicted object positions, in squared standard deviations."),
    Metric("auxiliary_error_cm", "cm", "Root mean squared error of a predicted coordinate, after the update."),
    Metric("discriminator_loss", "nat", "Binary cross entropy, expert's and policy's samples summed."),
    Metric("discriminator_gradient_penalty", "1", "Mean squared gradient of the logit at the expert's samples."),
    Metric("discriminator_accuracy_expert", "1", "Expert samples that the discriminator takes for the expert's."),
    Metric("discriminator_accuracy_policy", "1", "Policy samples that the discriminator takes for the policy's."),
)
"""Every metric. Those of the discriminator are absent where lambda is 0; rates until an episode has ended."""


def metric_names(spec: EnvironmentSpec) -> tuple[str, ...]:
    """Names of all metrics for a task, in the order of the CSV."""
    names: list[str] = []
    for metric in METRICS:
        if "{stage}" in metric.name:
            names += [metric.name.format(stage=stage) for stage in spec.stages[1:]]
        else:
            names.append(metric.name)
    return tuple(names)


class MetricsWriter:
    """Appends metrics to ``metrics.csv`` and to TensorBoard files in a run's folder."""

    def __init__(
        self,
        folder: pathlib.Path | str,
        names: tuple[str, ...],
        *,
        resume_after: int | None = None,
        tensorboard: bool = True,
    ) -> None:
        """Open the files.

        Args:
            folder: The run's folder, which exists.
            names: Columns, from ``metric_names``.
            resume_after: Iteration of the checkpoint that the run goes on from; later rows are dropped. None: anew.
            tensorboard: Whether to write TensorBoard files as well.

        Raises:
            StorageError: the disk refused.
            DataError: the CSV to go on with has other columns.
        """
        self._names = names
        self._path = pathlib.Path(folder) / "metrics.csv"
        rows = self._rows_until(resume_after) if resume_after is not None else []
        purge_step = None if resume_after is None else int(float(rows[-1]["steps"])) + 1 if rows else 0
        try:
            self._rewrite(rows)
            self._file = open(self._path, "a", newline="")  # noqa: SIM115 (closed in close)
        except OSError as error:
            raise StorageError(f"{self._path} could not be written: {error.strerror}.") from error
        self._csv = csv.DictWriter(self._file, names, restval="")
        self._tensorboard = _summary_writer(folder, purge_step) if tensorboard else None

    def write(self, metrics: dict[str, float]) -> None:
        """Append one iteration's metrics; absent ones stay empty.

        Raises:
            StorageError: the disk refused.
        """
        try:
            self._csv.writerow(metrics)
            self._file.flush()
            if self._tensorboard is not None:
                for name in self._names:
                    if name in metrics and name != "steps":
                        self._tensorboard.add_scalar(name, metrics[name], int(metrics["steps"]))
        except OSError as error:
            raise StorageError(f"{self._path} could not be written: {error.strerror}.") from error

    def close(self) -> None:
        """Close the files."""
        # What could not be written was reported by ``write``; the same again would hide it.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            if self._tensorboard is not None:
                self._tensorboard.close()

    def _rows_until(self, iteration: int) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with open(self._path, newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != self._names:
                raise DataError(f"{self._path} has other columns than this version of the program writes.")
            # A kill may have cut the last row short.
            rows = [row for row in reader if None not in row.values()]
        return [row for row in rows if float(row["iteration"]) <= iteration]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._names)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._path, text.getvalue().encode())


def _summary_writer(folder: pathlib.Path | str, purge_step: int | None) -> SummaryWriter:
    # Imported here: it takes a second, and evaluation and deployment do without.
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)
