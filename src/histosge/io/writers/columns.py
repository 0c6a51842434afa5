"""A sparse matrix on disk whose columns arrive in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from histosge.errors import DataError

from .hdf5 import PACKED

__all__ = ["put"]

_CHUNK = 1 << 16


def put(
    group: Any, name: str, shape: tuple[int, int], blocks: Iterable[sparse.csc_matrix], dtype: str
) -> None:
    """Write blocks of columns, one beside the other, as a CSC matrix that AnnData reads; memory holds one block.

    Parameters
    ----------
    group, name
        Where, in an open HDF5 file.
    shape
        Rows and columns of the whole.
    blocks
        In their order.
    dtype
        Of the values.

    Raises
    ------
    DataError
        When the blocks are not as many columns as promised.
    """
    kept = group.create_group(name)
    kept.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": shape})
    parts = {
        part: kept.create_dataset(part, (0,), maxshape=(None,), dtype=kind, chunks=(_CHUNK,), **PACKED)
        for part, kind in (("data", dtype), ("indices", "i4"))
    }
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
    kept.create_dataset("indptr", data=indptr, **PACKED)
