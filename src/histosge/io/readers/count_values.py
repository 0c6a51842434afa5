"""Whether values are counts, and what they are otherwise."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array

__all__ = ["are_counts", "kind_of_values"]

# rows that are compared; a section is normalised as a whole
_ROWS = 50
# relative deviation from a whole number that single precision leaves
_ROUNDING = 1e-4
# above this a logarithm of counts per 10,000 does not go
_MAX_LOG = 20.0


def are_counts(matrix: sparse.csr_matrix) -> bool:
    """Return whether all values are whole numbers from 0.

    Examples
    --------
    >>> are_counts(sparse.csr_matrix([[0, 2.0]])), are_counts(sparse.csr_matrix([[0, 0.5]]))
    (True, False)
    """
    data = matrix.data
    if data.dtype.kind in "biu":
        return not data.size or bool(data.min() >= 0)
    return bool(np.isfinite(data).all() and (data >= 0).all() and np.array_equal(data, np.rint(data)))


def kind_of_values(matrix: sparse.csr_matrix) -> str:
    """Return in words what values that are no counts seem to be.

    In a spot that was normalised, most values are multiples of the smallest one, which is one molecule; after
    log1p that holds for expm1 of the values.

    Examples
    --------
    >>> kind_of_values(sparse.csr_matrix(np.log1p([[100.0, 200.0, 700.0]])))
    'log-normalised values'
    """
    data = matrix.data
    if not np.isfinite(data).all():
        return "missing or infinite values"
    if (data < 0).any():
        return "negative values, as scaling or centring makes them"
    rows = [row for row in _rows(matrix) if len(row) > 1]
    if rows and data.max() <= _MAX_LOG and _multiples([np.expm1(row) for row in rows]):
        return "log-normalised values"
    if rows and _multiples(rows):
        return "normalised values"
    return "fractional values, as ambient correction (SoupX, DecontX), imputation or smoothing makes them"


def _rows(matrix: sparse.csr_matrix) -> list[Array]:
    chosen = np.unique(np.linspace(0, matrix.shape[0] - 1, min(_ROWS, matrix.shape[0])).astype(int))
    rows = [matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]] for row in chosen]
    return [np.asarray(row[row > 0], dtype=np.float64) for row in rows]


def _multiples(rows: list[Array]) -> bool:
    """Return whether in most rows the values are whole multiples of the smallest."""
    ratios = [row / row.min() for row in rows]
    whole = [bool((np.abs(ratio - np.rint(ratio)) <= _ROUNDING * ratio).all()) for ratio in ratios]
    # a row whose values are all equal says nothing
    varied = [ok for ok, ratio in zip(whole, ratios, strict=True) if ratio.max() > 1.5]
    return bool(varied) and bool(sum(varied) > len(varied) / 2)
