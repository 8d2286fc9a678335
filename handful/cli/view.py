"""``handful view``: watch a task live in the browser."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated

import tyro

from handful.errors import ConfigurationError, HandfulError
from handful.runs.interruption import Interruption

LOOPBACK = "127.0.0.1"

SHIPPED = "the policy that ships"

SECONDS_BETWEEN_EPISODES = 1.5
"""How long the end of an episode is shown before the next one begins [s]."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Watch a task live in the browser: the scene, the policy's view, stage and reward, and who acts to choose."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    policy: str | None = None
    """Who acts first: a policy file, the folder of a run, or zero, random or scripted; by default the policy that ships
    with handful, or the script where none ships."""
    randomization: str = "task"
    """How much varies from episode to episode: none, task or full."""
    seed: int = 0
    """Seed of the first episode; those that follow count up."""
    host: str = LOOPBACK
    """Address to listen on. Any other than this lets other machines see and steer the page."""
    port: int = 8080
    """Port to listen on; if it is taken, the next free one."""


def run(options: Options) -> None:
    """Serve the page until interrupted."""
    from handful.tasks.registry import make_task
    from handful.viewing.live_episode import LiveEpisode
    from handful.viewing.page import ViewPage

    if options.seed < 0:
        raise ConfigurationError(f"expected a seed of at least 0, got {options.seed}.")
    if not 0 < options.port < 65536:
        raise ConfigurationError(f"expected a port from 1 to 65535, got {options.port}.")
    task = make_task(options.task)
    actors, first = _actors(options)
    live = LiveEpisode(task, actors[first], randomization=options.randomization, seed=options.seed)
    try:
        page = ViewPage(
            live.environment.physics, title=f"handful: {options.task}", host=options.host, port=options.port
        )
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {options.host}: {error.strerror or error}.") from error
    try:
        _add_controls(page, live, options, actors, first)
        with Interruption() as interruption:
            print(f"{options.task} is to be seen at {page.url} (Ctrl-C ends).", flush=True)
            _serve(page, live, interruption)
        print()
    finally:
        page.close()
        live.close()


def _actors(options: Options) -> tuple[dict[str, str | None], str]:
    """Who can act, as the page names them and as `find_policy` does, and who acts first."""
    from handful.runs.policies import STAND_INS, find_policy

    actors: dict[str, str | None] = {name: name for name in STAND_INS}
    try:
        find_policy(options.task, None)
        actors[SHIPPED] = None
    except ConfigurationError:
        pass
    if options.policy is None:
        return actors, SHIPPED if SHIPPED in actors else "scripted"
    return {**actors, options.policy: options.policy}, options.policy


def _add_controls(page, live, options: Options, actors: dict[str, str | None], first: str) -> None:
    from handful.simulation.randomization import Level

    def act_by(name: str) -> None:
        live.act_by(actors[name])
        page.show_world(live.environment.physics)

    def restart(seed: int, level: str) -> None:
        live.restart(seed=seed, randomization=level)
        page.show_world(live.environment.physics)

    def step() -> None:
        if page.paused:
            live.step()

    page.add_controls(
        actors=list(actors),
        actor=first,
        levels=[level.name.lower() for level in Level],
        level=options.randomization,
        seed=options.seed,
        act_by=act_by,
        restart=restart,
        step=step,
    )


def _serve(page, live, interruption: Interruption) -> None:
    """Step and show, at the speed that the visitor chose, and do what the visitor asks for in between, until Ctrl-C."""
    timestep = live.environment.spec.control_timestep
    due = time.monotonic()
    ended: float | None = None
    while not interruption.requested:  # an exception in the midst of a message to the page can leave its locks held
        while not page.requests.empty():
            try:
                page.requests.get()()
            except HandfulError as error:
                page.complain(str(error))
            ended = None
        if not page.paused:
            live.step()
        if live.over and not page.paused:
            ended = time.monotonic() if ended is None else ended
            if time.monotonic() - ended > SECONDS_BETWEEN_EPISODES:
                live.restart(seed=live.seed + 1)
                page.show_world(live.environment.physics)
                ended = None
        page.show(live.environment.physics, live.pixels, live.status)
        due = max(due + timestep / page.speed, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
