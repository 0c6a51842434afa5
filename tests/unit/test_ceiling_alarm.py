"""The ceiling alarm: expected values are below the noise ceiling, and the counts themselves are above it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from histosge._runtime.types import Array
from histosge.evaluation.ceiling_alarm import Halves, ceiling_excess, halves_of
from histosge.section.expression import log_cp10k


def measured(seed: int, *, depth: float = 1.0, spots: int = 150) -> tuple[Array, Halves]:
    """Return expected values of 60 genes in log1p(CP10k), and a measurement of them."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(1.0, 4.0, 60) * depth * np.exp(rng.normal(0, 0.5, (spots, 60)))
    counts = sparse.csr_matrix(rng.poisson(rates).astype(float))
    expected = log_cp10k(sparse.csr_matrix(rates), columns=np.arange(60)).toarray()
    return expected, halves_of(counts, np.arange(60), seed=seed)


@pytest.mark.parametrize("depth", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_expected_value_raises_no_alarm(seed: int, depth: float) -> None:
    """Nobody who has not seen the counts can predict better than their expectation."""
    expected, halves = measured(seed, depth=depth)
    assert not ceiling_excess(expected, halves).certain


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_counts_in_the_prediction_raise_the_alarm(seed: int, share: float) -> None:
    """The measurement is recognised in a prediction, also where it is a part of it."""
    expected, halves = measured(seed)
    excess = ceiling_excess(share * halves.whole + (1 - share) * expected, halves)
    assert excess.certain
    assert excess.noise_share == pytest.approx(1.0 if share == 1 else excess.noise_share)
    assert excess.noise_share <= 1.0 + 1e-9


def test_bad_predictions_raise_no_alarm() -> None:
    """Constant, reversed and random predictions are below the ceiling, and so is anything at a few spots."""
    expected, halves = measured(0)
    for prediction in (
        np.zeros_like(expected),
        -halves.whole,
        np.random.default_rng(0).normal(size=expected.shape),
    ):
        assert ceiling_excess(prediction, halves).noise_share < 0
    _, few = measured(0, spots=10)
    assert not ceiling_excess(few.whole, few).certain
