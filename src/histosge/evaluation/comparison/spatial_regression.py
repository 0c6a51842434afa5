"""The difference between two regions from spots whose values are correlated over the tissue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.geometry.spacing import median_spacing_um
from histosge.models.cokriging.block_covariance import matern

__all__ = ["SpatialDifference", "regress"]

# ranges tried, from less than the spacing of the spots to beyond their extent: a trend over the section is a long range
_RANGES = 6
_SHORTEST_SPACINGS, _LONGEST_EXTENTS = 0.75, 1.3
# of the variance, what is correlated over the tissue; the remainder is noise of each spot alone
_SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
# covariances within so much of the largest restricted log likelihood are supported (Edwards 1992, two units)
_SUPPORT = 2.0
# a standard deviation below is that of a gene with one value
_CONSTANT = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class SpatialDifference:
    """Differences of genes between two regions, one value a gene; NaN for genes with one value at all spots.

    Parameters
    ----------
    difference
        Mean of the spots of the first region less that of the second.
    second
        Mean of the spots of the second region.
    adjusted
        The difference beside the smooth variation over the tissue (generalised least squares), under the covariance of
        the largest likelihood. It is smaller than ``difference`` where expression changes gradually.
    p
        Two-sided p-value of ``adjusted``, the largest over all supported covariances.
    standard_error
        Of ``adjusted``: it divided by the t of that p-value.
    best_error
        Standard error of ``adjusted`` under the covariance of the largest likelihood, which is too small on average.
    effective
        How many independent spots would have that standard error.
    """

    difference: Float[np.ndarray, " g"]
    second: Float[np.ndarray, " g"]
    adjusted: Float[np.ndarray, " g"]
    p: Float[np.ndarray, " g"]
    standard_error: Float[np.ndarray, " g"]
    best_error: Float[np.ndarray, " g"]
    effective: Float[np.ndarray, " g"]


def regress(
    values: Float[np.ndarray, "n g"], share: Float[np.ndarray, " n"], xy_um: Float[np.ndarray, "n 2"]
) -> SpatialDifference:
    """Regress each gene on the share of each spot in the first region, with spatially correlated residuals.

    Generalised least squares (Cressie 1993, § 1.3): residuals have a Matérn-3/2 covariance and noise of each spot. The
    range and the share of the noise are those of the gene, by restricted maximum likelihood on a grid. Taking the
    best covariance for the true one gives too small p-values, because 200 spots do not tell a long range from a
    difference of two regions. The p-value is therefore the largest over the covariances that the data support (Berger
    & Boos 1994, without their constant).

    Parameters
    ----------
    values
        Measured expression of the spots.
    share
        Of each spot in the first region, 0 … 1; the remainder belongs to the second.
    xy_um
        Positions of the spots.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = np.divmod(np.arange(100.0), 10)
    >>> values = rng.normal(size=(100, 1)) + 3.0 * (x[:, None] < 5)
    >>> bool(regress(values, (x < 5) * 1.0, np.column_stack([x, y])).p[0] < 0.001)
    True
    """
    from scipy import stats

    n = len(values)
    centre = values.mean(axis=0)
    centred = np.asarray(values - centre, dtype=np.float64)
    design = np.column_stack([np.ones(n), share])
    likelihood, slope, error = (np.array(part) for part in zip(*_fits(centred, design, xy_um), strict=True))
    gene = np.arange(values.shape[1])
    best = likelihood.argmax(axis=0)
    supported = likelihood >= likelihood[best, gene] - _SUPPORT
    smallest = np.where(supported, np.abs(slope) / error, np.inf).min(axis=0)
    adjusted = slope[best, gene]
    p = 2 * stats.t.sf(smallest, n - design.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        standard_error = np.abs(adjusted) / smallest
    _, difference, naive_error, base = _fit(centred, centred**2, design, np.ones(n))
    effective = np.minimum(n * np.square(naive_error / standard_error), n)
    parts = [difference, base + centre, adjusted, p, standard_error, error[best, gene], effective]
    constant = values.std(axis=0) < _CONSTANT
    return SpatialDifference(*(np.where(constant, np.nan, part) for part in parts))


def _fits(values: Array, design: Array, xy_um: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield restricted log likelihood, slope and standard error of all genes for each covariance."""
    from scipy.spatial.distance import pdist, squareform

    distance = squareform(pdist(xy_um))
    longest = _LONGEST_EXTENTS * distance.max()
    # of spots that share positions the spacing may be 0
    shortest = max(_SHORTEST_SPACINGS * median_spacing_um(xy_um), 1e-3 * longest)
    for length in np.geomspace(shortest, longest, _RANGES):
        eigenvalues, vectors = np.linalg.eigh(matern(distance, length))
        # rounding leaves eigenvalues of −1e-15
        eigenvalues = np.maximum(eigenvalues, 0.0)
        turned, turned_design = vectors.T @ values, vectors.T @ design
        squared = turned**2
        for share in _SHARES:
            # the covariance without spatial part is the same for all ranges
            if share or length <= shortest * (1 + 1e-9):
                yield _fit(turned, squared, turned_design, share * eigenvalues + 1 - share)[:3]


def _fit(values: Array, squared: Array, design: Array, variance: Array) -> tuple[Array, Array, Array, Array]:
    """Return what :func:`_fits` yields and the intercept, of independent values with these relative variances.

    ``squared`` are the squares of ``values``.
    """
    freedom = len(values) - design.shape[1]
    weighted = design / variance[:, None]
    normal = design.T @ weighted
    moments = weighted.T @ values
    coefficients = np.linalg.solve(normal, moments)
    # residual sum of squares without an n × g matrix of residuals
    squares = np.maximum(squared.T @ (1 / variance) - (coefficients * moments).sum(axis=0), 1e-300)
    # Harville 1977, with the scale of the variance integrated out
    likelihood = -0.5 * (np.log(variance).sum() + np.linalg.slogdet(normal)[1] + freedom * np.log(squares))
    error = np.sqrt(np.linalg.inv(normal)[1, 1] * squares / freedom)
    return likelihood, coefficients[1], error, coefficients[0]
