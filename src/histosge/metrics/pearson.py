"""Pearson's correlation of each gene over spots."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard

__all__ = ["ENTRIES", "pearson"]

# relative to the size of the values: below this a column is constant, and rounding is all that varies
_FLAT = 1e-6


def pearson(truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return r of each column; NaN where one side is constant, because then there is no correlation."""
    left, left_size = _centred(truth)
    right, right_size = _centred(found)
    defined = (left_size > 0) & (right_size > 0)
    products = np.einsum("ng,ng->g", left, right)
    return np.asarray(
        np.divide(products, left_size * right_size, out=np.full(len(defined), np.nan), where=defined)
    )


def _centred(values: Float[np.ndarray, "n g"]) -> tuple[Float[np.ndarray, "n g"], Float[np.ndarray, " g"]]:
    """Return deviations from the mean and their length, 0 for constant columns."""
    values = values.astype(np.float64)
    centred = values - values.mean(axis=0)
    size = np.sqrt(np.einsum("ng,ng->g", centred, centred))
    scale = np.sqrt(np.einsum("ng,ng->g", values, values))
    return centred, np.where(size > _FLAT * scale, size, 0.0)


ENTRIES = (
    Metric(
        MetricCard(
            "pcc",
            "Pearson's correlation over spots; undefined for a constant prediction, and then counted as 0.",
            "higher",
            (-1.0, 1.0),
            "pearson1895",
        ),
        lambda case: pearson(case.truth, case.found),
    ),
)
