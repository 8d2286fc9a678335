"""The contract between whoever simulates and whoever learns.

An environment is N simulations of one task that step together; one simulation is N = 1. Learning, evaluation, recording
and deployment speak only this contract, so that another robot or another simulator can stand behind it.

Observation groups are data. An environment delivers every group by name, and a learner's configuration says which network
reads which: by default the policy reads ``pixels`` and ``proprioception``, the value function ``physical_state`` and
``time_left``, the discriminator ``object_features``, and the auxiliary head predicts ``object_positions``. Everything here
is a NumPy array with the simulations on the first axis, with one exception: where images are drawn on a GPU, ``pixels`` is
a torch tensor there, so that a learner on that GPU gets them without a copy; `on_host` makes an array of either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, overload

import numpy as np

if TYPE_CHECKING:
    import torch

PIXELS: Final = "pixels"
PROPRIOCEPTION = "proprioception"
PHYSICAL_STATE = "physical_state"
TIME_LEFT = "time_left"
OBJECT_FEATURES = "object_features"
OBJECT_POSITIONS = "object_positions"

POLICY_GROUPS = (PIXELS, PROPRIOCEPTION)
"""The groups that exist on a real robot; the policy sees these and no other."""

TOOL_STATE = "tool_state"
"""What the physical state says of the objects as seen from the tool; delivered where it is asked for."""

GROUPS = (*POLICY_GROUPS, PHYSICAL_STATE, TIME_LEFT, OBJECT_FEATURES, OBJECT_POSITIONS)
"""Every observation group, in the order in which an environment reports them."""

EVALUATION_SEED = 1_000_000
"""Added to the seed of an evaluation, so that it meets no episode that training drew from a small seed."""

Images: TypeAlias = "np.ndarray | torch.Tensor"
"""Images, uint8: an array, or a torch tensor on the device where they were drawn."""


class Observation(dict[str, Any]):
    """Observation groups by name, each [env, ...]: float32 arrays, and for ``pixels`` `Images`."""

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, group: Literal["pixels"], /) -> Images: ...
        @overload
        def __getitem__(self, group: str, /) -> np.ndarray: ...
        def __getitem__(self, group: str, /) -> Any: ...


StateTree = dict[str, "np.ndarray | int | float | str | bool | None | StateTree"]
"""What a component needs to resume exactly: nested names, with arrays and plain JSON values as leaves."""


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one observation group or of the action, for one simulation."""

    shape: tuple[int, ...]
    """Shape without the axis of simulations."""
    dtype: str
    """NumPy name of the element type, such as ``float32``."""
    names: tuple[str, ...] = ()
    """What each entry of a vector is, for example ``tcp_to_block_x``; empty for images."""


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
    """What an environment of a task delivers and accepts."""

    task: str
    """Name on the command line, for example ``block-lifting``."""
    observations: Mapping[str, ArraySpec]
    """Observation groups by name; ``pixels`` is uint8, height x width x 3, all others are float32 vectors."""
    action: ArraySpec
    """Joint velocity commands in [-1, 1], a fraction of each joint's limit."""
    stages: tuple[str, ...]
    """Names of the task's stages in order; stage 0 is the start, the last one is success."""
    stage_rewards: tuple[float, ...]
    """Task reward paid at every step in each stage; a task whose reward depends on more says which values stand here. The
    largest is what the best state pays."""
    horizon: int
    """Length of every episode [control steps]; an episode ends there by truncation, success or not."""
    control_timestep: float
    """Time between two actions [s]."""
    camera_period: int
    """Control steps between two images; in between, ``pixels`` repeats the last one."""


@dataclasses.dataclass(frozen=True)
class EpisodeSummary:
    """What is known of an episode when it ends."""

    env: int
    """The simulation that ran it."""
    task_return: float
    """Undiscounted sum of the task reward."""
    length: int
    """Control steps."""
    random_start: bool
    """Whether it began in a random start, and not in a state of a demonstration."""
    success: bool
    """Sustained success: `held` at the end of the whole horizon."""
    highest_stage: int
    """Highest stage that it was in at any step."""
    final_stage: int
    """Stage at its last step."""
    diverged: bool
    """Whether the physics blew up, which ends the episode early and never counts as success."""
    held: bool = False
    """Whether the top stage held without a break over the last half second, however long the episode was."""
    demonstration: int = -1
    """Number of the demonstration in whose state it began; -1 for a random start."""
    start_step: int = -1
    """Number of that state in the demonstration; -1 for a random start."""
    kind: int = -1
    """`Start.kind` of its start; -1 for a random start."""
    score: float = 0.0
    """How much of the task was done at its last step, in [0, 1]; 0 where the physics diverged."""


@dataclasses.dataclass(frozen=True)
class Start:
    """A full physical state, from which an episode can begin, and the parameters of its episode."""

    state: np.ndarray | None
    """Physical state as the simulation saves it, float64, shape [state_size]; None: a random start of the task."""
    parameters: Mapping[str, np.ndarray]
    """The episode's drawn parameters: object sizes, masses, colours, looks, dynamics."""
    cluster: int
    """Stage of the state, which is the cluster of the curriculum it was drawn from."""
    max_length: int | None = None
    """Control steps after which the episode is cut off, by truncation, if its horizon does not come first; None: never."""
    demonstration: int = -1
    """Number of the demonstration that the state is of."""
    step: int = -1
    """Number of the state in its demonstration."""
    kind: int = -1
    """What whoever drew it wants to hear again when its episode has ended."""


class StartDistribution(Protocol):
    """Where training episodes begin (paper, section III-B, "Demonstration as a curriculum").

    The environment reports to it how every episode ended, so it can adapt, and saves its state with its own.
    """

    def sample(self, generator: np.random.Generator) -> Start | None:
        """Draw one start; None means a random start of the task."""
        ...

    def report(self, episode: EpisodeSummary, end: Start | None) -> None:
        """Take note of how an episode ended; the summary says which start it had.

        ``end`` is the state in which it was cut off, with its parameters; None where it terminated.
        """

    def metrics(self) -> dict[str, float]:
        """What there is to say of the curriculum's progress, by name."""
        ...

    def state_dict(self) -> StateTree:
        """What a later ``load_state_dict`` needs to resume exactly."""
        ...

    def load_state_dict(self, state: Any) -> None:
        """Resume from what ``state_dict`` gave."""


@dataclasses.dataclass
class TimeStep:
    """What N simulations report after a reset or a step.

    An episode that ends is followed at once by the next one (autoreset in the same step): ``observation`` then belongs to
    the new episode, ``final_observation`` to the old, and ``reward`` and ``stage`` to the transition that ended it.
    """

    observation: Observation
    """Observation groups, each [env, ...]. The arrays are the caller's: no later step writes to them."""
    reward: np.ndarray
    """Task reward of the transition, float32 [env]; zero after a reset."""
    terminated: np.ndarray
    """The episode ended in a state with no future (the physics blew up), bool [env]: the value beyond is zero."""
    truncated: np.ndarray
    """The episode ended at its time limit, bool [env]: the value beyond is that of ``final_observation``."""
    stage: np.ndarray
    """Stage of the state that the action led to, int64 [env]."""
    observed_stage: np.ndarray
    """Stage of the state in ``observation``, int64 [env]: another than ``stage`` where an episode has just begun."""
    pixels_updated: np.ndarray
    """Whether ``pixels`` holds a new image, bool [env]; always true where an episode has just begun."""
    final_observation: Observation | None = None
    """Last observation of the ended episodes, each [env, ...], valid where terminated or truncated; None if none ended.

    Its ``pixels`` are the last image that the camera delivered. Where the physics blew up, it is the last finite one."""
    episodes: list[EpisodeSummary] = dataclasses.field(default_factory=list)
    """Summaries of the episodes that ended at this step."""

    @property
    def done(self) -> np.ndarray:
        """Whether an episode ended, bool [env]."""
        return self.terminated | self.truncated

    @classmethod
    def first(cls, observation: Observation, *, stage: np.ndarray, pixels_updated: np.ndarray) -> TimeStep:
        """The time step after a reset or a load: an observation and its stage, no reward yet."""
        nothing = np.zeros(len(stage), bool)
        return cls(
            observation=observation,
            reward=np.zeros(len(stage), np.float32),
            terminated=nothing,
            truncated=nothing.copy(),
            stage=stage,
            observed_stage=stage,
            pixels_updated=pixels_updated,
        )


class VectorEnvironment(Protocol):
    """N simulations of one task that step together."""

    @property
    def spec(self) -> EnvironmentSpec:
        """What it delivers and accepts."""
        ...

    @property
    def num_envs(self) -> int:
        """N."""
        ...

    def reset(self, *, seeds: Sequence[int | Sequence[int]] | None = None) -> TimeStep:
        """Begin a new episode in every simulation.

        ``seeds`` holds a seed for each simulation's generator. The episodes that follow depend on that seed alone, not on
        the number of simulations beside it. None keeps the present generators.
        """
        ...

    def step(self, action: np.ndarray) -> TimeStep:
        """Advance every simulation by one control step; ended episodes begin anew at once.

        Actions are joint velocities as fractions of their limits, [env, action], and are clipped to [-1, 1].

        Raises:
            ConfigurationError: the action has a wrong shape or is not finite.
        """
        ...

    def state_dict(self) -> StateTree:
        """All that ``load_state_dict`` needs to resume to the bit: physics, parameters, generators, counters, starts."""
        ...

    def load_state_dict(self, state: StateTree) -> TimeStep:
        """Resume where ``state_dict`` was taken; returns the time step that was current then."""
        ...

    def close(self) -> None:
        """Release threads and memory."""


def on_host(images: Images) -> np.ndarray:
    """Images as an array: themselves if they are one, else a copy from their device."""
    return images if isinstance(images, np.ndarray) else images.cpu().numpy()
