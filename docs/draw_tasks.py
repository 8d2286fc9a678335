"""Draws the picture of the six tasks: a row of moments of a scripted episode of each.

python docs/draw_tasks.py docs/images/tasks.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from handful.cli.preview import grid, scripted_episode, text_line, widened
from handful.tasks.registry import TASKS

NUM_FRAMES = 5
SEEDS = {"order-fulfillment": 3}
"""Episodes that show most; 0 where none is named."""


def main() -> None:
    """Draw and write."""
    rows = []
    for task in TASKS:
        frames, success = scripted_episode(task, randomization="full", seed=SEEDS.get(task, 0), num_frames=NUM_FRAMES)
        assert success, task
        cells = [np.concatenate([frame.picture, text_line(frame.caption, frame.picture.shape[1])]) for frame in frames]
        rows += [text_line(task), grid(cells, NUM_FRAMES)]
    width = max(row.shape[1] for row in rows)
    picture = Image.fromarray(np.concatenate([widened(row, width) for row in rows]))
    picture.quantize(256).save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
