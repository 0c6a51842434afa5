"""A sparse matrix of a file, checked before compiled code reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from histosge.errors import DataError

__all__ = ["checked"]


def checked(matrix: Any, where: str) -> Any:
    """Return a matrix whose sparse indices are valid; a dense one as it is.

    SciPy's compiled code does not check indices: those out of range read foreign memory.

    Raises
    ------
    DataError
        When rows or columns are out of range, or one has two values.
    """
    if not sparse.issparse(matrix) or matrix.format not in ("csr", "csc"):
        return matrix
    try:
        if matrix.dtype.kind not in "biuf":
            raise ValueError(f"values of the type {matrix.dtype}")
        indptr = np.asarray(matrix.indptr)
        if indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > len(matrix.indices):
            raise ValueError("row pointers out of order")
        if len(matrix.indices) != len(matrix.data):
            raise ValueError("as many indices as values are expected")
        matrix.check_format(full_check=True)
    # TypeError: arrays of no dimension have no length
    except (ValueError, IndexError, TypeError) as error:
        raise DataError(f"The matrix {where} is damaged ({error}). Copy the file again.") from error
    if not matrix.has_canonical_format and _has_repeats(matrix):
        raise DataError(
            f"The matrix {where} has two values for one spot and gene. Copy the file again; where the values are to be "
            "added, call `sum_duplicates()` on the matrix and save it."
        )
    return matrix


def _has_repeats(matrix: Any) -> bool:
    # a copy: sorting changes the matrix, which may be the user's
    ordered = matrix.copy()
    ordered.sort_indices()
    ends = np.zeros(len(ordered.indices), dtype=bool)
    starts = ordered.indptr[:-1]
    ends[starts[starts < len(ends)]] = True
    return bool(((np.diff(ordered.indices) == 0) & ~ends[1:]).any())
