"""Demonstrations as the learner takes them, checked against what an environment delivers."""

from __future__ import annotations

import torch

from handful.environment import PIXELS, EnvironmentSpec
from handful.errors import ConfigurationError
from handful.sequences import Sequences


def check_demonstrations(
    demonstrations: Sequences | None, spec: EnvironmentSpec, *, groups: tuple[str, ...], actions: bool = False
) -> Sequences:
    """The demonstrations, whole episodes, if a network that reads some groups, and perhaps actions, can learn from them.

    Raises:
        ConfigurationError: there are none, or they lack a group or actions, or have other sizes, or are not finite.
    """
    if demonstrations is None:
        raise ConfigurationError("imitation needs demonstrations: give some, or set the imitation weight to 0.")
    if PIXELS in groups and demonstrations.frames is None:
        raise ConfigurationError("the demonstrations hold no images, but the policy that is to clone them sees pixels.")
    if actions and demonstrations.actions is None:
        raise ConfigurationError("the demonstrations hold no actions, which cloning needs.")
    sizes = {group: spec.observations[group].shape[0] for group in groups if group != PIXELS}
    checked = {group: (demonstrations.outcomes.get(group), size) for group, size in sizes.items()}
    if demonstrations.actions is not None:
        checked["actions"] = demonstrations.actions, spec.action.shape[0]
    for name, (values, size) in checked.items():
        if values is None:
            raise ConfigurationError(f"the demonstrations hold no {name}, which a network reads.")
        rows = values[demonstrations.mask]
        if rows.shape[1] != size or rows.shape[0] == 0 or not torch.isfinite(rows).all():
            raise ConfigurationError(
                f"the demonstrations' {name.replace('_', ' ')} must be finite, of shape [samples, {size}] for {spec.task} "
                f"and at least one sample, got shape {list(rows.shape)}."
            )
    return demonstrations
