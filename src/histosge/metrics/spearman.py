"""Spearman's rank correlation of each gene over spots."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard
from .pearson import pearson

__all__ = ["ENTRIES", "spearman"]


def spearman(truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return Pearson's r of the ranks, ties sharing their mean rank; NaN where one side is constant."""
    from scipy.stats import rankdata

    return pearson(rankdata(truth, axis=0), rankdata(found, axis=0))


ENTRIES = (
    Metric(
        MetricCard(
            "spearman",
            "Spearman's rank correlation over spots.",
            "higher",
            (-1.0, 1.0),
            "spearman1904",
            ("test",),
        ),
        lambda case: spearman(case.truth, case.found),
    ),
)
