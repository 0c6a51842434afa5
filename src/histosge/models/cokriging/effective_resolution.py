"""From disk means and predictions of spots to the effective resolution of each gene."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import Centred
from histosge.prediction.effective_resolution import UNEXPLAINED_SLOPE, UnexplainedVariance
from histosge.section.expression import log_depth

from .block_covariance import matern

__all__ = ["FINE_RANGE_UM", "fine_share", "signal_at_spots", "unexplained_at_spots"]

#: µm; range of the structure that spots do not resolve: a cell and its neighbours
FINE_RANGE_UM = 25.0
# a gene whose halves correlate less is not measured reproducibly; or less than two standard errors
_LEAST_SIGNAL = 0.05
# of the genes whose prediction is said to explain something, as many at most do by chance
_FALSE_DISCOVERIES = 0.05
# fewer genes do not determine how genes differ: what is explained of them is not shrunk
_LEAST_GENES = 20
# correlations beyond have no finite z
_MOST_R = 0.999


def fine_share(width_um: float, spot_um: float) -> float:
    """Return the variance of the mean over a disk of fine structure, relative to that over a spot.

    Structure finer than the spots has a Matérn-3/2 covariance of 25 µm range here, about a cell and its neighbours,
    averaged over disks (block kriging; Journel & Huijbregts 1978). Spots cannot show its range.

    Examples
    --------
    >>> round(fine_share(10, 55), 1), fine_share(55, 55), round(fine_share(400, 55), 2)
    (1.8, 1.0, 0.05)
    """
    return _disk_variance(width_um / FINE_RANGE_UM) / _disk_variance(spot_um / FINE_RANGE_UM)


def _disk_variance(diameter: float) -> float:
    """Return the variance of a process of range 1 averaged over a disk.

    It is the mean covariance over the distances of pairs of its points, whose density is known (disk line picking;
    Journel & Huijbregts 1978). The quadrature of ``block_covariance`` is for disks of a few ranges at most.
    """
    from scipy.integrate import quad

    def integrand(distance: float) -> float:
        share = distance / diameter
        density = np.arccos(share) - share * np.sqrt(1 - share**2)
        return float(16 * share / (np.pi * diameter) * density * matern(np.asarray(distance), 1.0))

    near = min(1.0, diameter / 2)
    return float(quad(integrand, 0, near)[0] + quad(integrand, near, diameter, limit=200)[0])


def signal_at_spots(
    measured: Float[np.ndarray, "s g"],
    halves: tuple[Float[np.ndarray, "s g"], Float[np.ndarray, "s g"]],
    depth: Float[np.ndarray, " s"],
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Return the variance of measurements at equal depth, and the share of it that is no noise of the counts.

    What depth alone makes of a normalised count is no expression of the tissue: its logarithm is regressed out.

    Parameters
    ----------
    measured
        log1p(CP10k) at the spots.
    halves
        The same of two random halves of the molecules: their correlation gives the noise (Spearman 1910).
    depth
        Total counts of the spots.
    """
    level = log_depth(depth)
    half = np.clip(np.nan_to_num(partial_correlation(*halves, level)), 0.0, 1.0)
    own, level = Centred.of(measured), level - level.mean()
    square = float(level @ level)
    # spots of one depth have nothing to explain
    at_equal_depth = own.less((level @ own.values) ** 2 / square) if square > 0 else own
    return at_equal_depth.square / len(measured), 2 * half / (1 + half)


def unexplained_at_spots(
    variance: Float[np.ndarray, " g"],
    reliability: Float[np.ndarray, " g"],
    *,
    r: Float[np.ndarray, " g"],
    posterior: Float[np.ndarray, " g"],
    spots: int,
) -> UnexplainedVariance:
    """Return what predictions of spots that were left out of the fit leave unexplained.

    Parameters
    ----------
    variance, reliability
        Of the measurements, as :func:`signal_at_spots` returns them.
    r
        Correlation of the measurements with predictions that have not seen them, given depth; NaN where it is unknown.
    posterior
        Posterior variance of these predictions, mean over the spots.
    spots
        Number of spots.
    """
    reproducible = (reliability >= max(_LEAST_SIGNAL, 2 / spots**0.5)) & np.isfinite(r)
    r = np.nan_to_num(r)
    # the squared correlation of unrelated values is not 0 but 1/(n − 2); a negative one explains nothing
    squared = np.where(r > 0, np.maximum(r**2 - (1 - r**2) / max(spots - 2, 1), 0.0), 0.0)
    share = np.full(len(r), np.nan)
    np.divide(squared, reliability, out=share, where=reproducible)
    signal = variance * reliability
    share = _shrunken(share, r, reliability, spots)
    unexplained = (1 - np.minimum(share, 1.0)) * signal
    scale = np.minimum(unexplained / np.maximum(posterior, np.finfo(np.float64).tiny), 1.0)
    # where chance would predict as well, nothing is explained anywhere, near spots neither
    near = np.where(_above_chance(r, spots), unexplained - UNEXPLAINED_SLOPE * posterior, signal)
    return UnexplainedVariance(signal, scale, np.where(reproducible, near, np.nan))


def _shrunken(share: Array, r: Array, reliability: Array, spots: int) -> Array:
    """Return shares explained, moved towards their mean over the genes by the share of error in their variance.

    Of many genes, those that seem to be explained wholly are so in part by chance (empirical Bayes; Efron & Morris
    1973). Genes that are predicted no better than by chance take no part. The errors of r and of the correlation h of
    the halves are those of Pearson's r, (1 − r²)/√n; that of the reliability 2h/(1 + h) follows.
    """
    among = np.isfinite(share) & _above_chance(r, spots)
    if among.sum() < _LEAST_GENES:
        return share
    own, r, reliability = share[among], r[among], reliability[among]
    half = reliability / (2 - reliability)
    of_r = 2 * (1 - r**2) / r
    of_reliability = 2 * (1 - half**2) / ((1 + half) ** 2 * reliability)
    error = own**2 * (of_r**2 + of_reliability**2) / spots
    # of genes that are known well the mean is known best
    weight = 1 / (error + max(float(own.var() - error.mean()), 0.0) + np.finfo(np.float64).tiny)
    centre = float((weight * own).sum() / weight.sum())
    between = max(float((weight * ((own - centre) ** 2 - error)).sum() / weight.sum()), 0.0)
    result = share.copy()
    result[among] = centre + between / np.maximum(between + error, np.finfo(np.float64).tiny) * (own - centre)
    return result


def _above_chance(r: Array, spots: int) -> Array:
    """Return which correlations given depth are above 0, at a false-discovery rate of 5 %.

    Fisher's z of a partial correlation has variance 1/(n − 4) (Fisher 1921).
    """
    from scipy.special import ndtr
    from scipy.stats import false_discovery_control

    z = np.arctanh(np.clip(r, -_MOST_R, _MOST_R)) * max(spots - 4, 1) ** 0.5
    return np.asarray(false_discovery_control(ndtr(-z)) <= _FALSE_DISCOVERIES)
