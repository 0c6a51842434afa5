"""Normalised expression from raw counts."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float

__all__ = ["TARGET_SUM", "depth", "log_cp10k", "log_depth"]

# counts per ten thousand: the default of scanpy and Seurat, and that of the HisToSGE paper
TARGET_SUM = 1e4
# values of a matrix that are worked on at a time: 32 MiB of memory
_PIECE = 1 << 22


def depth(counts: sparse.csr_matrix) -> Float[np.ndarray, " s"]:
    """Return the total counts of each spot, over all genes."""
    if counts.dtype.kind not in "iu" or counts.nnz <= _PIECE:
        return np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    # SciPy would make a copy of all values with twice the bits; sums of whole numbers are exact in any way
    total, ends = np.zeros(counts.shape[0]), np.asarray(counts.indptr)
    starts = np.searchsorted(ends, np.arange(0, ends[-1], _PIECE), side="right") - 1
    for first, last in zip(starts, [*starts[1:], counts.shape[0]], strict=True):
        sums = np.concatenate([[0.0], np.cumsum(counts.data[ends[first] : ends[last]], dtype=np.float64)])
        total[first:last] = np.diff(sums[ends[first : last + 1] - ends[first]])
    return total


def log_depth(depth: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """Return the natural logarithm of total counts; a spot without counts has that of one count.

    Examples
    --------
    >>> import numpy as np
    >>> log_depth(np.array([0.0, 1.0, np.e])).tolist()
    [0.0, 0.0, 1.0]
    """
    return np.asarray(np.log(np.maximum(np.asarray(depth, dtype=np.float64), 1.0)))


def log_cp10k(counts: sparse.csr_matrix, *, columns: Array | None = None) -> sparse.csr_matrix:
    """Return log1p(10 000 · count / total) as a sparse matrix.

    Parameters
    ----------
    counts
        Raw counts, spots × genes.
    columns
        Genes to return; totals are over all genes in any case. ``None`` returns all.

    Examples
    --------
    >>> from scipy import sparse
    >>> log_cp10k(sparse.csr_matrix([[1, 3]])).toarray().round(3).tolist()
    [[7.824, 8.923]]
    """
    scale = TARGET_SUM / np.maximum(depth(counts), 1.0)
    chosen = sparse.csr_matrix(counts if columns is None else counts[:, columns], dtype=np.float64, copy=True)
    chosen.data *= np.repeat(scale, np.diff(chosen.indptr))
    np.log1p(chosen.data, out=chosen.data)
    return chosen
