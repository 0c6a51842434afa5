"""The posterior variance of means over the predicted locations around each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs

from .predictor import CokrigingPredictor

__all__ = ["area_variances"]

# locations whose pairs are compared together, at most
_TILE = 256


def area_variances(
    predictor: CokrigingPredictor, inputs: Inputs, averages: Sequence[sparse.csr_matrix]
) -> list[Float[np.ndarray, "n k"]]:
    """Return the posterior variance of each factor score's mean over areas around the locations.

    A mean is linear in the process: its covariance with the inducing points is the mean of those of its locations, its
    prior variance the mean over all pairs of them (block kriging; Journel & Huijbregts 1978), and the posterior follows
    as at any location (Eq. 16 of docs/method.md).

    Parameters
    ----------
    predictor
        A fitted cokriging.
    inputs
        At the locations, of one section.
    averages
        Locations × locations: the weights of each mean, which sum to 1. Areas of later ones contain those of earlier
        ones.

    Returns
    -------
    One array for each of ``averages``.
    """
    posterior, n = predictor.posterior, len(inputs)
    along = np.empty((n, posterior.variance_dual.shape[1]), dtype=np.float32)
    deviation = np.empty((n, posterior.deviation_dual.shape[1]), dtype=np.float32)
    for rows in pieces(n, len(predictor.inducing_points)):
        covariance = predictor.with_inducing_points(inputs, rows)[0].astype(np.float32, copy=False)
        along[rows], deviation[rows] = (
            covariance @ posterior.variance_dual,
            covariance @ posterior.deviation_dual,
        )
    priors = _prior_variances(predictor, inputs, averages)
    variances = []
    for average, prior in zip(averages, priors, strict=True):
        # in the precision of what is averaged
        average = average.astype(along.dtype)
        reduction = (average @ along) ** 2 @ posterior.variance_reduction
        variance = posterior.prior_variance * np.maximum(prior[:, None] - reduction, 0.0)
        variances.append((variance + (average @ deviation) ** 2).astype(np.float32))
    return variances


def _prior_variances(
    predictor: CokrigingPredictor, inputs: Inputs, averages: Sequence[sparse.csr_matrix]
) -> Float[np.ndarray, "a n"]:
    """Return the prior variance of each mean; pairs of locations are compared once for all means of a tile."""
    priors = np.empty((len(averages), len(inputs)))
    for tile in _tiles(inputs.locations.xy, np.arange(len(inputs))):
        union = np.unique(averages[-1][tile].indices)
        covariance = _pairs(predictor, inputs, union)
        for row, average in enumerate(averages):
            weights = average[tile][:, union]
            priors[row, tile] = np.asarray(weights.multiply(weights @ covariance).sum(axis=1)).ravel()
    return priors


def _pairs(predictor: CokrigingPredictor, inputs: Inputs, rows: Array) -> Float[np.ndarray, "m m"]:
    """Return the prior covariance of all pairs of locations; of each with itself, its prior variance."""
    covariance, parts = np.empty((len(rows), len(rows))), predictor.supports(inputs, rows)
    for number, (rows_at, left) in enumerate(parts):
        for columns_at, right in parts[number:]:
            part = predictor.covariance(left, right)
            covariance[np.ix_(rows_at, columns_at)] = part
            covariance[np.ix_(columns_at, rows_at)] = part.T
    return covariance


def _tiles(xy_um: Float[np.ndarray, "n 2"], rows: Array) -> list[Array]:
    """Return parts of the locations that lie together: halves of halves, across the longer side."""
    if len(rows) <= _TILE:
        return [rows]
    axis = int(np.argmax(np.ptp(xy_um[rows], axis=0)))
    order = rows[np.argsort(xy_um[rows, axis], kind="stable")]
    middle = len(order) // 2
    return [*_tiles(xy_um, order[:middle]), *_tiles(xy_um, order[middle:])]
