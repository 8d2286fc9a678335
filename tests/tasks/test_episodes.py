from __future__ import annotations

import numpy as np

from handful.tasks.episodes import EpisodeCounters


def test_success_that_holds_does_not_end_the_episodes_of_every_fourth_simulation():
    counters = EpisodeCounters(8, horizon=50, top_stage=2, held_steps=3)
    counters.begin(np.arange(8), [None] * 8)
    for _ in range(3):
        counters.count(np.full(8, 2), np.ones(8))
    assert counters.over.tolist() == [True, True, True, False] * 2
    for _ in range(47):
        counters.count(np.full(8, 2), np.ones(8))
    assert counters.over.all()
