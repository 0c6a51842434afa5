"""Poisson deviance of the raw counts, given predicted rates."""

from __future__ import annotations

import math

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.section.expression import TARGET_SUM

from .base import Comparison, Metric, MetricCard

__all__ = ["ENTRIES", "poisson_deviance"]

# a rate of 0 with a positive count has infinite deviance; below one count in 10 000 spots a rate counts as that
_MINIMUM_RATE = 1e-4


def poisson_deviance(
    counts: Float[np.ndarray, "n g"], rate: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return the mean Poisson deviance 2·(k·log(k/λ) − k + λ) of each column (McCullagh & Nelder 1989).

    Examples
    --------
    >>> import numpy as np
    >>> poisson_deviance(np.array([[2.0], [4.0]]), np.array([[2.0], [4.0]])).tolist()
    [0.0]
    """
    from scipy.special import xlogy

    rate = np.maximum(rate, _MINIMUM_RATE)
    return np.asarray(2 * (xlogy(counts, counts / rate) - counts + rate).mean(axis=0))


def _deviance(comparison: Comparison) -> Array | None:
    """Turn the prediction into a rate: expected counts per ten thousand, times the depth of the spot."""
    if comparison.counts is None or comparison.depth is None:
        return None
    # a prediction above log1p(10 000) exceeds any possible count, and exp would overflow
    fraction = np.expm1(np.clip(comparison.prediction, 0.0, math.log1p(TARGET_SUM))) / TARGET_SUM
    return poisson_deviance(comparison.counts, fraction * comparison.depth[:, None])


ENTRIES = (
    Metric(
        MetricCard(
            "deviance",
            "Mean Poisson deviance of the counts, with the prediction as the rate.",
            "lower",
            (0.0, math.inf),
            citation="mccullagh1989",
            sets=("test",),
        ),
        _deviance,
    ),
)
