"""The ceiling alarm: a prediction that follows the noise of the test counts has been given them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.section.expression import log_cp10k

__all__ = ["CeilingExcess", "Halves", "ceiling_excess", "halves_of"]

# fewer test spots say too little of their own noise
_SPOTS = 20
# resamplings of the spots, for the standard error
_RESAMPLINGS = 100
# the share of the noise that even the expected values seem to explain, because halves of few molecules are not quite
# like the whole: at most 0.22 in simulations from nine sections. And the standard errors that chance does not make
_NOISE_SHARE, _STANDARD_ERRORS = 0.3, 5.0
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Expression of the test spots, whole and in two halves of their molecules.

    Parameters
    ----------
    whole, first, second
        log1p(CP10k), n spots × g genes.
    """

    whole: Float[np.ndarray, "n g"]
    first: Float[np.ndarray, "n g"]
    second: Float[np.ndarray, "n g"]

    def of_genes(self, columns: Array) -> Halves:
        """Return the halves of some genes."""
        return Halves(*(part[:, columns] for part in (self.whole, self.first, self.second)))


@dataclass(frozen=True, slots=True)
class CeilingExcess:
    """How far a prediction is above the noise ceiling.

    Parameters
    ----------
    explained
        Mean over genes of the squared correlation with the measurement, less what chance adds.
    possible
        Mean over genes of the reliability: the square of the noise ceiling.
    standard_error
        Of their difference, from resampled spots; infinite where it was not needed.
    """

    explained: float
    possible: float
    standard_error: float

    @property
    def noise_share(self) -> float:
        """The share of the noise that is explained; negative below the ceiling, 1 for the counts themselves."""
        return (self.explained - self.possible) / max(1 - self.possible, _TINY)

    @property
    def certain(self) -> bool:
        """Whether the prediction has been given the counts that it is compared with."""
        excess = self.explained - self.possible
        return self.noise_share > _NOISE_SHARE and excess > _STANDARD_ERRORS * self.standard_error


def halves_of(counts: sparse.csr_matrix, columns: Array, *, seed: int = 0) -> Halves:
    """Divide the molecules of spots at random into two halves (count splitting).

    Parameters
    ----------
    counts
        Raw counts of the test spots, all genes.
    columns
        Of the genes that are predicted.
    seed
        Of the division.
    """
    rng = np.random.default_rng(seed)
    first = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    first.data = rng.binomial(np.rint(first.data).astype(np.int64), 0.5).astype(np.float64)
    parts = (counts, first, sparse.csr_matrix(counts - first))
    return Halves(*(np.asarray(log_cp10k(part, columns=columns).toarray()) for part in parts))


def ceiling_excess(prediction: Float[np.ndarray, "n g"], halves: Halves, *, seed: int = 0) -> CeilingExcess:
    """Compare the explained variance of a prediction with what the noise of the counts leaves to explain.

    The expected value of a measurement correlates with it by the square root of its reliability, and nothing that does
    not depend on its noise can do better (Spearman 1904). Squares are compared, because their mean over genes has
    almost no bias: neither negative correlations nor genes without signal have to be cut off.

    Parameters
    ----------
    prediction
        At the test spots.
    halves
        What was measured there.
    seed
        Of the resampling.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> rng = np.random.default_rng(0)
    >>> expected = rng.gamma(4.0, 2.0, (200, 40))
    >>> halves = halves_of(sparse.csr_matrix(rng.poisson(expected)), np.arange(40))
    >>> ceiling_excess(expected, halves).certain, ceiling_excess(halves.whole, halves).certain
    (False, True)
    """
    spots = len(prediction)
    if spots < _SPOTS:
        return CeilingExcess(0.0, 0.0, np.inf)
    once = np.full((1, spots), 1.0 / spots)
    explained, possible = (float(values[0]) for values in _means(prediction, halves, once))
    below = CeilingExcess(explained, possible, np.inf)
    if below.noise_share <= _NOISE_SHARE:
        return below
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(spots, np.full(spots, 1.0 / spots), size=_RESAMPLINGS) / spots
    resampled = np.subtract(*_means(prediction, halves, weights))
    return CeilingExcess(explained, possible, float(resampled.std(ddof=1)))


def _means(prediction: Array, halves: Halves, weights: Array) -> tuple[Array, Array]:
    """Return the means over genes of explained and of possible variance, one value for each row of weights."""
    r = _correlation(prediction, halves.whole, weights)
    # of n spots, those without any relation have r² = 1 / (n − 1) by chance
    explained = r * np.abs(r) - (1 - r**2) / (len(prediction) - 1)
    half = np.clip(_correlation(halves.first, halves.second, weights), -0.99, 1.0)
    return explained.mean(axis=1), (2 * half / (1 + half)).mean(axis=1)


def _correlation(x: Array, y: Array, weights: Array) -> Array:
    """Return weighted correlations over spots: weights × genes; 0 where a column does not vary."""
    x, y = (np.asarray(part, dtype=np.float64) for part in (x, y))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    mean_x, mean_y = weights @ x, weights @ y
    covariance = weights @ (x * y) - mean_x * mean_y
    variance = (weights @ x**2 - mean_x**2) * (weights @ y**2 - mean_y**2)
    return np.where(variance > _TINY, covariance / np.sqrt(np.maximum(variance, _TINY)), 0.0)
