"""Pearson's correlation of each gene over spots: the only implementation in the package."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard

__all__ = ["ENTRIES", "pearson"]

# relative to the norm of the values: a column that varies less is constant up to rounding
_CONSTANT = 1e-6


def pearson(truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return Pearson's r of each column; NaN where one side is constant, because r is undefined there.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 3.0]])
    >>> pearson(truth, np.array([[2.0, 5.0], [4.0, 5.0], [8.0, 5.0]])).round(6).tolist()
    [1.0, nan]
    """
    left, left_norm = _centred(truth)
    right, right_norm = _centred(prediction)
    defined = (left_norm > 0) & (right_norm > 0)
    products = np.einsum("ng,ng->g", left, right)
    r = np.full(len(defined), np.nan)
    return np.asarray(np.divide(products, left_norm * right_norm, out=r, where=defined))


def _centred(values: Float[np.ndarray, "n g"]) -> tuple[Float[np.ndarray, "n g"], Float[np.ndarray, " g"]]:
    """Return deviations from the mean of each column, and their norm, which is 0 for constant columns."""
    values = values.astype(np.float64)
    centred = values - values.mean(axis=0)
    norm = np.sqrt(np.einsum("ng,ng->g", centred, centred))
    scale = np.sqrt(np.einsum("ng,ng->g", values, values))
    return centred, np.where(norm > _CONSTANT * scale, norm, 0.0)


ENTRIES = (
    Metric(
        MetricCard(
            "pcc",
            "Pearson's correlation over spots; undefined for a constant prediction, and then counted as 0.",
            "higher",
            (-1.0, 1.0),
            citation="pearson1895",
        ),
        lambda comparison: pearson(comparison.truth, comparison.prediction),
    ),
)
