"""The hybrid reward (paper, section III-B, eq. 2)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from handful.errors import ConfigurationError


def check_imitation_weight(imitation_weight: float) -> None:
    """Refuse a weight outside [0, 1].

    Raises:
        ConfigurationError: it is outside.
    """
    if not 0.0 <= imitation_weight <= 1.0:
        raise ConfigurationError(
            f"the imitation weight (lambda) must lie in [0, 1], got {imitation_weight}: 0 is reinforcement learning "
            "alone, 1 is imitation alone."
        )


def hybrid_reward(
    *,
    task_reward: Float[Tensor, "time env"],
    imitation_reward: Float[Tensor, "time env"] | None,
    imitation_weight: float,
) -> Float[Tensor, "time env"]:
    """Mix the two rewards: r = lambda r_gail + (1 - lambda) r_task (paper, eq. 2).

    Args:
        task_reward: What the task paid.
        imitation_reward: What the discriminator paid; None where lambda is 0 and there is no discriminator.
        imitation_weight: lambda in [0, 1].
    """
    check_imitation_weight(imitation_weight)
    if imitation_reward is None:
        assert imitation_weight == 0.0, "only reinforcement learning alone goes without a discriminator"
        return task_reward
    return imitation_weight * imitation_reward + (1.0 - imitation_weight) * task_reward
