"""A sparse matrix on disk whose columns arrive in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from histosge.errors import DataError

from .packed import PACKED

__all__ = ["Columns", "put"]

# values of a chunk of the growing datasets
_CHUNK = 1 << 16


def put(
    group: Any, name: str, shape: tuple[int, int], blocks: Iterable[sparse.csc_matrix], dtype: str
) -> None:
    """Write blocks of columns as a CSC matrix that AnnData reads; one block is in memory at a time.

    Parameters
    ----------
    group, name
        Group of an open HDF5 file, and name of the new matrix.
    shape
        Rows and columns of the whole matrix.
    blocks
        Blocks of columns in order.
    dtype
        Type of the values.

    Raises
    ------
    DataError
        When the blocks have more or fewer columns than ``shape``.
    """
    columns = Columns(group, name, shape, dtype)
    for block in blocks:
        columns.append(block)
    columns.finish()


class Columns:
    """A CSC matrix that grows by blocks of columns; the parameters are those of :func:`put`."""

    def __init__(self, group: Any, name: str, shape: tuple[int, int], dtype: str) -> None:
        self._matrix, self._columns = group.create_group(name), shape[1]
        self._matrix.attrs.update(
            {"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": shape}
        )
        self._parts = {
            part: self._matrix.create_dataset(
                part, (0,), maxshape=(None,), dtype=kind, chunks=(_CHUNK,), **PACKED
            )
            for part, kind in (("data", dtype), ("indices", "i4"))
        }
        # small: kept in memory and written last
        self._ends = [np.zeros(1, dtype=np.int64)]

    def append(self, block: sparse.csc_matrix) -> None:
        """Write the next columns."""
        start = int(self._ends[-1][-1])
        for part, dataset in self._parts.items():
            dataset.resize((start + block.nnz,))
            dataset[start:] = getattr(block, part)
        self._ends.append(start + block.indptr[1:].astype(np.int64))

    def finish(self) -> None:
        """Write where each column ends.

        Raises
        ------
        DataError
            For more or fewer columns than the matrix has.
        """
        indptr = np.concatenate(self._ends)
        if len(indptr) != self._columns + 1:
            raise DataError(f"Expected {self._columns} columns, got {len(indptr) - 1}.")
        self._matrix.create_dataset("indptr", data=indptr, **PACKED)
