"""Genes outside the fitted panel: what the factors say of them, by regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError
from histosge.section.expression import log_cp10k

from .factored import Basis
from .winsorise import winsorised

__all__ = ["extend", "regress"]

# ratio of noise to signal in a gene, per spot; 0 and infinity are among the candidates
_PENALTIES = np.concatenate([np.logspace(-5, 3, 33), [np.inf]])
# of spots × genes worked on at a time: some megabytes stay near the processor
_BLOCK = 1 << 18
# two-sided quantile of the normal distribution that 90 of 100 fall within
_COVER, _NORMAL = 0.9, 1.6448536269514722
# what is left of the errors' variance after the factors' is taken off is never less than this part of it
_LEAST = 0.2


def extend(
    basis: Basis,
    scores: Float[np.ndarray, "s k"],
    counts: sparse.csr_matrix,
    genes: Array,
    *,
    score_sd: Float[np.ndarray, "s k"] | None = None,
) -> Basis:
    """Return the basis with loadings for all other genes that were counted.

    Genes of the panel stay as they are and come first; the others follow in the order of ``genes``; see
    :func:`regress` for how they are found. Where their patterns come from follows from their loadings.

    Parameters
    ----------
    basis
        Of the fitted panel.
    scores
        Mean of each factor at each spot, *predicted from the other spots*: these are as uncertain as those at places
        between the spots, for which the loadings are wanted, and make the estimate of skill an honest one. Scores
        that have seen their own spot promise too much.
    counts
        Raw counts of the same spots, all genes: totals are over all.
    genes
        Names of the columns of ``counts``.
    score_sd
        Standard deviation of each score, so that the uncertainty of factors is not counted as noise of the gene too.

    Raises
    ------
    DataError
        For scores that are not finite or not of these spots.
    """
    names = np.asarray(genes, dtype=str)
    further = np.flatnonzero(~np.isin(names, basis.genes))
    if counts.shape != (len(scores), len(names)) or scores.shape[1] != basis.loadings.shape[1]:
        raise DataError(
            f"Expected scores of {counts.shape[0]} spots and {basis.loadings.shape[1]} factors, got {scores.shape}."
        )
    if not len(further):
        return basis
    found = regress(names[further], log_cp10k(counts, columns=further), scores, score_sd=score_sd)
    parts = ("genes", "offset", "loadings", "noise_sd", "calibration_factor", "r_loo")
    joined = (np.concatenate([getattr(basis, part), getattr(found, part)]) for part in parts)
    return Basis(*joined, attribution=basis.attribution)


def regress(
    genes: Array,
    expression: sparse.csr_matrix,
    scores: Float[np.ndarray, "s k"],
    *,
    score_sd: Float[np.ndarray, "s k"] | None = None,
) -> Basis:
    """Return the basis that ridge regression of each gene on the factors makes.

    The penalty is each gene's own: the one of highest marginal likelihood, which is known in closed form from one
    singular value decomposition of the scores. Predictions of each spot from the others come from the diagonal of the
    hat matrix. Measurements further than three standard deviations from those are pulled in (see
    :func:`histosge.prediction.winsorise.winsorised`; rare genes are little else) and regressed again; errors are of
    the measurements as they were. With them

    * ``r_loo``: correlation of the measurement with the predicted deviation from the mean of the *other* spots. (With
      the mean left in, a gene that nothing is known of would have a correlation of −1: its prediction, the mean of the
      others, is low where the spot is high.) 0 for genes that do not vary: there is nothing to be skilled at;
    * ``noise_sd``: standard deviation of the errors beyond what ``score_sd`` explains;
    * ``calibration_factor``: such that 90 % of the errors are within the interval of 90 %.

    A gene without counts, or the same everywhere, has its value as offset and loadings 0. Nothing is ever NaN.

    Parameters
    ----------
    genes
        Names.
    expression
        log1p(CP10k), spots × genes.
    scores, score_sd
        As for :func:`extend`.

    Raises
    ------
    DataError
        For scores that are not finite.
    """
    if not np.isfinite(scores).all() or (score_sd is not None and not np.isfinite(score_sd).all()):
        raise DataError(
            "Expected finite scores of the factors, got NaN or infinity. The fit did not converge."
        )
    solver = _Ridge.on(scores, score_sd)
    columns = sparse.csc_matrix(expression)
    counted = np.flatnonzero(np.diff(columns.indptr))
    k, g = scores.shape[1], len(genes)
    # what was never counted is 0, and keeps these values
    found = [np.zeros(g), np.zeros((g, k)), np.zeros(g), np.ones(g), np.zeros(g)]
    found = [part.astype(np.float32) for part in found]
    step = max(1, _BLOCK // max(len(scores), 1))
    for start in range(0, len(counted), step):
        some = counted[start : start + step]
        for whole, part in zip(found, solver.basis(columns[:, some].toarray()), strict=True):
            whole[some] = part
    return Basis(genes, *found)


@dataclass(frozen=True, slots=True, eq=False)
class _Ridge:
    """All that is the same for every gene."""

    mean: Array
    left: Array
    singular: Array
    right: Array
    # share of each direction that each penalty keeps; what the likelihood pays for it; leverage of each spot
    kept: Array
    price: Array
    leverage: Array
    score_variance: Array | None

    @classmethod
    def on(cls, scores: Array, score_sd: Array | None) -> _Ridge:
        scores = np.asarray(scores, dtype=np.float64)
        mean = scores.mean(axis=0)
        left, singular, right = np.linalg.svd(scores - mean, full_matrices=False)
        n = len(scores)
        # in units of what one spot adds on average
        unit = max(float(np.mean(singular**2)), np.finfo(float).tiny)
        ratio = singular**2 / (_PENALTIES[:, None] * unit)
        kept = ratio / (1 + ratio)
        leverage = 1 / n + kept @ (left**2).T
        variance = None if score_sd is None else np.asarray(score_sd, dtype=np.float64) ** 2
        return cls(frozen(mean), left, singular, right, kept, np.log1p(ratio).sum(axis=1), leverage, variance)

    def basis(self, values: Array) -> tuple[Array, ...]:
        """Return offset, loadings, nugget, inflation and skill of some genes."""
        level = values.mean(axis=0)
        centred = values - level
        varies = (centred**2).sum(axis=0) > 0
        _, expected, _ = self._fitted(centred)
        slope, expected, beyond = self._fitted(winsorised(centred, expected))
        loadings = slope.T @ self.right
        offset = level - loadings @ self.mean
        r_loo = np.where(varies, _correlation(beyond, centred), 0.0)
        noise_sd, calibration_factor = self._noise(centred - expected, loadings, varies)
        parts = (offset, loadings, noise_sd, calibration_factor, r_loo)
        return tuple(part.astype(np.float32) for part in parts)

    def _fitted(self, centred: Array) -> tuple[Array, Array, Array]:
        """Return slopes along the directions, each spot's prediction from the others, and that from their mean."""
        aligned = self.left.T @ centred
        chosen = self._penalties((centred**2).sum(axis=0), aligned)
        share = self.kept[chosen].T * aligned
        # directions in which the scores do not vary have a share of 0
        slope = np.divide(
            share, self.singular[:, None], out=np.zeros_like(share), where=self.singular[:, None] > 0
        )
        freedom = np.maximum(1 - self.leverage, 1e-6)[chosen].T
        expected = centred - (centred - self.left @ share) / freedom
        # the mean of the others is low where the spot is high
        return slope, expected, expected + centred / max(len(centred) - 1, 1)

    def _penalties(self, squares: Array, aligned: Array) -> Array:
        """Return each gene's penalty of highest marginal likelihood, the noise integrated out by its best value."""
        # of the length of what is centred, one dimension is gone
        n = len(self.left) - 1
        noise = np.maximum(squares - self.kept @ aligned**2, 1e-12 * squares + np.finfo(float).tiny)
        return np.asarray((n * np.log(noise) + self.price[:, None]).argmin(axis=0))

    def _noise(self, error: Array, loadings: Array, varies: Array) -> tuple[Array, Array]:
        total = np.mean(error**2, axis=0)
        factors = np.zeros((1, 1))
        if self.score_variance is not None:
            factors = self.score_variance @ (loadings**2).T
        noise_sd = np.sqrt(np.maximum(total - np.mean(factors, axis=0), _LEAST * total))
        sd = np.sqrt(noise_sd**2 + factors)
        # genes along rows: what is sorted lies together
        scaled = np.ascontiguousarray((np.abs(error) / np.where(sd > 0, sd, 1.0)).T)
        # sorting is vectorised, which quantile's partition is not
        scaled.sort(axis=1)
        place = _COVER * (scaled.shape[1] - 1)
        low, high = scaled[:, int(place)], scaled[:, math.ceil(place)]
        calibration_factor = (low + (place - int(place)) * (high - low)) / _NORMAL
        return noise_sd, np.where(varies & (calibration_factor > 0), calibration_factor, 1.0)


def _correlation(a: Array, b: Array) -> Array:
    """Return Pearson's correlation of columns, 0 where one does not vary but for rounding."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    squares_a, squares_b = (a**2).sum(axis=0), (b**2).sum(axis=0)
    varies = squares_a > 1e-18 * squares_b
    scale = np.sqrt(squares_a * squares_b)
    return np.asarray(np.divide((a * b).sum(axis=0), scale, out=np.zeros_like(scale), where=varies))
