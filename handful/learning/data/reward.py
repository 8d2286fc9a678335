"""The hybrid reward (paper, section III-B, eq. 2)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def hybrid_reward(
    *,
    task_reward: Float[Tensor, "time env"],
    imitation_reward: Float[Tensor, "time env"] | None,
    imitation_weight: float,
) -> Float[Tensor, "time env"]:
    """Mix the two rewards: r = lambda r_gail + (1 - lambda) r_task (paper, eq. 2).

    lambda in [0, 1] is the imitation weight; the imitation reward is None where it is 0 and there is no discriminator.
    """
    if imitation_reward is None:
        assert imitation_weight == 0.0, "only reinforcement learning alone goes without a discriminator"
        return task_reward
    return imitation_weight * imitation_reward + (1.0 - imitation_weight) * task_reward
