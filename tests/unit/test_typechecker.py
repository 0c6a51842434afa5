"""The run-time checks of the tests catch what contradicts a hint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation, BeartypeDoorHintViolation
from jaxtyping import Float

import typechecker
from histosge.datasets import synthetic
from histosge.geometry.points import Points

if TYPE_CHECKING:
    from nowhere import Unknown

hooked = typechecker.decorator(typechecker=typechecker.check)


@hooked
def total(values: Float[np.ndarray, "n g"], weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " g"]:
    return weights @ values if weights[0] >= 0 else values[0, :-1]


@hooked
def grown(share: float, unknown: Unknown) -> int:
    return unknown if share else 0


@hooked
@dataclass
class Named:
    name: str


@hooked
def halves(
    values: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"]
) -> Iterator[Float[np.ndarray, " m"]]:
    yield values[: len(values) // 2] + other[: len(values) // 2]
    yield values[len(values) // 2 :]


def test_an_axis_has_one_length_in_a_call() -> None:
    """Arrays whose axes of one name differ in length are refused, and so are results."""
    values = np.ones((3, 2))
    assert total(values, np.ones(3)).tolist() == [3.0, 3.0]
    # other lengths in another call
    assert total(np.ones((5, 1)), np.ones(5)).tolist() == [5.0]
    for wrong in (np.ones(4), np.ones(3, dtype=int), np.ones((3, 1)), -np.ones(3)):
        with pytest.raises(BeartypeCallHintViolation):
            total(values, wrong)


def test_generators_are_checked_when_called() -> None:
    """Arguments of a generator are checked at its call, and its axes are not those of who takes its values."""
    assert [len(half) for half in halves(np.ones(4), np.ones(4))] == [2, 2]
    with pytest.raises(BeartypeDoorHintViolation):
        halves(np.ones(4), np.ones(3))

    @hooked
    def taken(values: Float[np.ndarray, " n"]) -> int:
        return sum(len(half) for half in halves(np.ones(6), np.ones(6))) + len(values)

    assert taken(np.ones(2)) == 8


def test_other_hints_are_checked_too() -> None:
    """Scalars, results and fields of data classes are checked; what only the static checker imports is not."""
    assert grown(1, 2) == 2  # an int where a float is asked for
    for share, unknown in (("1", 2), (1.0, "2")):
        with pytest.raises(BeartypeCallHintViolation):
            grown(share, unknown)
    with pytest.raises(BeartypeCallHintViolation):
        Named(3)  # type: ignore[arg-type]


def test_the_package_is_checked() -> None:
    """Functions, methods and data classes of the package have these checks while the tests run."""
    with pytest.raises(BeartypeCallHintViolation):
        synthetic(columns="8")  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintViolation):
        synthetic(8, 8, 6).truth(np.zeros((2, 3)))
    with pytest.raises(BeartypeCallHintViolation):
        Points(np.zeros((2, 2)), np.array(["A", "B"]), "55")  # type: ignore[arg-type]
