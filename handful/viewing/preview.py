"""A preview of a task: many random starts as the policy sees them, and moments of one scripted episode."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from handful.demonstrations.operators.scripted.script import ScriptedActor
from handful.environment import PIXELS, on_host
from handful.simulation.arms import DEFAULT_ARM
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import TaskEnvironment
from handful.tasks.episodes import SUSTAINED_STEPS
from handful.tasks.registry import make_task
from handful.viewing.sheet import VIEW_SIZE, captioned, enlarged, grid, stack, text_line

SHEET_COLUMNS = 10
"""Starts in a row of the sheet."""
SCALE = 2
"""How many times a pixel of the policy's image is repeated in each direction."""
STRIP_COLUMNS, STRIP_ROWS = 6, 2
"""Frames of the strip."""
CANDIDATES = 8
"""Scripted episodes of which the strip shows the first that succeeds, or the first if none does."""
DWELL = 10
"""Control steps that the strip shows after success is sustained."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A moment of a scripted episode."""

    picture: np.ndarray
    """A view for people, uint8 [size, size, 3]."""
    caption: str
    """Time and stage."""


def draw_preview(
    task: str,
    *,
    num_starts: int = 40,
    randomization: str = "full",
    arm: str = DEFAULT_ARM,
    seed: int = 0,
    image_size: int = 64,
    renderer: str | None = None,
) -> np.ndarray:
    """Draw a sheet of random starts, and below it the strip of a scripted episode; uint8 [height, width, 3].

    ``arm`` and ``seed`` are those of both; ``image_size`` is the height and width of the policy's image [px], which
    ``renderer`` draws (None takes the fastest).
    """
    environment = TaskEnvironment(
        make_task(task, arm=arm),
        num_envs=num_starts,
        randomization=randomization,
        image_size=image_size,
        renderer=renderer,
    )
    starts = on_host(environment.reset(seeds=[[seed, start] for start in range(num_starts)]).observation[PIXELS])
    environment.close()
    num_frames = STRIP_COLUMNS * STRIP_ROWS
    frames, success = scripted_episode(task, randomization=randomization, arm=arm, seed=seed, num_frames=num_frames)
    return stack(
        [
            text_line(f"{task}: {num_starts} random starts at randomisation {randomization}, as the policy sees them"),
            grid(list(enlarged(starts, SCALE)), num_columns=min(SHEET_COLUMNS, num_starts)),
            text_line(f"a scripted episode, which {'succeeded' if success else 'did not succeed'}"),
            draw_strip(frames, num_columns=STRIP_COLUMNS),
        ]
    )


def draw_strip(frames: list[Frame], *, num_columns: int) -> np.ndarray:
    """Moments of an episode side by side, each with its caption; uint8 [height, width, 3]."""
    return grid([captioned(frame.picture, frame.caption) for frame in frames], num_columns=num_columns)


def scripted_episode(
    task: str, *, randomization: str, seed: int, num_frames: int, arm: str = DEFAULT_ARM
) -> tuple[list[Frame], bool]:
    """Moments of a scripted episode, evenly spaced up to soon after its success, and whether it succeeded.

    The seed is that of `CANDIDATES` episodes and of the script. The first that succeeds is shown, or else the first.
    """
    made = make_task(task, arm=arm)
    environment = TaskEnvironment(made, num_envs=CANDIDATES, randomization=randomization, pixels=False)
    actor = ScriptedActor(environment, seed=seed)
    actor.reset(None)
    time_step = environment.reset(seeds=[[seed, i] for i in range(CANDIDATES)])
    parameters = {name: values.copy() for name, values in environment.parameters.items()}
    states, stages = [environment.physics.get_state()], [time_step.stage]
    top = len(environment.spec.stages) - 1
    for _ in range(environment.spec.horizon - 1):  # the last step would begin new episodes
        time_step = environment.step(actor.act(time_step))
        states.append(environment.physics.get_state())
        stages.append(time_step.stage)
        if all((stage == top).all() for stage in stages[-SUSTAINED_STEPS:]):
            break
    at_top = np.array(stages) == top  # [step, candidate]
    ends = [_first_run(at_top[:, i], SUSTAINED_STEPS) for i in range(CANDIDATES)]
    chosen = next((i for i, end in enumerate(ends) if end is not None), 0)
    end = ends[chosen]
    last = len(stages) - 1 if end is None else min(end + DWELL, len(stages) - 1)

    drawn = {name: values[chosen] for name, values in parameters.items()}
    camera = make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE)
    frames = []
    for step in np.linspace(0, last, num_frames).round().astype(int):
        environment.restore(np.array([0]), [drawn], states[step][[chosen]])
        seconds = step * environment.spec.control_timestep
        caption = f"{seconds:.1f} s  {environment.spec.stages[int(stages[step][chosen])]}"
        frames.append(Frame(environment.render(camera)[0], caption))
    camera.close()
    environment.close()
    return frames, end is not None


def _first_run(held: np.ndarray, length: int) -> int | None:
    """Last index of the first ``length`` True in a row of ``held``, bool [step]; None if there are none."""
    if len(held) < length:
        return None
    runs = np.flatnonzero(sliding_window_view(held, length).all(axis=1))
    return int(runs[0]) + length - 1 if len(runs) else None
