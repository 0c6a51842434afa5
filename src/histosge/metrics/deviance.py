"""How well predicted rates explain the counts themselves."""

from __future__ import annotations

import math

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.section.expression import TARGET_SUM

from .base import Case, Metric, MetricCard

__all__ = ["ENTRIES", "poisson_deviance"]

# a rate below one count in 10 000 spots is not told from none, and would make the deviance infinite
_LEAST = 1e-4


def poisson_deviance(
    counts: Float[np.ndarray, "n g"], rate: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return the mean Poisson deviance 2·(k·log(k/λ) − k + λ) of each column."""
    from scipy.special import xlogy

    rate = np.maximum(rate, _LEAST)
    return np.asarray(2 * (xlogy(counts, counts / rate) - counts + rate).mean(axis=0))


def _of(case: Case) -> Array | None:
    """Read the prediction as a rate: counts per ten thousand times the spot's depth."""
    if case.counts is None or case.depth is None:
        return None
    # predictions beyond any possible count would overflow
    share = np.expm1(np.clip(case.found, 0.0, math.log1p(TARGET_SUM))) / TARGET_SUM
    return poisson_deviance(case.counts, share * case.depth[:, None])


ENTRIES = (
    Metric(
        MetricCard(
            "deviance",
            "Mean Poisson deviance of the counts, the prediction read as a rate.",
            "lower",
            (0.0, math.inf),
            "mccullagh1989",
            ("test",),
        ),
        _of,
    ),
)
