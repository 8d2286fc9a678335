"""Starts where earlier episodes failed: demonstrations show how to succeed, and not what to do after a miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handful.environment import EpisodeSummary, Start, StartDistribution, StateTree
from handful.simulation.arm import CLOSED, OPEN, Arm
from handful.simulation.jaco import JACO

CAPACITY = 512
"""Failures that are kept; a new one replaces any (our choice)."""

MINIMUM = 16
"""Failures that there must be before episodes begin in one (our choice)."""

HOME_SPREAD = 0.12
"""Spread of the arm's joints about their start [rad], as in random starts."""


CLOSURES = np.linspace(OPEN, CLOSED, 9)
"""Closures of the fingers in which retries begin [rad], each up to half a step more or less (our choice)."""

AS_IT_WAS, IN_PLACE, BACK = 0, 1, 1 + len(CLOSURES)
"""Kinds of retries: as the failure was; with the fingers in one of the closures; and with the arm at its start too."""

NUM_KINDS = BACK + len(CLOSURES)

RATE = 0.05
"""Rate of the running means of the kinds' success (our choice)."""

LEAST = 0.03
"""Weight of a kind that always or never succeeds; one that succeeds in half of its episodes has 0.25 more (our choice)."""


class RetryStarts:
    """Another distribution, some of whose random starts are replaced by states in which episodes had failed.

    Kept are the final states of episodes from random starts that ran out of time without success, most of them with an empty
    fist beside the object. Those of retries are not: what cannot be mended, such as an object out of reach, would pile up.
    A third of the starts is such a state as it is; in another the fingers are somewhere between open and closed, and in the
    last the arm is back at its start too; the objects lie where they were left. A policy with a closed hand never finds by
    noise that it helps to open it, but with fingers nearly open it succeeds, and from there it learns: a closure p of whose
    episodes succeed is drawn in proportion to p (1 - p), beside a floor, as there most is to be learned (Rutherford et
    al. 2024, "SFL", do so with levels of a game).

    Failures of another policy may be given, of a student that fails where its teacher never was: half of the retries are
    then those.
    """

    def __init__(
        self,
        starts: StartDistribution,
        *,
        fraction: float,
        nq: int,
        nv: int,
        given: Sequence[Start] = (),
        arm: Arm = JACO,
    ) -> None:
        """Wrap ``starts``; a ``fraction`` of its random starts becomes retries, of episodes here and of those ``given``.

        ``nq`` and ``nv`` are the sizes of ``qpos`` and ``qvel`` in a saved state, see `STATE_FIELDS`.
        """
        self.starts = starts
        self._fraction, self._arm = fraction, arm
        self._nq, self._nv = nq, nv
        self._given = list(given)
        self._failures: list[Start] = []
        self._num_kept = 0
        self._success = np.full(NUM_KINDS, 0.5)  # running means

    def sample(self, generator: np.random.Generator) -> Start | None:
        """Draw one start; None means a random start of the task."""
        start = self.starts.sample(generator)
        random = start is None or start.state is None
        own = self._failures if len(self._failures) >= MINIMUM else []
        if not random or not (own or self._given) or generator.random() >= self._fraction:
            return start
        failures = self._given if self._given and (not own or generator.random() < 0.5) else own
        failure = failures[int(generator.integers(len(failures)))]
        assert failure.state is not None
        state = failure.state.copy()
        kind = self._draw_kind(generator)
        if kind != AS_IT_WAS:
            self._open(state, generator, back=kind >= BACK, closure=CLOSURES[(kind - IN_PLACE) % len(CLOSURES)])
        return Start(
            state=state,
            parameters=failure.parameters,
            cluster=failure.cluster,
            max_length=start.max_length if start is not None else None,
            kind=kind,
        )

    def _draw_kind(self, generator: np.random.Generator) -> int:
        group = int(generator.integers(3))
        if group == 0:
            return AS_IT_WAS
        first = (IN_PLACE, BACK)[group - 1]
        success = self._success[first : first + len(CLOSURES)]
        weights = LEAST + success * (1.0 - success)
        return first + int(generator.choice(len(CLOSURES), p=weights / weights.sum()))

    def _open(self, state: np.ndarray, generator: np.random.Generator, *, back: bool, closure: float) -> None:
        """Put the fingers of a saved state near ``closure`` [rad], at rest, and the arm ``back`` to its start."""
        joints, arm = self._arm.num_joints, self._arm.num_arm
        qpos, qvel = state[1 : 1 + self._nq], state[1 + self._nq : 1 + self._nq + self._nv]
        if back:
            qpos[:arm] = self._arm.home + generator.uniform(-HOME_SPREAD, HOME_SPREAD, arm)
        half = (CLOSURES[1] - CLOSURES[0]) / 2
        near = np.clip(closure + generator.uniform(-half, half), OPEN, CLOSED)
        qpos[arm:joints] = self._arm.finger_positions(np.asarray(near))
        qvel[:joints] = 0.0
        state[1 + self._nq + self._nv :] = 0.0  # warm start and commands

    def report(self, episode: EpisodeSummary, end: Start | None) -> None:
        """Take note of how an episode ended, and keep its last state if it failed."""
        self.starts.report(episode, end)
        if episode.kind >= 0:
            self._success[episode.kind] += RATE * (episode.held - self._success[episode.kind])
        if end is None or end.state is None or episode.held or not episode.random_start:
            return
        if len(self._failures) < CAPACITY:
            self._failures.append(end)
        else:  # round and round
            self._failures[self._num_kept % CAPACITY] = end
        self._num_kept += 1

    def metrics(self) -> dict[str, float]:
        """Those of the distribution inside, and how many of the retries that begin as the failure was end in success."""
        return {**self.starts.metrics(), "retry_success": float(self._success[AS_IT_WAS])}

    def state_dict(self) -> StateTree:
        """The failures, and the state of the distribution inside."""
        return {
            "starts": self.starts.state_dict(),
            "failures": _stacked(self._failures),
            "given": _stacked(self._given),
            "num_kept": self._num_kept,
            "success": self._success.copy(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Resume from what ``state_dict`` gave."""
        self.starts.load_state_dict(state["starts"])
        self._num_kept = int(state["num_kept"])
        self._success[:] = state.get("success", 0.5)  # runs of before had none
        self._failures, self._given = failures_of(state), _starts(state["given"])


def failures_of(state: Any) -> list[Start]:
    """The failures that a `RetryStarts` had kept when its ``state_dict`` was taken."""
    return _starts(state["failures"])


def _stacked(starts: list[Start]) -> StateTree:
    """Starts as arrays; nothing if there are none."""
    if not starts:
        return {}
    names = starts[0].parameters
    return {
        "states": np.stack([start.state for start in starts if start.state is not None]),
        "clusters": np.array([start.cluster for start in starts]),
        "parameters": {name: np.stack([each.parameters[name] for each in starts]) for name in names},
    }


def _starts(stacked: Any) -> list[Start]:
    """The starts that `_stacked` made arrays of."""
    return [
        Start(
            state=np.array(stacked["states"][number]),
            parameters={name: np.array(values[number]) for name, values in stacked["parameters"].items()},
            cluster=int(stacked["clusters"][number]),
        )
        for number in range(len(stacked["states"]) if stacked else 0)
    ]
