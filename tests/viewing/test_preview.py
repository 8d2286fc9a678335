import numpy as np

from handful.viewing.preview import _first_run, draw_preview, draw_strip, scripted_episode
from handful.viewing.sheet import GAP, LINE_HEIGHT, VIEW_SIZE


def test_a_strip_shows_an_episode_up_to_its_last_stage():
    frames, success = scripted_episode("block-lifting", randomization="none", seed=0, num_frames=3)
    assert success and [frame.caption.split()[-1] for frame in frames][::2] == ["start", "lift"]
    assert frames[0].caption.startswith("0.0 s")
    strip = draw_strip(frames, num_columns=3)
    assert strip.shape == (VIEW_SIZE + LINE_HEIGHT + 2 * GAP, 3 * (VIEW_SIZE + GAP) + GAP, 3)


def test_another_arm_is_drawn():
    pictures = [
        draw_preview("block-lifting", num_starts=2, randomization="none", arm=arm, image_size=32)
        for arm in ("jaco", "panda")
    ]
    assert (pictures[0] != pictures[1]).mean() > 0.01


def test_a_run_counts_from_its_first_step_without_a_break():
    assert _first_run(np.array([True, False, True, True, True]), 3) == 4
    assert _first_run(np.array([True, False, True]), 2) is None
