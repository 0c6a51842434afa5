"""Squared and absolute errors of each gene."""

from __future__ import annotations

import math

import numpy as np

from histosge._runtime.types import Float

from .base import Metric, MetricCard

__all__ = ["ENTRIES", "mae", "mse"]


def mse(truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return the mean squared error of each column."""
    apart = truth.astype(np.float64) - found
    return np.asarray(np.einsum("ng,ng->g", apart, apart) / len(apart))


def mae(truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"]) -> Float[np.ndarray, " g"]:
    """Return the mean absolute error of each column."""
    return np.asarray(np.abs(truth.astype(np.float64) - found).mean(axis=0))


ENTRIES = (
    Metric(
        MetricCard("mse", "Mean squared error of log1p(CP10k).", "lower", (0.0, math.inf)),
        lambda case: mse(case.truth, case.found),
    ),
    Metric(
        MetricCard("mae", "Mean absolute error of log1p(CP10k).", "lower", (0.0, math.inf)),
        lambda case: mae(case.truth, case.found),
    ),
)
