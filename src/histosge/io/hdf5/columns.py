"""A sparse matrix on disk whose columns arrive in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from histosge.errors import DataError

from .anndata_file import PACKED

__all__ = ["put"]

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
    matrix = group.create_group(name)
    matrix.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": shape})
    parts = {
        part: matrix.create_dataset(part, (0,), maxshape=(None,), dtype=kind, chunks=(_CHUNK,), **PACKED)
        for part, kind in (("data", dtype), ("indices", "i4"))
    }
    # indptr is small; it is kept in memory and written last
    ends = [np.zeros(1, dtype=np.int64)]
    for block in blocks:
        start = int(ends[-1][-1])
        for part, dataset in parts.items():
            dataset.resize((start + block.nnz,))
            dataset[start:] = getattr(block, part)
        ends.append(start + block.indptr[1:].astype(np.int64))
    indptr = np.concatenate(ends)
    if len(indptr) != shape[1] + 1:
        raise DataError(f"Expected {shape[1]} columns, got {len(indptr) - 1}.")
    matrix.create_dataset("indptr", data=indptr, **PACKED)
