from __future__ import annotations

import dataclasses
import json
import math
from typing import Literal

import pytest

from handful.config import Bound, Config, Count, Fraction, NonNegative, Positive, from_json, options_of, to_json
from handful.errors import ConfigurationError, DataError


@dataclasses.dataclass(frozen=True)
class Inner(Config):
    rate: Positive = 1.0
    sizes: tuple[Count, ...] = (3, 4)
    bound: Bound | None = None


@dataclasses.dataclass(frozen=True)
class Outer(Config):
    name: str = "a"
    share: Fraction = 0.5
    kind: Literal["x", "y"] = "x"
    least: NonNegative = 0.0
    inner: Inner = dataclasses.field(default_factory=Inner)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Outer(share=1.5), r"^share must lie in \[0, 1\], got 1.5\.$"),
        (lambda: Outer(share=float("nan")), "share must be a finite number, got nan"),
        (lambda: Outer(kind="z"), "kind must be one of x, y, got z"),
        (lambda: Outer(name=3), "name must be of the type str, got 3"),
        (lambda: Outer(least=-1), "least must be at least 0, got -1"),
        (lambda: Outer(least=math.inf), "least must be a finite number"),
        (lambda: Outer(inner={}), "inner must be a Inner"),
        (lambda: Inner(rate=0), "rate must be above 0, got 0"),
        (lambda: Inner(sizes=(3, 0)), r"sizes must be at least 1, got \(3, 0\)"),
        (lambda: Inner(sizes=3), "sizes must be of the type"),
        (lambda: Inner(bound=0.0), "bound must be above 0"),
        (lambda: Inner(rate=True), "rate must be of the type"),
    ],
)
def test_a_field_out_of_its_bounds_is_one_sentence(make, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        make()


def test_a_configuration_survives_json_infinity_and_all():
    config = Outer(name="b", inner=Inner(rate=2, sizes=(), bound=math.inf))
    assert from_json(Outer, json.loads(json.dumps(to_json(config)))) == config
    assert from_json(Outer, {}) == Outer()  # what is missing keeps its default


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"inner": {"rates": 1}}, "unknown option 'inner.rates'"),
        ({"inner": {"rate": "fast"}}, "Expected float, got str - at [$].inner.rate"),
        ({"inner": {"sizes": [1.5]}}, "Expected int, got float"),
        ({"share": 2}, "Expected float <= 1.0 - at [$].share"),
        ([], "Expected object, got array"),
    ],
)
def test_values_that_do_not_fit_are_told(values, sentence):
    with pytest.raises(DataError, match=sentence):
        from_json(Outer, values)


def test_options_are_named_as_on_the_command_line():
    assert dict(options_of(Outer())) == {
        "name": "a",
        "share": 0.5,
        "kind": "x",
        "least": 0.0,
        "inner.rate": 1.0,
        "inner.sizes": (3, 4),
        "inner.bound": None,
    }
    assert "rate" in dict(options_of(Outer(), inline=("inner",)))
