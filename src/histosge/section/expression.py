"""Normalised expression from raw counts."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float

__all__ = ["TARGET_SUM", "depth", "log_cp10k", "log_depth"]

# counts per ten thousand: the default of scanpy and Seurat, and that of the HisToSGE paper
TARGET_SUM = 1e4


def depth(counts: sparse.csr_matrix) -> Float[np.ndarray, " s"]:
    """Return the total counts of each spot, over all genes."""
    return np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()


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
