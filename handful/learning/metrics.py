"""Every metric that an iteration reports, with its definition."""

from __future__ import annotations

import dataclasses

from handful.environment import EnvironmentSpec


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
    Metric(
        "success_rate_random_start", "1", f"Success that holds at the end, last {WINDOW} episodes from random starts."
    ),
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
    Metric("learning_rate", "1", "Learning rate of the policy in the last gradient step of this update."),
    Metric("epochs", "1", "Passes over the rollout; fewer than configured where the KL ran away."),
    Metric("clip_fraction", "1", "Samples whose probability ratio lies outside 1 -+ clip_range."),
    Metric("policy_std", "1", "Mean standard deviation of the actions."),
    Metric("policy_loss", "1", "Loss of the policy, with KL penalty, entropy and auxiliary error."),
    Metric("policy_gradient_norm", "1", "Norm of the policy's gradient before it is bounded."),
    Metric(
        "demonstration_loss", "nat", "Half the squared distance [deviations] of demonstrated actions from the mean."
    ),
    Metric(
        "distillation_error", "1", "Half the squared distance of the policy's actions from the teacher's [deviations]."
    ),
    Metric("teacher_error", "1", "The same in the loss of reinforcement, before it is weighed."),
    Metric("value_loss", "1", "Squared error of the value function, in squared standard deviations of the returns."),
    Metric("value_gradient_norm", "1", "Norm of the value function's gradient before it is bounded."),
    Metric("value_explained_variance", "1", "1 - var(target - V) / var(target) before the update: 1 is perfect."),
    Metric("auxiliary_loss", "1", "Squared error of the predicted object positions, in squared standard deviations."),
    Metric("auxiliary_error_cm", "cm", "Root mean squared error of a predicted coordinate, after the update."),
    Metric(
        "frontier", "1", "Mean frontier of the demonstrations, as a fraction of the way to success: 0 is the beginning."
    ),
    Metric("frontiers_at_beginning", "1", "Demonstrations whose frontier has arrived at the beginning."),
    Metric("retry_success", "1", "Success of episodes that begin where an earlier one failed, running mean from 0.5."),
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
