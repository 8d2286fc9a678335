from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from recording import make_environment, record

from handful.demonstrations.dataset import load_demonstrations
from handful.demonstrations.sequences import demonstration_sequences
from handful.environment import OBJECT_POSITIONS, PIXELS, PROPRIOCEPTION

CUT_S = 0.5


@pytest.fixture(scope="module")
def with_images(tmp_path_factory):
    path = tmp_path_factory.mktemp("sequences") / "demonstrations.hdf5"
    record(path, 3, environment=make_environment(pixels=True))
    return load_demonstrations(path, "block-lifting")


@pytest.mark.parametrize("camera_hz", [5, 20])
def test_a_policy_sees_what_was_recorded_whatever_the_rate(with_images, camera_hz):
    environment = make_environment(num_envs=7, pixels=True, camera_hz=camera_hz)
    sequences = demonstration_sequences(with_images.cut_after_success(CUT_S), environment)
    period = 20 // camera_hz
    lengths = [each.success_step + round(CUT_S / 0.05) for each in with_images.trajectories]
    np.testing.assert_array_equal(sequences.mask.sum(axis=0), lengths)
    assert (
        len(set(sequences.frame_index[sequences.mask].tolist()))
        == len(sequences.frames)
        == len(sequences.frame_positions)
    )
    for number, (each, length) in enumerate(zip(with_images.trajectories, lengths, strict=True)):
        assert sequences.mask[:length, number].all()
        np.testing.assert_array_equal(sequences.actions[:length, number], each.actions[:length])
        observed = {name: values[:length] for name, values in each.observations.items()}
        np.testing.assert_array_equal(sequences.vectors[PROPRIOCEPTION][:length, number], observed[PROPRIOCEPTION])
        index = sequences.frame_index[:length, number]
        seen = np.arange(length) // period * period  # when the image that is seen was taken
        np.testing.assert_array_equal(sequences.frame_positions[index], observed[OBJECT_POSITIONS][seen])
        if camera_hz == 5:  # as it was recorded, to the bit
            np.testing.assert_array_equal(sequences.frames[index], observed[PIXELS])


def test_recorded_images_play_no_part(with_images):
    environment = make_environment(num_envs=4, pixels=True)
    blind = [
        dataclasses.replace(each, observations={k: v for k, v in each.observations.items() if k != PIXELS})
        for each in with_images.trajectories
    ]
    left = demonstration_sequences(with_images, environment)
    right = demonstration_sequences(dataclasses.replace(with_images, trajectories=tuple(blind)), environment)
    np.testing.assert_array_equal(left.frames, right.frames)
