"""Calibration of predictive intervals: coverage, width and the continuous ranked probability score."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from histosge._runtime.types import Array, Bool, Float

from .base import Comparison, Metric, MetricCard

__all__ = ["ENTRIES", "coverage", "crps", "width"]

# nominal levels of the central intervals, %
_LEVELS = (50, 80, 90, 95)
_TERCILES = ("low", "middle", "high")


def coverage(
    truth: Float[np.ndarray, "n g"],
    prediction: Float[np.ndarray, "n g"],
    sd: Float[np.ndarray, "n g"],
    level: float,
) -> Float[np.ndarray, " g"]:
    """Return the fraction of values inside the central normal interval of probability ``level``.

    Expression cannot be negative: an interval that reaches below 0 ends at 0, and 0 lies inside it.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1.0], [2.0], [9.0], [4.0]])
    >>> coverage(truth, np.full((4, 1), 2.0), np.full((4, 1), 1.5), 0.9).tolist()
    [0.75]
    """
    half_width = _quantile(level) * sd
    low = np.maximum(prediction - half_width, 0.0)
    return np.asarray(((truth >= low) & (truth <= prediction + half_width)).mean(axis=0))


def width(
    prediction: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"], level: float
) -> Float[np.ndarray, " g"]:
    """Return the mean width of the interval of probability ``level``, cut at 0 as in :func:`coverage`.

    Examples
    --------
    >>> import numpy as np
    >>> width(np.full((4, 1), 9.0), np.ones((4, 1)), 0.9).round(2).tolist()
    [3.29]
    """
    half_width = _quantile(level) * sd
    return np.asarray((prediction + half_width - np.maximum(prediction - half_width, 0.0)).mean(axis=0))


def crps(
    truth: Float[np.ndarray, "n g"], prediction: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return the mean continuous ranked probability score of a normal prediction cut at 0 (Gneiting & Raftery 2007).

    The distribution is that of :func:`coverage`: expression cannot be negative, and what the normal distribution has
    below 0 is at 0.

    Parameters
    ----------
    truth
        Measured expression, never negative.
    prediction, sd
        Mean and standard deviation of the normal distribution before it is cut.

    Examples
    --------
    >>> import numpy as np
    >>> crps(np.array([[2.0]]), np.array([[2.0]]), np.array([[1.0]])).round(3).tolist()
    [0.234]
    """
    from scipy.special import ndtr

    # a standard deviation of 0 would divide by 0; the score is then the absolute error
    scale = np.maximum(sd, 1e-12)
    z = (truth - prediction) / scale
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    # Gneiting & Raftery 2007, eq. 21, with the sign reversed: lower is better
    uncut = z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi)
    # the score is the integral of (F(x) − 1{x ≥ truth})²; below 0 the cut F is 0, and what the uncut one has there,
    # ∫ Φ² from −∞ to the cut, goes
    cut = -prediction / scale
    below = cut * ndtr(cut) ** 2
    below += 2 * np.exp(-0.5 * cut**2) / math.sqrt(2 * math.pi) * ndtr(cut)
    below -= ndtr(math.sqrt(2) * cut) / math.sqrt(math.pi)
    return np.asarray((scale * (uncut - below)).mean(axis=0))


def _quantile(level: float) -> float:
    """Return the standard normal quantile that bounds the central interval of probability ``level``."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def _coverage(comparison: Comparison, level: int) -> Array | None:
    if comparison.sd is None:
        return None
    return coverage(comparison.truth, comparison.prediction, comparison.sd, level / 100)


def _width(comparison: Comparison) -> Array | None:
    return None if comparison.sd is None else width(comparison.prediction, comparison.sd, 0.9)


def _crps(comparison: Comparison) -> Array | None:
    if comparison.sd is None:
        return None
    return crps(comparison.truth, comparison.prediction, comparison.sd)


def _coverage_of_tercile(
    comparison: Comparison, stratify_by: Callable[[Comparison], Array | None], tercile: int
) -> Array | None:
    values, sd = stratify_by(comparison), comparison.sd
    if sd is None or values is None:
        return None
    rows = _in_tercile(values, tercile)
    # on a lattice many distances are equal: a tercile may be empty
    if not rows.any():
        return None
    return coverage(comparison.truth[rows], comparison.prediction[rows], sd[rows], 0.9)


def _in_tercile(values: Array, tercile: int) -> Bool[np.ndarray, " n"]:
    """Return a mask of the spots in a tercile; equal values (distances on a lattice) stay in one tercile."""
    low, high = np.quantile(values, (1 / 3, 2 / 3))
    if tercile == 0:
        return np.asarray(values <= low)
    return np.asarray((values > low) & (values <= high) if tercile == 1 else values > high)


def _depth(comparison: Comparison) -> Array | None:
    return comparison.depth


def _distance(comparison: Comparison) -> Array | None:
    return comparison.nearest_um


def _coverage_metric(
    name: str, summary: str, *, target: float, compute: Callable[[Comparison], Array | None]
) -> Metric:
    card = MetricCard(
        name, summary, "target", (0.0, 1.0), citation="gneiting2007", sets=("test",), target=target
    )
    return Metric(card, compute)


ENTRIES = (
    *(
        _coverage_metric(
            f"coverage{level}",
            f"Fraction of values inside the {level} % interval.",
            target=level / 100,
            compute=partial(_coverage, level=level),
        )
        for level in _LEVELS
    ),
    *(
        _coverage_metric(
            f"coverage90_{name}_{tercile}",
            f"Fraction of values inside the 90 % interval, in the {tercile} tercile of spots by {name}.",
            target=0.9,
            compute=partial(_coverage_of_tercile, stratify_by=stratify_by, tercile=index),
        )
        for name, stratify_by in (("depth", _depth), ("distance", _distance))
        for index, tercile in enumerate(_TERCILES)
    ),
    Metric(
        MetricCard(
            "width90",
            "Mean width of the 90 % interval.",
            "lower",
            (0.0, math.inf),
            citation="gneiting2007",
            sets=("test",),
        ),
        _width,
    ),
    Metric(
        MetricCard(
            "crps",
            "Continuous ranked probability score of the normal distribution cut at 0.",
            "lower",
            (0.0, math.inf),
            citation="gneiting2007",
            sets=("test",),
        ),
        _crps,
    ),
)
