"""Which conditions of a real robot an environment has; apart, so that help is printed without a simulator."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from msgspec import Meta

from handful.config import Config, Fraction, NonNegative


@dataclasses.dataclass(frozen=True)
class Conditions(Config):
    """What a robot does to observations and actions; by default nothing. At `full`, each episode draws how much of it."""

    named: Literal["none", "robot", "dropping"] = "none"
    """A set of them: ``robot`` has the paper's noise, proprioception at 10 Hz and a delay of up to a step each way;
    ``dropping`` also loses half of the actions, to train a policy further with. Options beside it count in its place."""
    proprioception_noise: NonNegative = 0.0
    """Standard deviation of the noise on each entry of proprioception [rad, rad/s, 1]; robot: 0.01 (believed to be the
    paper's)."""
    pixel_noise: Annotated[int, Meta(ge=0, le=255)] = 0
    """Largest integer that is added to or taken from each value of an image; robot: 5 (believed to be the paper's)."""
    action_drop: Fraction = 0.0
    """Probability that an action is lost and the last one goes on; dropping: 0.5 (believed to be the paper's)."""
    action_delay: Annotated[int, Meta(ge=0, le=10)] = 0
    """Control steps by which actions come late; robot: 1 (our choice)."""
    proprioception_delay: Annotated[int, Meta(ge=0, le=10)] = 0
    """Control steps by which joint readings come late; robot: 1 (our choice)."""
    proprioception_period: Annotated[int, Meta(ge=1, le=10)] = 1
    """Control steps between two joint readings; robot: 2, which is 10 Hz (believed to be the paper's)."""

    def resolved(self) -> Conditions:
        """The values of the named set where none are given, and no name."""
        own = dataclasses.replace(self, named="none")
        nothing, named = Conditions(), NAMED[self.named]
        values = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.name != "named"}
        return Conditions(
            **{
                name: value if value != getattr(nothing, name) else getattr(named, name)
                for name, value in values.items()
            }
        )

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.resolved() != Conditions()


_ROBOT = Conditions(
    proprioception_noise=0.01, pixel_noise=5, action_delay=1, proprioception_delay=1, proprioception_period=2
)

NAMED = {"none": Conditions(), "robot": _ROBOT, "dropping": dataclasses.replace(_ROBOT, action_drop=0.5)}
"""The named sets."""
