"""Highly variable genes: the ``seurat_v3`` choice of Stuart et al. 2019."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Int
from histosge.errors import DataError

__all__ = ["expressed_in", "highly_variable", "spots_with_counts"]

# a gene with counts in fewer spots than this cannot be fitted; sections of more than 1000 spots need more of them
_MIN_SPOTS_SMALL, _MIN_SPOTS_LARGE, _LARGE_SECTION = 3, 10, 1000
# the loess span of seurat_v3
_SPAN = 0.3
# values of a matrix that are worked on at a time: 32 MiB of memory
_PIECE = 1 << 22
# values above which no copy of the matrix is made; sums are then rounded in another order
_MANY_VALUES = 50_000_000
# scikit-misc's loess ends the process (segmentation fault) on fewer points than this
_MIN_LOESS_GENES = 4


def highly_variable(counts: sparse.csr_matrix, n_top: int) -> Int[np.ndarray, " g"]:
    """Return the columns of the genes with the largest variance beyond what their mean explains, ascending.

    ``seurat_v3`` (Stuart et al. 2019; stuart2019): log10 variance is regressed on log10 mean by loess (span 0.3,
    degree 2); counts are standardised by the regressed standard deviation, clipped at √n, and their variance ranked.
    Of genes with equal variance the earlier one comes first.

    Parameters
    ----------
    counts
        Raw counts, spots × genes.
    n_top
        How many genes; fewer are returned where fewer vary.

    Raises
    ------
    DataError
        When no gene varies between spots.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> counts = np.array([[0, 1, 9], [0, 1, 0], [0, 2, 9], [0, 1, 0]])
    >>> highly_variable(sparse.csr_matrix(counts), 1).tolist()
    [2]
    """
    n = counts.shape[0]
    # sums of whole numbers are exact in any order of the spots; loess amplifies differences in the last digit
    mean = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() / n
    squares = _sums_of_squares(counts)
    variance = (squares - n * mean**2) / max(n - 1, 1)
    varies = np.flatnonzero(variance > 0)
    if not len(varies):
        raise DataError("Expected genes that vary between spots, got none. Check the count matrix.")
    deviation = np.zeros(len(mean))
    deviation[varies] = np.sqrt(10 ** _loess(np.log10(mean[varies]), np.log10(variance[varies])))
    score = np.zeros(len(mean))
    if counts.nnz > _MANY_VALUES:
        score[varies] = _clipped_variance_by_pieces(counts.tocsr(), mean, deviation)[varies]
    else:
        score[varies] = _clipped_variance(counts[:, varies], mean[varies], deviation[varies])
    # the column number breaks ties, independent of the sorting algorithm
    order = np.lexsort((np.arange(len(score)), -score))[: min(n_top, len(varies))]
    return np.sort(order)


def _sums_of_squares(counts: sparse.csr_matrix) -> Array:
    """Return the sum of squares of each column, exact for whole numbers, without a copy of the matrix."""
    columns, squares = counts.tocsr(), np.zeros(counts.shape[1])
    for start in range(0, len(columns.data), _PIECE):
        piece = columns.data[start : start + _PIECE].astype(np.float64)
        squares += np.bincount(columns.indices[start : start + _PIECE], piece**2, counts.shape[1])
    return squares


def expressed_in(
    counts: sparse.csr_matrix, spots: int, *, at_least: int | None = None
) -> Int[np.ndarray, " g"]:
    """Return the columns of the genes with counts in enough spots to be fitted.

    Parameters
    ----------
    counts
        Counts of the spots that may be used, a subset of the section's.
    spots
        Number of spots of the whole section.
    at_least
        In how many spots of the whole section a gene must have counts, reduced in proportion where ``counts`` holds
        fewer rows; ``None``: 3 for a section of at most 1000 spots, else 10.

    Raises
    ------
    DataError
        When no gene reaches the threshold.
    """
    if at_least is None:
        at_least = _MIN_SPOTS_LARGE if spots > _LARGE_SECTION else _MIN_SPOTS_SMALL
    threshold = max(1, round(at_least * counts.shape[0] / spots))
    columns = np.flatnonzero(spots_with_counts(counts) >= threshold)
    if not len(columns):
        raise DataError(
            f"Expected genes with counts in at least {threshold} spots, got none. Is this the right matrix?"
        )
    return np.asarray(columns)


def spots_with_counts(counts: sparse.csr_matrix) -> Int[np.ndarray, " g"]:
    """Return the number of spots in which each gene has counts."""
    number = np.zeros(counts.shape[1], dtype=np.intp)
    for start in range(0, len(counts.data), _PIECE):
        is_counted = counts.data[start : start + _PIECE] > 0
        number += np.bincount(counts.indices[start : start + _PIECE][is_counted], minlength=len(number))
    return number


def _loess(x: Array, y: Array) -> Array:
    """Return the loess curve of y over x, at x.

    Many genes of a sparse section share one mean, which makes the local fits singular; as scanpy does, the means are
    then jittered by small amounts, always the same ones.
    """
    from skmisc.loess import loess

    for jitter in (0.0, 1e-8, 1e-6, 1e-4, 1e-2) if len(x) >= _MIN_LOESS_GENES else ():
        jittered = x + jitter * np.random.default_rng(0).uniform(-1, 1, len(x))
        model = loess(jittered, y, span=_SPAN, degree=2)
        try:
            model.fit()
        except ValueError:
            continue
        fitted = np.asarray(model.outputs.fitted_values)
        if np.isfinite(fitted).all():
            return fitted
    # too few genes for a local fit: a straight line
    return np.asarray(np.polyval(np.polyfit(x, y, 1 if np.ptp(x) > 0 else 0), x))


def _clipped_variance(counts: sparse.csr_matrix, mean: Array, deviation: Array) -> Array:
    """Return the variance of the standardised counts, each clipped at √n deviations above the mean."""
    n = counts.shape[0]
    # Σ(min(x, c) − m)² = n·m² + Σx² − 2·m·Σx with clipped x: zeros of the sparse matrix need no visit
    ceiling = deviation * np.sqrt(n) + mean
    clipped = sparse.csc_matrix(counts, dtype=np.float64, copy=True)
    clipped.data = np.minimum(clipped.data, np.repeat(ceiling, np.diff(clipped.indptr)))
    total = np.asarray(clipped.sum(axis=0)).ravel()
    squares = np.asarray(clipped.multiply(clipped).sum(axis=0)).ravel()
    return np.asarray((n * mean**2 + squares - 2 * total * mean) / ((n - 1) * deviation**2))


def _clipped_variance_by_pieces(counts: sparse.csr_matrix, mean: Array, deviation: Array) -> Array:
    """Return the same of all columns, 0 where counts do not vary, without a copy of the matrix."""
    n, genes = counts.shape
    ceiling = deviation * np.sqrt(n) + mean
    total, squares = np.zeros(genes), np.zeros(genes)
    for start in range(0, len(counts.data), _PIECE):
        columns = counts.indices[start : start + _PIECE]
        clipped = np.minimum(counts.data[start : start + _PIECE], ceiling[columns])
        total += np.bincount(columns, clipped, genes)
        squares += np.bincount(columns, clipped**2, genes)
    numerator = n * mean**2 + squares - 2 * total * mean
    score = np.zeros(genes)
    return np.asarray(np.divide(numerator, (n - 1) * deviation**2, out=score, where=deviation > 0))
