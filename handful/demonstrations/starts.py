"""What learning takes from demonstrations: starts of episodes, expert samples, and a return to compare with."""

from __future__ import annotations

import dataclasses

import numpy as np

from handful.environment import OBJECT_FEATURES, Start
from handful.errors import ConfigurationError, unknown_name
from handful.trajectory import Demonstrations, Trajectory

CLUSTERS = ("states", "stages")
"""How a demonstration state can be drawn."""


class DemonstrationStarts:
    """Where training episodes begin (paper, section III-B, "Demonstration as a curriculum").

    With some probability a random start of the task, else a state of a demonstration, in that demonstration's world.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        *,
        random_start_probability: float = 0.5,
        clusters: str = "states",
        include_solved: bool = False,
        cut_after_success_s: float = 1.0,
        max_length: int | None = None,
    ) -> None:
        """Gather the states by stage.

        Args:
            demonstrations: Whose states to begin from.
            random_start_probability: eps (ours; the paper does not state it). At 1 the curriculum is off.
            clusters: How a state is drawn: ``stages`` draws a stage uniformly among those that the demonstrations
                contain, then one of its states (paper); ``states`` draws all states alike, and so each stage as often as
                it takes time.
            include_solved: Whether to begin in the top stage too, where nothing is left to be learned but to hold on.
            cut_after_success_s: How long after success a demonstration still counts [s].
            max_length: Control steps after which an episode from a demonstration's state is cut off; None: never.

        Raises:
            ConfigurationError: not a probability, a negative time, no such clusters, or no stage is left to begin from.
        """
        if clusters not in CLUSTERS:
            raise unknown_name("way to draw demonstration states", clusters, CLUSTERS)
        if not 0.0 <= random_start_probability <= 1.0:
            raise ConfigurationError(
                f"expected a probability of random starts between 0 and 1, got {random_start_probability}."
            )
        self._random_start_probability = random_start_probability
        self._trajectories = cut_all(demonstrations, cut_after_success_s).trajectories
        top = demonstrations.top_stage
        self.clusters: dict[int, np.ndarray] = {}
        """By stage: which trajectory and which of its states, int64 [state, 2]."""
        for stage in range(top + 1 if include_solved else top):
            where = [
                (number, step)
                for number, trajectory in enumerate(self._trajectories)
                for step in np.flatnonzero(trajectory.stages == stage)
            ]
            if where:
                self.clusters[stage] = np.asarray(where, np.int64)
        self._stages = np.asarray(list(self.clusters), np.int64)
        sizes = np.array([len(states) if clusters == "states" else 1 for states in self.clusters.values()])
        self._shares = sizes / sizes.sum()
        self._max_length = max_length
        if not len(self._stages) and random_start_probability < 1.0:
            raise ConfigurationError("the demonstrations hold no state to begin from: include the solved stage.")

    def sample(self, generator: np.random.Generator) -> Start | None:
        """Draw one start; None means a random start of the task."""
        if generator.random() < self._random_start_probability:
            return None
        stage = int(generator.choice(self._stages, p=self._shares))
        number, step = generator.choice(self.clusters[stage])
        trajectory = self._trajectories[number]
        return Start(trajectory.states[step], trajectory.parameters, cluster=stage, max_length=self._max_length)


def start_probability(share: float, *, horizon: int, max_length: int | None) -> float:
    """With which probability an episode must begin in a random start for those episodes to make up a share of all steps.

    Args:
        share: The share of the control steps, from 0 to 1.
        horizon: Length of the episodes from random starts [control steps].
        max_length: Length at which those from demonstration states are cut off [control steps]; None: at the horizon.
    """
    random, other = share / horizon, (1.0 - share) / min(horizon, max_length or horizon)
    return random / (random + other)


def cut_after_success(trajectory: Trajectory, seconds: float, control_timestep: float) -> Trajectory:
    """The demonstration up to a time after it succeeded.

    What goes on for seconds after success teaches the discriminator to love standing still.

    Args:
        trajectory: The demonstration.
        seconds: Time to keep after the first state of the success that lasts [s]; infinite keeps everything.
        control_timestep: Time between two actions [s].
    """
    if not seconds >= 0.0:
        raise ConfigurationError(f"expected a time after success of at least 0 s, got {seconds}.")
    if np.isinf(seconds):
        return trajectory
    return trajectory.cut(max(1, trajectory.success_step + round(seconds / control_timestep)))


def cut_all(demonstrations: Demonstrations, seconds: float) -> Demonstrations:
    """Every demonstration cut at that time after its success [s]."""
    cut = [cut_after_success(each, seconds, demonstrations.control_timestep) for each in demonstrations.trajectories]
    return dataclasses.replace(demonstrations, trajectories=tuple(cut))


def expert_data(demonstrations: Demonstrations, cut_after_success_s: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """What the discriminator sees of the demonstrations, one row for each action.

    The features are those of the state that the action led to, as the reward of a transition is paid for where it ends.

    Returns:
        Object features, float32 [row, feature], and actions, float32 [row, action].
    """
    trajectories = cut_all(demonstrations, cut_after_success_s).trajectories
    features = np.concatenate([trajectory.observations[OBJECT_FEATURES][1:] for trajectory in trajectories])
    return features, np.concatenate([trajectory.actions for trajectory in trajectories])


def demonstration_returns(demonstrations: Demonstrations, horizon: int) -> np.ndarray:
    """Task return of each demonstration as a policy's is counted, over ``horizon`` steps; float64 [episode].

    A longer demonstration counts its first ``horizon`` steps. One that ended earlier, a while after success, is taken
    to hold on to the end: the reward of its last step is paid for the steps that are missing.
    """
    return np.asarray(
        [
            each.rewards[:horizon].sum(dtype=np.float64) + max(0, horizon - len(each)) * float(each.rewards[-1])
            for each in demonstrations.trajectories
        ]
    )


def mean_demonstration_return(demonstrations: Demonstrations, horizon: int) -> tuple[float, tuple[float, float]]:
    """Mean of `demonstration_returns` and its 95% interval, by the normal approximation."""
    returns = demonstration_returns(demonstrations, horizon)
    mean = float(returns.mean())
    half = 1.96 * float(returns.std(ddof=1)) / len(returns) ** 0.5 if len(returns) > 1 else 0.0
    return mean, (mean - half, mean + half)
