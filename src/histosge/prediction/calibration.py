"""Conformal calibration: intervals that cover as much as they promise, from leave-one-out errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array, Float, Int

__all__ = ["calibration_factor", "coverage", "coverage_of_others", "pooled_coverage"]

_LEVEL = 0.9
# half widths, in standard deviations, of the normal distribution's intervals
_HALF_WIDTHS = {
    0.5: 0.6744897501960817,
    0.8: 1.2815515655446004,
    0.9: 1.6448536269514722,
    0.95: 1.959963984540054,
}
_LEAST_SD, _LEAST_ERROR, _LEAST_FACTOR = 1e-12, 1e-9, 1e-3


def calibration_factor(
    error: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"]
) -> Float[np.ndarray, " g"]:
    """Return the factor on each gene's standard deviations that makes its 90 % interval cover 90 %.

    Conformal prediction with a normalised score (Vovk et al. 2005; Lei et al. 2018), by leave-one-out errors of one fit
    in place of a split: the jackknife, which unlike the split has no guarantee in finite samples (Barber et al. 2021).
    Eq. 18 of docs/method.md: the ⌈0.9 (n + 1)⌉-th smallest of the n values |error| / sd, over 1.645, which it is for a
    normal distribution. The rank counts n + 1 because the new measurement is one more: with ⌈0.9 n⌉ the interval covers
    too little.

    Parameters
    ----------
    error
        Measurement less prediction, of spots left out of the fit.
    sd
        Standard deviation that the model states for ``error``.

    Examples
    --------
    Of 20 errors the 19th counts:

    >>> import numpy as np
    >>> error = np.arange(1.0, 21.0)[:, None]
    >>> float(calibration_factor(error, np.ones((20, 1)))[0].round(3))
    11.551
    """
    score = _scores(error, sd)
    rank = min(len(score), math.ceil((len(score) + 1) * _LEVEL)) - 1
    # genes along rows, so that sorted values are neighbours in memory; sorting is vectorised, and six times as fast as
    # np.partition
    ordered = np.ascontiguousarray(score.T)
    ordered.sort(axis=1)
    quantile = ordered[:, rank]
    # a gene that never varies has no errors and needs no factor
    varies = np.abs(error).max(axis=0) > _LEAST_ERROR
    return np.where(varies, np.maximum(quantile / _HALF_WIDTHS[_LEVEL], _LEAST_FACTOR), 1.0)


def coverage(
    error: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"], factor: Float[np.ndarray, " g"]
) -> dict[str, list[float]]:
    """Return the share of errors inside intervals of four levels, before (``raw``) and after calibration."""
    score = _scores(error, sd)
    return {
        "levels": list(_HALF_WIDTHS),
        "raw": [float((score <= width).mean()) for width in _HALF_WIDTHS.values()],
        "coverage": [float((score <= width * factor).mean()) for width in _HALF_WIDTHS.values()],
    }


def coverage_of_others(
    error: Float[np.ndarray, "n g"], sd: Float[np.ndarray, "n g"], fold: Int[np.ndarray, " n"]
) -> dict[str, list[float]]:
    """Return the coverage of each fold's errors with the factors of the *other* folds' errors.

    With factors of the same errors nine in ten lie inside by construction, whatever the intervals are worth.

    Parameters
    ----------
    error, sd
        As for :func:`calibration_factor`.
    fold
        Fold of each spot, from 0.
    """
    tables = []
    for held in np.unique(fold):
        rows, others = fold == held, fold != held
        if others.any():
            factor = calibration_factor(error[others], sd[others])
            tables.append((int(rows.sum()), coverage(error[rows], sd[rows], factor)))
    return pooled_coverage(tables)


def pooled_coverage(tables: Sequence[tuple[int, dict[str, list[float]]]]) -> dict[str, list[float]]:
    """Return the coverage over all values, from the size and the table of each part of them."""
    weights = [size for size, _ in tables]
    raw, calibrated = (
        np.average([table[name] for _, table in tables], axis=0, weights=weights).tolist()
        for name in ("raw", "coverage")
    )
    return {"levels": list(_HALF_WIDTHS), "raw": raw, "coverage": calibrated}


def _scores(error: Array, sd: Array) -> Array:
    return np.asarray(np.abs(error) / np.maximum(sd, _LEAST_SD))
