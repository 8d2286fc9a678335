"""Serves a live page: an episode that steps, a page that shows it, and what a visitor asks for in between."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from handful.errors import ConfigurationError, HandfulError
from handful.runs.interruption import Interruption
from handful.runs.policies import STAND_INS, FoundPolicy, read_policy
from handful.simulation.arms import DEFAULT_ARM, find_arm
from handful.tasks.registry import make_task
from handful.viewing.gate import LOOPBACK, Gate
from handful.viewing.live_episode import MAX_SEED, LiveEpisode
from handful.viewing.page import ViewPage

SHIPPED = "the policy that ships"

SECONDS_BETWEEN_EPISODES = 1.5
"""How long the end of an episode, or a task that stays solved, is shown before the next episode begins [s]."""


def serve(
    task: str,
    policy: str | None = None,
    *,
    force: bool = False,
    arm: str | None = None,
    randomization: str = "task",
    seed: int = 0,
    host: str = LOOPBACK,
    port: int = 8080,
    on_ready: Callable[[str], None] = print,
    on_warning: Callable[[str], None] = print,
) -> None:
    """Serve a page that shows a task live, until Ctrl-C; ``on_ready`` is called with its address.

    ``on_warning`` is called with one sentence if other machines reach the page.

    The policy that acts first is what `find_policy` takes; None means the shipped policy, or the script where none ships.
    One that was trained on another task is refused, unless ``force``. The arm is by default that of the policy, and all
    who act move the same one. The seed is that of the first episode; later ones count up. If the port is taken, the next
    free one is used. Any host other than this machine's lets other machines see and steer the page, if they have the
    address with its token.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigurationError(f"expected a seed from 0 to {MAX_SEED}, got {seed}.")
    with contextlib.closing(Gate(host, port)) as gate:
        made = make_task(task, arm=arm or DEFAULT_ARM)  # a wrong name is refused before the policy is
        actors, first, found = choose_actors(task, policy, arm, any_task=force)
        made.arm = find_arm(found.arm(arm))
        live = LiveEpisode(made, found, randomization=randomization, seed=seed, any_task=force)
        with contextlib.closing(live):
            page = ViewPage(live.environment.physics, title=f"handful: {task}", gate=gate)
            with contextlib.closing(page), Interruption() as interruption:
                connect(page, live, actors, first, level=randomization)
                if gate.warning:
                    on_warning(gate.warning)
                on_ready(gate.url)
                show_until(page, live, lambda: interruption.requested)


def choose_actors(
    task: str, policy: str | None, arm: str | None, *, any_task: bool = False
) -> tuple[dict[str, str | None], str, FoundPolicy]:
    """Who can act on the page, each with the name that `find_policy` takes; who acts first, and what was read of that one.

    Raises:
        ConfigurationError: there is no such policy, or it moves another arm or, unless ``any_task``, is of another task.
    """
    named = None if policy is None else read_policy(task, policy, any_task=any_task)
    shipped = _shipped(task, arm or DEFAULT_ARM if named is None else named.arm(arm))
    actors: dict[str, str | None] = {name: name for name in STAND_INS}
    if shipped is not None:
        actors[SHIPPED] = None
    if policy is not None and named is not None:
        return {**actors, policy: policy}, policy, named
    if shipped is not None:
        return actors, SHIPPED, shipped
    return actors, "scripted", read_policy(task, "scripted")


def _shipped(task: str, arm: str) -> FoundPolicy | None:
    """The policy that ships for a task; None where there is none for the arm."""
    try:
        found = read_policy(task, None)
        found.arm(arm)
    except ConfigurationError:
        return None
    return found


def connect(page: ViewPage, live: LiveEpisode, actors: Mapping[str, str | None], actor: str, *, level: str) -> None:
    """Give the page controls that act on the episode; ``actors`` and the present ``actor`` are from `choose_actors`."""

    def act_by(name: str) -> None:
        live.act_by(actors[name])
        page.show_model(live.environment.physics)

    def restart(seed: int, level: str) -> None:
        live.restart(seed=seed, randomization=level)
        page.show_model(live.environment.physics)

    def step() -> None:
        if page.paused:
            live.step()

    page.add_controls(
        actors=list(actors), actor=actor, level=level, seed=live.seed, act_by=act_by, restart=restart, step=step
    )


def show_until(page: ViewPage, live: LiveEpisode, stopped: Callable[[], bool]) -> None:
    """Step and show at the speed that the visitor chose, and serve the visitor's requests between two steps.

    ``stopped`` is asked between two frames: an exception in the middle of a message to the page can leave locks held.
    """
    timestep = live.environment.spec.control_timestep
    due = time.monotonic()
    ended: float | None = None
    while not stopped():
        while not page.requests.empty():
            try:
                page.requests.get_nowait()()
            except HandfulError as error:
                page.complain(str(error))
            ended = None
        if not page.paused:
            live.step()
        if not page.paused and (live.over or live.status.held):
            ended = ended or time.monotonic()
            if time.monotonic() - ended > SECONDS_BETWEEN_EPISODES:
                live.go_on()
                page.show_model(live.environment.physics)
                ended = None
        else:
            ended = None
        page.show(live.environment.physics, live.pixels, live.status)
        due = max(due + timestep / page.speed, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
