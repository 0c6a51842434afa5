"""Genes outside the fitted panel, predicted by ridge regression on the factor scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.metrics.given_depth import correlations
from histosge.section.depth_adjusted import depth_adjusted
from histosge.section.expression import depth as depth_of
from histosge.section.expression import log_cp10k, log_depth

from .accuracy import GeneAccuracy
from .calibration import calibration_factor
from .evidence_ridge import RidgeDesign
from .factored import Basis
from .streamed_genes import StreamedRegression
from .winsorise import winsorised

__all__ = ["MANY_SPOTS", "extend", "regress"]

# noise-to-signal ratios of a gene, per factor; 0 and infinity are near enough and among the candidates
NOISE_RATIOS = np.concatenate([np.logspace(-5, 3, 33), [np.inf]])
# spots × genes computed at a time: some megabytes stay in the processor's cache
_BLOCK = 1 << 18
#: more spots are regressed block by block, and genes judged at some of them
MANY_SPOTS = 50_000
_JUDGED_SPOTS = 5000
# measurement noise is at least this share of the squared error, whatever variance the factor scores explain
_LEAST_NOISE = 0.2


def extend(
    basis: Basis,
    scores: Float[np.ndarray, "s k"],
    counts: sparse.csr_matrix,
    genes: Array,
    *,
    score_sd: Float[np.ndarray, "s k"] | None = None,
    at_mean_depth: bool = False,
) -> Basis:
    """Return the basis with loadings for all other measured genes.

    The genes of the panel come first and stay as they are; the others follow in the order of ``genes``, fitted by
    :func:`regress`. Their variance attribution follows from their loadings.

    Parameters
    ----------
    basis
        Of the fitted panel.
    scores
        Leave-one-out mean of each factor score at each spot. Their uncertainty is that of scores between the spots,
        where the loadings will be used, and it makes ``r_loo`` an honest estimate. Scores that were fitted to the
        spot itself would promise too much.
    counts
        Raw counts of the same spots, all genes: totals are over all genes.
    genes
        Names of the columns of ``counts``.
    score_sd
        Standard deviation of each score; their variance is then not counted as noise of the gene.
    at_mean_depth
        Whether the genes are adjusted for depth, as those of the panel were.

    Raises
    ------
    DataError
        For scores that are not finite, or of other spots.
    """
    names = np.asarray(genes, dtype=str)
    outside = np.flatnonzero(~np.isin(names, basis.genes))
    if counts.shape != (len(scores), len(names)) or scores.shape[1] != basis.loadings.shape[1]:
        raise DataError(
            f"Expected scores of {counts.shape[0]} spots and {basis.loadings.shape[1]} factors, got {scores.shape}."
        )
    if not len(outside):
        return basis
    if len(scores) > MANY_SPOTS and not at_mean_depth:
        further = _regress_many(names, outside, counts, scores, score_sd=score_sd)
        return basis.joined(replace(further, fitted=np.zeros(len(further), dtype=bool)))
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    expression = log_cp10k(counts, columns=outside)
    further = regress(
        names[outside], expression, scores, score_sd=score_sd, depth=depth, at_mean_depth=at_mean_depth
    )
    return basis.joined(replace(further, fitted=np.zeros(len(further), dtype=bool)))


def regress(
    genes: Array,
    expression: sparse.csr_matrix,
    scores: Float[np.ndarray, "s k"],
    *,
    score_sd: Float[np.ndarray, "s k"] | None = None,
    depth: Float[np.ndarray, " s"] | None = None,
    at_mean_depth: bool = False,
) -> Basis:
    """Return the basis of genes that are regressed on factor scores (Eq. 20 of docs/method.md).

    Each gene has the noise-to-signal ratio of highest marginal likelihood (:mod:`.evidence_ridge`). Measurements are
    winsorised at three root mean square leave-one-out errors, because the counts of rare genes are few and outlying,
    and regressed again; the errors below are of the measurements before winsorising.

    * ``r_loo``: correlation of the measurement with the leave-one-out prediction less the mean of the *other* spots.
      With that mean, a gene without signal would have a correlation of −1: the mean of the others is low where the
      spot is high. 0 for genes that do not vary.
    * ``r_loo_given_depth``, bounds and grade: see :class:`histosge.prediction.accuracy.GeneAccuracy`. Genes without
      counts have no grade and tell nothing of the others.
    * ``noise_sd``: standard deviation of the errors beyond the variance of the factor scores.
    * ``calibration_factor``: conformal, see :func:`histosge.prediction.calibration.calibration_factor`.

    A gene without counts, or with the same value everywhere, has this value as offset and loadings 0. No entry is NaN.

    Parameters
    ----------
    genes
        Names.
    expression
        log1p(CP10k), spots × genes.
    scores, score_sd
        As for :func:`extend`.
    depth
        Total counts of each spot; ``None``: unknown, and there are no grades.
    at_mean_depth
        Whether expression is adjusted for ``depth`` first, which is then needed.

    Raises
    ------
    DataError
        For scores that are not finite.
    """
    _refuse_not_finite(scores, score_sd)
    scores = np.asarray(scores, dtype=np.float64)
    design = RidgeDesign.of(scores, unit="column", intercept=True)
    variance = None if score_sd is None else np.asarray(score_sd, dtype=np.float32) ** 2
    columns = sparse.csc_matrix(expression)
    counted = np.flatnonzero(np.diff(columns.indptr))
    covariate = None if depth is None else log_depth(depth)
    k, g = scores.shape[1], len(genes)
    # genes without counts keep these values
    basis = [np.zeros(g), np.zeros((g, k)), np.zeros(g), np.ones(g), np.zeros(g), np.zeros(g)]
    basis = [column.astype(np.float32) for column in basis]
    step = max(1, _BLOCK // max(len(scores), 1))
    for start in range(0, len(counted), step):
        some = counted[start : start + step]
        # the values of a gene are neighbours in memory
        values = columns[:, some].T.toarray().T
        values = depth_adjusted(values, depth) if at_mean_depth and depth is not None else values
        block = _regress_block(values, design, scores.mean(axis=0), variance, covariate)
        for column, part in zip(basis, block, strict=True):
            column[some] = part
    result = Basis(genes, *basis[:-1])
    if depth is None:
        return result
    # genes without counts would tell the others that there is no signal
    r, partial = np.full((2, g), np.nan)
    r[counted], partial[counted] = basis[-2][counted], basis[-1][counted]
    accuracy = GeneAccuracy.of(r, partial, spots=len(scores))
    return replace(result.with_accuracy(accuracy), r_loo=result.r_loo)


def _refuse_not_finite(scores: Array, score_sd: Array | None) -> None:
    if not np.isfinite(scores).all() or (score_sd is not None and not np.isfinite(score_sd).all()):
        raise DataError("Expected finite factor scores, got NaN or infinity. The fit did not converge.")


def _regress_many(
    names: Array,
    columns: Array,
    counts: sparse.csr_matrix,
    scores: Array,
    *,
    score_sd: Array | None,
) -> Basis:
    """Return the basis of some genes of very many spots: regressed on all, judged at 5000 in even steps."""
    _refuse_not_finite(scores, score_sd)
    regression = StreamedRegression.fit(counts, scores, NOISE_RATIOS)
    rows = np.unique(np.linspace(0, len(scores) - 1, _JUDGED_SPOTS).round().astype(np.intp))
    # totals are over all genes
    expression = sparse.csc_matrix(log_cp10k(counts[rows]))
    variance = None if score_sd is None else np.asarray(score_sd[rows], dtype=np.float64) ** 2
    covariate, parts = log_depth(depth_of(counts[rows])), []
    for some in np.array_split(columns, max(1, len(columns) * len(rows) // (8 * _BLOCK))):
        centred = expression[:, some].toarray() - regression.mean[some]
        left_out, measured = regression.left_out(centred, scores[rows], some)
        judged = _Judged(centred, left_out, measured, loadings=regression.loadings[some], spots=len(scores))
        signal = np.isfinite(NOISE_RATIOS[regression.choice[some]])
        parts.append(
            judged.columns(regression.mean[some], regression.mean_scores, variance, covariate, signal=signal)
        )
    basis = [np.concatenate(column) for column in zip(*parts, strict=True)]
    result, counted = Basis(names[columns], *basis[:-1]), regression.mean[columns] > 0
    r, partial = (np.where(counted, column, np.nan) for column in basis[-2:])
    accuracy = GeneAccuracy.of(r, partial, spots=len(rows))
    return replace(result.with_accuracy(accuracy), r_loo=result.r_loo)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Some genes at some spots: measured, predicted without the spot, winsorised; ``spots`` were regressed."""

    centred: Array
    left_out: Array
    winsorised: Array
    loadings: Array
    spots: int

    def columns(
        self,
        mean: Array,
        mean_scores: Array,
        score_variance: Array | None,
        covariate: Array | None,
        *,
        signal: Array,
    ) -> tuple[Array, ...]:
        """Return offset, loadings, noise_sd, calibration_factor, r_loo and r_loo_given_depth."""
        centred, loadings = self.centred, self.loadings
        varies = (centred**2).sum(axis=0) > 0
        # the mean of the others is −value / (n − 1) in centred values
        others = self.winsorised / -max(self.spots - 1, 1)
        signal, predicted = varies & signal, self.left_out - others
        r_loo, partial = correlations(
            centred, predicted, np.zeros(len(centred)) if covariate is None else covariate
        )
        r_loo, partial = (np.where(signal, np.nan_to_num(r), 0.0) for r in (r_loo, partial))
        error = centred - self.left_out
        explained = (
            np.zeros(error.shape)
            if score_variance is None
            else (loadings.astype(error.dtype) ** 2 @ score_variance.T).T
        )
        noise = _noise_variance(error, explained)
        factor = calibration_factor(error, np.sqrt(noise + explained))
        factor = np.where(varies, factor, 1.0)
        columns = (mean - loadings @ mean_scores, loadings, np.sqrt(noise), factor, r_loo, partial)
        return tuple(column.astype(np.float32) for column in columns)


def _regress_block(
    values: Array,
    design: RidgeDesign,
    mean_scores: Array,
    score_variance: Array | None,
    covariate: Array | None,
) -> tuple[Array, ...]:
    """Return offset, loadings, noise_sd, calibration_factor, r_loo and r_loo_given_depth of some genes."""
    mean = values.mean(axis=0)
    # left-out predictions in single precision, which halves the memory that is read and written
    centred = (values - mean).astype(np.float32)
    first = design.fit(centred, NOISE_RATIOS)
    winsorised_values = winsorised(centred, first.left_out)
    fit = design.fit(winsorised_values, NOISE_RATIOS)
    judged = _Judged(centred, fit.left_out, winsorised_values, loadings=fit.coefficients.T, spots=len(values))
    signal = np.isfinite(NOISE_RATIOS[fit.choice])
    return judged.columns(mean, mean_scores, score_variance, covariate, signal=signal)


def _noise_variance(error: Array, explained: Array) -> Array:
    """Return the mean squared error of each gene less the variance of its factor scores (Eq. 17 of docs/method.md)."""
    squared = np.mean(error**2, axis=0)
    return np.asarray(np.maximum(squared - np.mean(explained, axis=0), _LEAST_NOISE * squared))
