"""A person demonstrates: episodes that begin, pause, end, and are kept or discarded, one control step at a time."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Protocol

import numpy as np

from handful.demonstrations.operators.devices.device import DeviceError, Reading
from handful.demonstrations.operators.hand import Hand
from handful.demonstrations.operators.safe_control import SafeControl
from handful.demonstrations.recorder import RecordedEpisode
from handful.demonstrations.writer import DemonstrationWriter
from handful.environment import PIXELS, TimeStep, on_host
from handful.errors import ConfigurationError, StorageError
from handful.tasks.environment import TaskEnvironment
from handful.trajectory import ACTORS

READY, RUNNING, PAUSED, LOST, SOLVED, OVER, DONE = "ready", "running", "paused", "lost", "solved", "over", "done"
"""What a session is doing: it waits for the first motion; an episode runs; it is paused; the device is lost; the task has
been solved for long enough; the time is over, or the physics diverged; all episodes are kept."""

HOLD_SECONDS = 1.0
"""Time that success holds until an episode can be kept, or is kept by itself [s]."""


class PolicyLike(Protocol):
    """A policy that can act in place of the person; see `handful.learning.actors.Actor`."""

    def reset(self, done: np.ndarray | None) -> None:
        """Begin an episode."""
        ...

    def act(self, time_step: TimeStep) -> np.ndarray:
        """Actions, float32 [env, action]."""
        ...


@dataclasses.dataclass(frozen=True)
class SessionStatus:
    """What a person needs to know."""

    phase: str
    """One of `READY` and so on."""
    message: str
    """What happened last, or what to do next, in a sentence."""
    stage: int
    """Present stage."""
    seconds: float
    """Time since the episode began [s]."""
    seconds_left: float
    """Time until it ends [s]."""
    kept: int
    """Episodes in the file."""
    wanted: int
    """Episodes that it should hold in the end."""
    discarded: int
    """Episodes that were not kept in this session."""
    actor: str
    """Who acts, of `ACTORS`."""
    speed: float
    """Scale of the speeds."""
    number: int
    """Number of the episode, which decides what it draws."""
    successes: int
    """How often the task was solved in this session; it grows at the moment of success."""


class DemonstrationSession:
    """Steps one simulation by a person's device, or by a policy that the person corrects, and keeps episodes.

    `step` is called once for each control step, with the device's reading, or with the error that says why there is none. It
    never waits and never raises for what a person or a disk does.
    """

    def __init__(
        self,
        environment: TaskEnvironment,
        writer: DemonstrationWriter,
        *,
        num_wanted: int,
        seed: int = 0,
        hand: Hand | None = None,
        policy: PolicyLike | None = None,
        keep_automatically: bool = False,
        max_seconds: float = 30.0,
    ) -> None:
        """Begin with the first episode that the file does not hold.

        Args:
            environment: One simulation, whose horizon is longer than ``max_seconds``.
            writer: The file.
            num_wanted: Episodes that it should hold in the end.
            seed: Seed of the episodes.
            hand: What makes motions of readings; None: without a dead zone.
            policy: Who acts until the person takes over; None: the person acts alone.
            keep_automatically: Whether a solved episode is kept without being asked.
            max_seconds: Longest episode [s].
        """
        if environment.num_envs != 1:
            raise ConfigurationError(f"expected one simulation for a person, got {environment.num_envs}.")
        if not max_seconds > HOLD_SECONDS:
            raise ConfigurationError(f"expected episodes of more than {HOLD_SECONDS:g} s, got {max_seconds}.")
        if num_wanted < 1:
            raise ConfigurationError(f"expected at least 1 episode to keep, got {num_wanted}.")
        timestep = environment.spec.control_timestep
        self._max_steps, self._hold = round(max_seconds / timestep), round(HOLD_SECONDS / timestep)
        if environment.spec.horizon <= self._max_steps:
            raise ConfigurationError(f"expected a horizon of more than {self._max_steps} control steps.")
        self.environment, self._writer, self._seed = environment, writer, seed
        self.hand = Hand(dead_zone=0.0) if hand is None else hand
        self._policy = policy
        self.keep_automatically = keep_automatically
        self._wanted, self._discarded, self._successes = num_wanted, 0, 0
        self._numbers = (n for n in itertools.count() if (seed, n) not in writer.seeds)
        environment.reset()
        self._control = SafeControl(environment.physics, control_timestep=timestep)
        self.num_begun = 0
        """Episodes begun so far; another number means another scene to draw."""
        self._phase, self._message = READY, ""
        self._begin(next(self._numbers))
        if len(writer) >= num_wanted:
            self._phase, self._message = DONE, f"The file holds all {num_wanted} episodes already."

    @property
    def status(self) -> SessionStatus:
        """What a person needs to know now."""
        steps, timestep = len(self._episode.actions), self.environment.spec.control_timestep
        return SessionStatus(
            phase=self._phase,
            message=self._message,
            stage=self._episode.stages[-1],
            seconds=steps * timestep,
            seconds_left=(self._max_steps - steps) * timestep,
            kept=len(self._writer),
            wanted=self._wanted,
            discarded=self._discarded,
            actor=self._actor,
            speed=self.hand.speed,
            number=self._number,
            successes=self._successes,
        )

    @property
    def pixels(self) -> np.ndarray:
        """The camera's last picture, uint8 [height, width, 3]."""
        return on_host(self._time_step.observation[PIXELS])[0]

    @property
    def done(self) -> bool:
        """Whether all episodes are kept."""
        return self._phase == DONE

    def step(self, reading: Reading | DeviceError) -> None:
        """Take one control step, or do what was asked for."""
        if isinstance(reading, DeviceError):
            self._lose(str(reading))
            return
        for press in reading.presses:
            self._press(press)
        if self._phase in (PAUSED, OVER, DONE):
            return
        moves = self.hand.moves(reading)
        if self._phase == LOST:
            self._phase = RUNNING if self._episode.actions else READY
            self._message = "The device is back: move it to go on." if self._episode.actions else ""
            self._waits_for_motion = True
        if self._actor == "policy" and moves and self._policy is not None:
            self._take_over(by_person=True)
        if self._waits_for_motion and not moves and self._actor == "person":
            return
        if self._phase == READY:
            self._phase, self._message = RUNNING, ""
        if self._waits_for_motion:
            self._waits_for_motion, self._message = False, ""
        self._act(reading)

    def _begin(self, number: int) -> None:
        """Begin the episode of that number."""
        environment = self.environment
        self._number = number
        self._time_step = environment.restart(np.arange(1), seeds=[(self._seed, number)])
        self._episode = RecordedEpisode(number, environment, 0, self._time_step)
        self._control.reset()
        self.hand.release()
        self._actor = "person" if self._policy is None else "policy"
        if self._policy is not None:
            self._policy.reset(None)
        self._waits_for_motion = self._policy is None
        self._top = len(environment.spec.stages) - 1
        self._was_solved = False
        self._phase = READY
        self.num_begun += 1

    def _act(self, reading: Reading) -> None:
        """One control step by whoever acts, recorded."""
        # A policy with a memory sees every step, so that it can go on when it gets the arm back.
        proposed = None if self._policy is None else self._policy.act(self._time_step)
        if self._actor == "policy" and proposed is not None:
            action = np.clip(proposed, -1.0, 1.0).astype(np.float32)
        else:
            action = self._control.action(self.hand.twist(reading), self.hand.fingers(reading))[None]
        time_step = self.environment.step(action)
        if time_step.terminated[0]:
            self._phase, self._message = OVER, "The simulation broke: discard the episode, or do it again."
            return
        if self._actor == "policy":
            self._control.reset()
        self._time_step = time_step
        self._episode.add(action, time_step, self.environment.physics.get_state(), actor=ACTORS.index(self._actor))
        self._judge()

    def _judge(self) -> None:
        """See whether the task is solved, or the time over."""
        held = self._episode.steps_held(self._top)
        if held == 1 and not self._was_solved:
            self._successes += 1
            self._was_solved = True
        if held > self._hold:
            self._phase = SOLVED
            self._message = "Solved: keep it, or discard it."
            if self.keep_automatically:
                self._keep()
        elif self._phase == SOLVED:
            self._phase, self._message = RUNNING, "It is not solved any more."
        if len(self._episode.actions) >= self._max_steps and self._phase in (RUNNING, SOLVED):
            solved = self._phase == SOLVED
            self._phase = OVER
            self._message = "The time is over: " + ("keep it." if solved else "discard it, or do it again.")

    def _press(self, press: str) -> None:
        """Do what was asked for."""
        if press in ("slower", "faster"):
            self.hand.change_speed(-1 if press == "slower" else 1)
        elif self._phase == DONE:
            pass
        elif press == "keep":
            self._keep()
        elif press == "discard":
            self._discard(next(self._numbers), "Discarded.")
        elif press == "redo":
            self._discard(self._number, "Once more.")
        elif press == "takeover":
            self._change_actor()
        elif self._phase == PAUSED:
            self._phase, self._message = RUNNING if self._episode.actions else READY, ""
            self._waits_for_motion = self._actor == "person"
        elif self._phase in (READY, RUNNING, SOLVED):
            self._phase, self._message = PAUSED, "Paused."
            self.hand.release()

    def _keep(self) -> None:
        """Keep the episode if it is solved, and begin the next one."""
        if self._episode.steps_held(self._top) <= self._hold:
            stage = self.environment.spec.stages[self._top]
            self._message = f"Not kept: hold '{stage}' for {HOLD_SECONDS:g} s first."
            return
        try:
            self._writer.append(self._episode.finish(self._seed, self._top))
        except StorageError as error:
            self._phase = OVER
            self._message = f"Not written yet: {error} Make room and keep it again."
            return
        count = len(self._writer)
        number = next(self._numbers)
        if count < self._wanted:
            self._begin(number)
            self._message = f"Kept: {count} of {self._wanted}."
        else:
            self._phase, self._message = DONE, f"All {self._wanted} episodes are kept. Thank you."

    def _discard(self, number: int, message: str) -> None:
        """Begin an episode without keeping the present one."""
        if self._episode.actions:
            self._discarded += 1
        self._begin(number)
        self._message = message

    def _change_actor(self) -> None:
        if self._policy is None:
            self._message = "There is no policy to hand over to: name one by --policy."
        else:
            self._take_over(by_person=self._actor == "policy")

    def _take_over(self, *, by_person: bool) -> None:
        """Let the person, or the policy, act from now on."""
        self._actor = "person" if by_person else "policy"
        self._control.reset()
        self.hand.release()
        self._waits_for_motion = False
        self._message = "You act." if by_person else "The policy acts."

    def _lose(self, why: str) -> None:
        """Stop until the device is back; what was recorded stays."""
        self.hand.release()
        if self._phase in (READY, RUNNING, SOLVED, LOST):
            self._phase, self._message = LOST, why
