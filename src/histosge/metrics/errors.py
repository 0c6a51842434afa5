"""Squared and absolute errors of each gene."""

from __future__ import annotations

import math

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard

__all__ = ["ENTRIES", "mae", "mse"]


def mse(truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return the mean squared error of each column.

    Examples
    --------
    >>> import numpy as np
    >>> mse(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])).tolist()
    [5.0]
    """
    # float64: sums over thousands of spots lose digits in float32
    error = truth.astype(np.float64) - prediction
    return np.asarray(np.einsum("ng,ng->g", error, error) / len(error))


def mae(truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return the mean absolute error of each column.

    Examples
    --------
    >>> import numpy as np
    >>> mae(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])).tolist()
    [2.0]
    """
    return np.asarray(np.abs(truth.astype(np.float64) - prediction).mean(axis=0))


ENTRIES = (
    Metric(
        MetricCard("mse", "Mean squared error of log1p(CP10k).", "lower", (0.0, math.inf)),
        lambda comparison: mse(comparison.truth, comparison.prediction),
    ),
    Metric(
        MetricCard("mae", "Mean absolute error of log1p(CP10k).", "lower", (0.0, math.inf)),
        lambda comparison: mae(comparison.truth, comparison.prediction),
    ),
)
