"""``handful preview``: a picture of a task's random starts as the policy sees them, and of one scripted episode."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro

from handful.errors import ConfigurationError

IMAGE_FORMATS = (".png", ".jpg", ".webp")

COLUMNS = 10
"""Starts in a row of the sheet."""
SCALE = 2
"""How many times a pixel of the policy's image is repeated in each direction, so that people see it."""
STRIP_COLUMNS, STRIP_ROWS = 6, 2
"""Frames of the strip."""
GAP = 4
"""Between pictures [px]."""
TEXT_HEIGHT = 22
"""Height of a line of text [px]."""
CANDIDATES = 8
"""Scripted episodes of which the strip shows the first that succeeds; if none does, the first."""
DWELL = 10
"""Control steps that the strip goes on after success has begun to last."""

BACKGROUND = (24, 24, 27)
INK = (244, 244, 245)


@dataclasses.dataclass(frozen=True)
class Options:
    """Draw many random starts of a task as the policy sees them, and one scripted episode as a strip."""

    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """Name of the task, for example block-lifting."""
    output: pathlib.Path | None = None
    """Picture to write, .png, .jpg or .webp; by default TASK.png."""
    num_starts: int = 40
    """Random starts on the sheet."""
    randomization: str = "full"
    """How much varies from start to start: none, task or full."""
    seed: int = 0
    """Seed of the starts and of the episode."""
    image_size: int = 64
    """Height and width of the policy's image [px]."""
    renderer: str | None = None
    """Who draws the images: rasterizer, raycaster or raycaster-shadows; by default the fastest."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A moment of the scripted episode."""

    picture: np.ndarray
    """Uint8 [size, size, 3]."""
    caption: str


def run(options: Options) -> None:
    """Draw and write."""
    from PIL import Image

    from handful.storage import written_when_complete

    output = options.output or pathlib.Path(f"{options.task}.png")
    _check(options, output)
    starts = _starts(options)
    frames, success = scripted_episode(
        options.task, randomization=options.randomization, seed=options.seed, num_frames=STRIP_COLUMNS * STRIP_ROWS
    )
    sheet = _compose(
        starts,
        frames,
        f"{options.task}: {len(starts)} random starts at randomisation {options.randomization}, as the policy sees them",
        f"a scripted episode, which {'succeeded' if success else 'did not succeed'}",
    )
    with written_when_complete(output) as temporary:
        Image.fromarray(sheet).save(temporary)
    print(f"Wrote {output}.")


def _check(options: Options, output: pathlib.Path) -> None:
    for name, value, least in (
        ("--num-starts", options.num_starts, 1),
        ("--image-size", options.image_size, 8),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise ConfigurationError(f"expected {name} of at least {least}, got {value}.")
    if output.suffix not in IMAGE_FORMATS:
        raise ConfigurationError(f"expected the name of a picture to end in {', '.join(IMAGE_FORMATS)}, got {output}.")
    if output.is_dir():
        raise ConfigurationError(f"expected the name of a picture to write, got the folder {output}.")


def _starts(options: Options) -> np.ndarray:
    """Images of random starts, uint8 [start, size, size, 3]; start k has the seed [seed, k]."""
    from handful.environment import PIXELS, on_host
    from handful.tasks.environment import TaskEnvironment

    environment = TaskEnvironment(
        options.task,
        num_envs=options.num_starts,
        randomization=options.randomization,
        image_size=options.image_size,
        renderer=options.renderer,
    )
    seeds = [[options.seed, start] for start in range(options.num_starts)]
    images = on_host(environment.reset(seeds=seeds).observation[PIXELS])
    environment.close()
    return images


def scripted_episode(task: str, *, randomization: str, seed: int, num_frames: int) -> tuple[list[Frame], bool]:
    """Moments of a scripted episode, evenly spaced up to soon after its success.

    Args:
        task: Name of the task.
        randomization: Level of randomisation.
        seed: Of `CANDIDATES` episodes and of the script; the first that succeeds is shown, or the first of all.
        num_frames: How many moments.

    Returns:
        The moments, and whether it succeeded.
    """
    from handful.demonstrations.operators.scripted.script import ScriptedActor
    from handful.simulation.rendering.factory import make_camera
    from handful.tasks.environment import SUSTAINED_STEPS, TaskEnvironment
    from handful.viewing.filming import VIEW_SIZE

    environment = TaskEnvironment(task, num_envs=CANDIDATES, randomization=randomization, pixels=False)
    actor = ScriptedActor(environment, seed=seed)
    actor.reset(None)
    time_step = environment.reset(seeds=[[seed, i] for i in range(CANDIDATES)])
    parameters = [
        {name: values[i].copy() for name, values in environment.parameters.items()} for i in range(CANDIDATES)
    ]
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

    camera = make_camera(None, environment.physics, width=VIEW_SIZE, height=VIEW_SIZE)
    frames = []
    for step in np.linspace(0, last, num_frames).round().astype(int):
        environment.restore(np.array([0]), [parameters[chosen]], states[step][[chosen]])
        seconds = step * environment.spec.control_timestep
        caption = f"{seconds:.1f} s  {environment.spec.stages[int(stages[step][chosen])]}"
        frames.append(Frame(environment.render(camera)[0], caption))
    camera.close()
    environment.close()
    return frames, end is not None


def _first_run(held: np.ndarray, length: int) -> int | None:
    """Last index of the first ``length`` True in a row of ``held``, bool [step]; None if there are none."""
    count = 0
    for index, value in enumerate(held):
        count = count + 1 if value else 0
        if count == length:
            return index
    return None


def _compose(starts: np.ndarray, frames: list[Frame], title: str, subtitle: str) -> np.ndarray:
    """The whole picture, uint8 [height, width, 3]."""
    images = starts.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    columns = min(COLUMNS, len(images))
    parts = [text_line(title), grid(list(images), columns), text_line(subtitle)]
    cells = [np.concatenate([frame.picture, text_line(frame.caption, frame.picture.shape[1])]) for frame in frames]
    parts.append(grid(cells, STRIP_COLUMNS))
    width = max(part.shape[1] for part in parts)
    return np.concatenate([widened(part, width) for part in parts])


def grid(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size in rows of ``columns``, with gaps."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    grid = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), BACKGROUND, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (GAP + (height + GAP) * (index // columns), GAP + (width + GAP) * (index % columns))
        grid[top : top + height, left : left + width] = picture
    return grid


def text_line(text: str, width: int | None = None) -> np.ndarray:
    """A line of text, uint8 [TEXT_HEIGHT, width, 3]; as wide as it needs if no width is given."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=13)
    line = Image.new("RGB", (width or 2 * GAP + int(font.getlength(text)) + 1, TEXT_HEIGHT), BACKGROUND)
    ImageDraw.Draw(line).text((GAP, TEXT_HEIGHT // 2), text, fill=INK, font=font, anchor="lm")
    return np.asarray(line)


def widened(picture: np.ndarray, width: int) -> np.ndarray:
    """The picture with background to its right."""
    missing = np.full((len(picture), width - picture.shape[1], 3), BACKGROUND, np.uint8)
    return np.concatenate([picture, missing], axis=1)
