"""The paper's experiments as data: which methods are trained on which tasks, and what the paper says comes out.

A new experiment is a value here and a line in `EXPERIMENTS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from handful.config import with_options
from handful.environment import OBJECT_FEATURES, PIXELS, PROPRIOCEPTION, TIME_LEFT
from handful.errors import unknown_name
from handful.runs.config import RunConfig

DEMONSTRATIONS = "demonstrations"
"""Stands for the demonstrations' mean return where a method is named."""

COMMON_CHANGES: Mapping[str, Any] = {"cloning.epochs": 0}
"""What every method of every experiment changes: none begins by cloning, as in the paper."""


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to train, as changes to what all methods of an experiment have in common."""

    name: str
    """Name on the command line and of its folder."""
    changes: Mapping[str, Any]
    """Options with other values, as `handful.config.with_options` names them."""
    needs_pixels: bool = False
    """Whether it differs from the full method only where the policy reads pixels."""


Relation = Literal["above", "level with", "not below"]


@dataclasses.dataclass(frozen=True)
class Ordering:
    """What the paper says of the final returns of two methods."""

    first: str
    """Name of a method."""
    relation: Relation
    """Where the first ends: above the second, level with it, or not below it."""
    second: str
    """Name of a method, or `DEMONSTRATIONS`."""
    tasks: tuple[str, ...]
    """Tasks of which it is said."""
    source: str
    """Where the paper says it, in its words."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A part of the picture, drawn for each task."""

    title: str
    """What it shows; empty where the name of the task says it all."""
    labels: Mapping[str, str]
    """Methods to draw, with their labels."""
    sequential: bool = False
    """Whether the methods are the values of one number, and their colours a scale."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Methods trained on tasks with the same number of steps, and what the paper says comes out."""

    name: str
    """Name on the command line, and of its files."""
    tasks: tuple[str, ...]
    """The paper's tasks."""
    methods: tuple[Method, ...]
    """What is compared."""
    panels: tuple[Panel, ...]
    """What is drawn for each task."""
    orderings: tuple[Ordering, ...]
    """What the paper says comes out."""

    def method(self, name: str) -> Method:
        """The method of that name; a `ConfigurationError` names those that there are."""
        methods = {method.name: method for method in self.methods}
        if name not in methods:
            raise unknown_name("method", name, methods)
        return methods[name]


def method_config(common: RunConfig, method: Method, seed: int) -> RunConfig:
    """The configuration of one run: the common one but for what the method changes."""
    return with_options(common, {**COMMON_CHANGES, **method.changes, "seed": seed}, inline=("trainer",))


_TASKS = ("block-lifting", "block-stacking", "clearing-blocks", "clearing-box", "pouring", "order-fulfillment")
_LONG_TASKS = _TASKS[1:]
_NO_POURING = tuple(task for task in _TASKS if task != "pouring")

_FULL = Method("full", {"imitation-weight": 0.5})
_RL = Method("rl", {"imitation-weight": 0.0})
_GAIL = Method("gail", {"imitation-weight": 1.0})

FIGURE_4 = Experiment(
    name="figure-4",
    tasks=_TASKS,
    methods=(
        _FULL,
        _RL,
        _GAIL,
        Method("rl-no-curriculum", {"imitation-weight": 0.0, "curriculum.random-start-probability": 1.0}),
    ),
    panels=(Panel("", {"full": "full", "rl": "RL", "gail": "GAIL", "rl-no-curriculum": "RL without the curriculum"}),),
    orderings=(
        Ordering("full", "above", "rl", _LONG_TASKS, "IV-C: outperforms RL and IL by a large margin"),
        Ordering("full", "above", "gail", _LONG_TASKS, "IV-C: outperforms RL and IL by a large margin"),
        Ordering("full", "level with", "rl", ("block-lifting",), "IV-C: RL is on par in block lifting"),
        Ordering("full", "above", "gail", ("block-lifting",), "IV-C: the highest returns in all six tasks"),
        Ordering("full", "above", "rl-no-curriculum", _TASKS, "IV-C: the highest returns in all six tasks"),
        Ordering("rl", "above", "rl-no-curriculum", _TASKS, "IV-C: a pronounced effect of the curriculum"),
        Ordering("rl", "above", "gail", _NO_POURING, "IV-C: RL outperforms GAIL in the other five tasks"),
        Ordering("gail", "above", "rl", ("pouring",), "IV-C: pouring is the only task where GAIL outperforms RL"),
        Ordering("full", "above", DEMONSTRATIONS, _TASKS, "IV-C: the trained agents exceed the human operator"),
    ),
)
"""Fig. 4 (paper, section IV-C): reinforcement and imitation; reward alone; imitation alone; reward alone from random
starts."""


def _sweep(weight: float) -> str:
    return "full" if weight == 0.5 else f"lambda-{weight:g}"


_WEIGHTS = tuple(round(0.1 * number, 1) for number in range(1, 10))
_STACKING = ("block-stacking",)
_INTEGRAL = "IV-C, Fig. 5a: plays an integral role"
_OPTIONAL = "IV-C, Fig. 5a: an optional component"
_RANGE = "IV-C, Fig. 5b: works well with lambda from 0.3 to 0.7"

FIGURE_5 = Experiment(
    name="figure-5",
    tasks=_STACKING,
    methods=(
        _FULL,
        _RL,
        _GAIL,
        # The time left is kept, so that the ablation is of the state alone.
        Method("value-from-pixels", {"value-function.groups": (PIXELS, PROPRIOCEPTION, TIME_LEFT)}),
        Method("no-discriminator-mask", {"discriminator.groups": (OBJECT_FEATURES, PROPRIOCEPTION)}),
        Method("no-lstm", {"policy.recurrent": False}),
        Method("no-auxiliary-task", {"ppo.auxiliary-weight": 0.0}, needs_pixels=True),
        Method("discriminator-actions", {"discriminator.use-actions": True}),
        *(Method(_sweep(weight), {"imitation-weight": weight}) for weight in _WEIGHTS if weight != 0.5),
    ),
    panels=(
        Panel(
            "without each part",
            {
                "full": "full",
                "no-lstm": "no LSTM",
                "no-auxiliary-task": "no auxiliary task",
                "discriminator-actions": "actions in the discriminator",
                "rl": "RL only",
                "gail": "GAIL only",
                "value-from-pixels": "value from pixels",
                "no-discriminator-mask": "no discriminator mask",
            },
        ),
        Panel("lambda", {_sweep(weight): f"{weight:g}" for weight in _WEIGHTS}, sequential=True),
    ),
    orderings=(
        *(
            Ordering("full", "above", other, _STACKING, _INTEGRAL)
            for other in ("rl", "gail", "value-from-pixels", "no-discriminator-mask")
        ),
        *(
            Ordering(other, "not below", "full", _STACKING, _OPTIONAL)
            for other in ("no-lstm", "no-auxiliary-task", "discriminator-actions")
        ),
        *(Ordering(_sweep(weight), "not below", "full", _STACKING, _RANGE) for weight in (0.3, 0.4, 0.6, 0.7)),
    ),
)
"""Fig. 5 (paper, section IV-C): block stacking without each part of the method, and with other weights of imitation."""

EXPERIMENTS = {experiment.name: experiment for experiment in (FIGURE_4, FIGURE_5)}
"""Every experiment by its name."""


def find_experiment(name: str) -> Experiment:
    """The experiment of that name; a `ConfigurationError` names those that there are."""
    if name not in EXPERIMENTS:
        raise unknown_name("figure", name, EXPERIMENTS)
    return EXPERIMENTS[name]
