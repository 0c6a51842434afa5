"""Spearman's rank correlation of each gene over spots."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard
from .pearson import pearson

__all__ = ["ENTRIES", "spearman"]


def spearman(
    truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return Pearson's r of the ranks, with the mean rank for ties; NaN where one side is constant.

    Examples
    --------
    >>> import numpy as np
    >>> spearman(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [10.0], [100.0]])).round(6).tolist()
    [1.0]
    """
    from scipy.stats import rankdata

    return pearson(rankdata(truth, axis=0), rankdata(prediction, axis=0))


ENTRIES = (
    Metric(
        MetricCard(
            "spearman",
            "Spearman's rank correlation over spots.",
            "higher",
            (-1.0, 1.0),
            citation="spearman1904",
            sets=("test",),
        ),
        lambda comparison: spearman(comparison.truth, comparison.prediction),
    ),
)
