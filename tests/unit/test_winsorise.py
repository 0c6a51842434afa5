"""Outlying measurements are moved towards their leave-one-out prediction, and no others."""

from __future__ import annotations

import numpy as np

from histosge.prediction.winsorise import winsorised

RNG = np.random.default_rng(3)
EXPECTED = RNG.normal(size=(400, 2)) @ RNG.normal(size=(2, 7))
NOISE = RNG.uniform(-1, 1, (400, 7))


def test_values_near_their_prediction_stay() -> None:
    """Where no error exceeds three root mean squares, values come back as they are, centred."""
    values = EXPECTED + NOISE
    assert np.allclose(winsorised(values, EXPECTED, 3.0), values - values.mean(axis=0))


def test_an_outlier_is_moved_to_the_limit() -> None:
    """One value far from its prediction comes to three root mean square errors of the gene; all others stay."""
    values = EXPECTED + NOISE
    values[5, 2] += 40.0
    error = values - EXPECTED
    excess = error[5, 2] - 3.0 * np.sqrt((error[:, 2] ** 2).mean())
    expected = values.copy()
    expected[5, 2] -= excess
    assert excess > 20
    assert np.allclose(winsorised(values, EXPECTED, 3.0), expected - expected.mean(axis=0))


def test_a_predicted_extreme_stays() -> None:
    """A value that the other spots predict is kept, five standard deviations from the mean as it is."""
    expected = EXPECTED.copy()
    expected[7] = 30.0
    values = expected + NOISE
    assert abs(values[7, 4]) > 5 * values[:, 4].std()
    assert np.allclose(winsorised(values, expected, 3.0), values - values.mean(axis=0))
