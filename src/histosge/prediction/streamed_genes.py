"""Genes outside the panel of very many spots: the same ridge regression by normal equations, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float, Int
from histosge.section.expression import log_cp10k

from .evidence_ridge import log_marginal_likelihood
from .winsorise import WINSORISE_SD

__all__ = ["StreamedRegression"]

# spots, and values of the sparse matrix, worked on at a time
_ROWS, _VALUES = 20_000, 200_000
# eigenvalues below this part of the largest are rounding errors
_LEAST_EIGENVALUE = 1e-12
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class StreamedRegression:
    """Ridge regressions of all genes on factor scores (Eq. 20 of docs/method.md), from sums over blocks of spots.

    Measurements are winsorised around fitted values instead of left-out ones, which are the same where spots are many;
    zeros stay as they are, so that expression stays sparse.

    Parameters
    ----------
    mean, mean_scores
        Of each gene as it was measured, and of each factor score.
    axes
        k × r: from centred scores to orthonormal columns.
    shrinkage, projections
        What is kept along each, and the winsorised genes along them.
    winsorised_mean, limit
        Mean of each winsorised gene, less ``mean``, and how far a measurement may be from the line of the first fit.
    first
        Loadings of that fit, g × k.
    choice
        Index of each gene's noise-to-signal ratio.
    spots
        How many.
    """

    mean: Float[np.ndarray, " g"]
    mean_scores: Float[np.ndarray, " k"]
    axes: Float[np.ndarray, "k r"]
    shrinkage: Float[np.ndarray, "r g"]
    projections: Float[np.ndarray, "r g"]
    winsorised_mean: Float[np.ndarray, " g"]
    limit: Float[np.ndarray, " g"]
    first: Float[np.ndarray, "g k"]
    choice: Int[np.ndarray, " g"]
    spots: int

    @classmethod
    def fit(
        cls,
        counts: sparse.csr_matrix,
        scores: Float[np.ndarray, "n k"],
        noise_ratios: Float[np.ndarray, " l"],
    ) -> StreamedRegression:
        """Regress every column of counts, as log1p(CP10k).

        Parameters
        ----------
        counts
            Of all genes.
        scores
            Factor scores of the spots, predicted without their own measurement.
        noise_ratios
            Candidates.
        """
        n = len(scores)
        mean_scores = scores.mean(axis=0, dtype=np.float64)
        total, squares, crossed = _sums(_blocks(counts), scores, counts.shape[1])
        mean = total / n
        design = _Design.of(scores, mean_scores)
        first = design.regress(crossed - np.outer(mean_scores, total), squares - n * mean**2, noise_ratios, n)
        loadings = (design.axes @ (first.shrinkage * first.projections)).T
        limit = WINSORISE_SD * np.sqrt(first.residual / n)
        line = _Line(mean, loadings.astype(np.float32), limit, mean_scores)
        moved, change, moved_crossed = _sums(_moved(counts, scores, line), scores, counts.shape[1])
        winsorised_mean = moved / n
        centred = crossed + moved_crossed - np.outer(mean_scores, total + moved)
        again = design.regress(centred, squares + change - n * (mean + winsorised_mean) ** 2, noise_ratios, n)
        return cls(
            mean,
            mean_scores,
            design.axes,
            shrinkage=again.shrinkage,
            projections=again.projections,
            winsorised_mean=winsorised_mean,
            limit=limit,
            first=loadings,
            choice=again.choice,
            spots=n,
        )

    @property
    def loadings(self) -> Float[np.ndarray, "g k"]:
        """Loadings of each gene."""
        return np.asarray((self.axes @ (self.shrinkage * self.projections)).T)

    def left_out(
        self, values: Float[np.ndarray, "b g"], scores: Float[np.ndarray, "b k"], genes: Array
    ) -> tuple[Float[np.ndarray, "b g"], Float[np.ndarray, "b g"]]:
        """Return predictions of some spots from all others, less the mean, and their winsorised measurements.

        Parameters
        ----------
        values
            log1p(CP10k) less the mean of each of these genes.
        scores
            Of these spots.
        genes
            Which.
        """
        centred = np.asarray(scores, dtype=np.float64) - self.mean_scores
        line, limit = centred @ self.first[genes].T, self.limit[genes]
        # zeros are not winsorised in the sums either
        moved = line + np.clip(values - line, -limit, limit)
        measured = np.where(values + self.mean[genes] > 0, moved, values) - self.winsorised_mean[genes]
        left = centred @ self.axes
        shrinkage = self.shrinkage[:, genes]
        fitted = left @ (shrinkage * self.projections[:, genes])
        leverage = left**2 @ shrinkage + 1 / self.spots
        return (fitted - leverage * measured) / np.maximum(1 - leverage, 1e-6), measured


@dataclass(frozen=True, slots=True, eq=False)
class _Regressed:
    shrinkage: Array
    projections: Array
    choice: Array
    # sum of squared errors of the fitted values
    residual: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Orthonormal columns of centred scores, and eigenvalues in units that make noise-to-signal ratios comparable."""

    axes: Array
    eigenvalues: Array

    @classmethod
    def of(cls, scores: Array, mean: Array) -> _Design:
        products = np.zeros((scores.shape[1],) * 2)
        for start in range(0, len(scores), _ROWS):
            part = scores[start : start + _ROWS] - mean
            products += part.T @ part
        squares, vectors = np.linalg.eigh(products)
        kept = squares > _LEAST_EIGENVALUE * max(squares[-1], _TINY)
        squares, vectors = squares[kept], vectors[:, kept]
        # a unit for each column, as that of `unfitted_genes.regress`
        unit = squares.sum() / max(len(squares), 1)
        return cls(vectors / np.sqrt(squares), squares / max(unit, _TINY))

    def regress(self, crossed: Array, total: Array, noise_ratios: Array, spots: int) -> _Regressed:
        """Regress genes whose centred sums with the scores, k × g, and sums of squares these are."""
        projections = self.axes.T @ crossed
        squares = projections**2
        residual = np.maximum(total - squares.sum(axis=0), 0.0)
        logs, _ = log_marginal_likelihood(
            self.eigenvalues, squares, residual=residual, noise_ratios=noise_ratios, n=max(spots - 1, 1)
        )
        choice = logs.argmax(axis=0)
        shrinkage = self.eigenvalues[:, None] / (self.eigenvalues[:, None] + noise_ratios[choice])
        return _Regressed(
            shrinkage, projections, choice, residual + ((1 - shrinkage) ** 2 * squares).sum(axis=0)
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """Where measurements are expected, and how far from it they may be."""

    mean: Array
    loadings: Array
    limit: Array
    mean_scores: Array

    def beyond(self, values: Array, rows: Array, genes: Array, scores: Array) -> Array:
        """Return how far each value is beyond its limit, 0 within it."""
        result = np.empty(len(values))
        for start in range(0, len(values), _VALUES):
            part = slice(start, start + _VALUES)
            own, gene = scores[rows[part]], genes[part]
            expected = self.mean[gene] + np.einsum("ik,ik->i", own, self.loadings[gene])
            error = values[part] - expected
            result[part] = error - np.clip(error, -self.limit[gene], self.limit[gene])
        return result


def _blocks(counts: sparse.csr_matrix) -> Iterator[tuple[slice, sparse.csr_matrix, Array]]:
    """Yield blocks of spots, their log1p(CP10k), and what squares of its values are to be summed."""
    for start in range(0, counts.shape[0], _ROWS):
        rows = slice(start, min(start + _ROWS, counts.shape[0]))
        block = log_cp10k(counts[rows])
        yield rows, block, block.data**2


def _moved(
    counts: sparse.csr_matrix, scores: Array, line: _Line
) -> Iterator[tuple[slice, sparse.csr_matrix, Array]]:
    """Yield blocks of spots, what winsorising adds to their values, and to the squares of these."""
    for rows, block, squares in _blocks(counts):
        row = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        centred = (scores[rows] - line.mean_scores).astype(np.float32)
        beyond = np.where(block.data > 0, line.beyond(block.data, row, block.indices, centred), 0.0)
        change = sparse.csr_matrix((-beyond, block.indices, block.indptr), shape=block.shape)
        yield rows, change, (block.data - beyond) ** 2 - squares


def _sums(
    blocks: Iterator[tuple[slice, sparse.csr_matrix, Array]], scores: Array, genes: int
) -> tuple[Array, Array, Array]:
    """Return sums of values, of what goes with them, and of values times scores, k × g."""
    total, further = np.zeros(genes), np.zeros(genes)
    crossed = np.zeros((genes, scores.shape[1]))
    for rows, block, squares in blocks:
        total += np.bincount(block.indices, weights=block.data, minlength=genes)
        further += np.bincount(block.indices, weights=squares, minlength=genes)
        crossed += block.T @ np.asarray(scores[rows], dtype=np.float64)
    return total, further, crossed.T
