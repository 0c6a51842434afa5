"""Correlation given depth: what a prediction knows of a gene beyond the total count of each spot.

log1p(CP10k) is not free of depth: a spot with few molecules has more zeros, and in many sections the first factor of
expression is the logarithm of the total count. Total counts vary smoothly over tissue, so that a map that only follows
them correlates with almost every gene. The partial correlation leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.section.expression import log_depth

from .base import Comparison, Metric, MetricCard, ScoreSet
from .pearson import Centred

__all__ = ["ENTRIES", "correlations", "partial_correlation"]

# with three spots, residuals of a line have one degree of freedom, and r is always ±1
_LEAST_SPOTS = 4
# relative to the norm of the values: what is left of a column that is a linear function of the covariate is rounding
_ROUNDING = 1e-6


def partial_correlation(
    truth: Float[np.ndarray, "n g"], predicted: Float[np.ndarray, "n g"], covariate: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " g"]:
    """Return the correlation of each column of ``truth`` and ``predicted`` with the covariate held fixed.

    Both sides are regressed on the covariate, and Pearson's r of the residuals is taken (Yule 1907). It equals
    (r_tp − r_tc r_pc) / √((1 − r_tc²)(1 − r_pc²)).

    Parameters
    ----------
    truth, predicted
        n spots × g genes.
    covariate
        One value per spot: for depth its logarithm, as :func:`histosge.section.expression.log_depth` returns it. A
        covariate that does not vary changes nothing.

    Returns
    -------
    One value per gene; NaN where one side is constant or a linear function of the covariate, and for fewer than four
    spots.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> depth = rng.normal(size=400)
    >>> truth, predicted = (depth + 0.5 * rng.normal(size=400) for _ in range(2))
    >>> float(np.corrcoef(truth, predicted)[0, 1].round(1))
    0.8
    >>> abs(partial_correlation(truth[:, None], predicted[:, None], depth)).round(1).tolist()
    [0.0]
    """
    return correlations(truth, predicted, covariate)[1]


def correlations(
    truth: Float[np.ndarray, "n g"], predicted: Float[np.ndarray, "n g"], covariate: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Return Pearson's correlation of each column, and that with the covariate held fixed, from the same products.

    Arguments are those of :func:`partial_correlation`; the first value is that of
    :func:`~histosge.metrics.pearson.pearson`. Arrays whose columns are contiguous are the fastest.

    Examples
    --------
    >>> import numpy as np
    >>> truth, depth = np.array([[1.0], [2.0], [5.0], [4.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    >>> r, partial = correlations(truth, np.array([[1.0], [2.0], [4.0], [5.0]]), depth)
    >>> float(r[0].round(6)), float(partial[0].round(6))
    (0.9, 0.0)
    """
    left, right = Centred.of(truth), Centred.of(predicted)
    products = np.einsum("ng,ng->g", left.values, right.values)
    r = left.correlation(right, products)
    if len(truth) < _LEAST_SPOTS:
        return r, np.full(len(r), np.nan)
    covariate = np.asarray(covariate, dtype=np.float64)
    centred = covariate - covariate.mean()
    square = float(centred @ centred)
    if square > (_ROUNDING**2) * float(covariate @ covariate):
        x, y = centred @ left.values, centred @ right.values
        left, right, products = left.less(x**2 / square), right.less(y**2 / square), products - x * y / square
    return r, left.correlation(right, products)


def _pearson_given_depth(comparison: Comparison) -> Array | None:
    if comparison.depth is None:
        return None
    return partial_correlation(comparison.truth, comparison.prediction, log_depth(comparison.depth))


def _spearman_given_depth(comparison: Comparison) -> Array | None:
    from scipy.stats import rankdata

    if comparison.depth is None:
        return None
    truth, prediction = (rankdata(values, axis=0) for values in (comparison.truth, comparison.prediction))
    return partial_correlation(truth, prediction, rankdata(comparison.depth))


def _metric(
    name: str, summary: str, *, compute: Callable[[Comparison], Array | None], sets: tuple[ScoreSet, ...]
) -> Metric:
    return Metric(MetricCard(name, summary, "higher", (-1.0, 1.0), citation="yule1907", sets=sets), compute)


ENTRIES = (
    _metric(
        "pcc_given_depth",
        "Pearson's correlation over spots of the same depth: partial correlation on the log total count.",
        compute=_pearson_given_depth,
        sets=("test", "training", "pooled"),
    ),
    _metric(
        "spearman_given_depth",
        "Spearman's rank correlation over spots of the same depth: partial correlation on the rank of depth.",
        compute=_spearman_given_depth,
        sets=("test",),
    ),
)
