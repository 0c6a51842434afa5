"""A sparse matrix in a folder, of which any process reads the rows that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array, Float, Int

__all__ = ["RowsOnDisk"]

_PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True, slots=True, eq=False)
class RowsOnDisk:
    """Rows of a matrix in a folder. What is sent to another process is the name of the folder, and which rows.

    Parameters
    ----------
    folder
        Which all processes that read it reach under this name.
    columns
        How many columns the matrix has.
    rows
        Rows of the matrix in the folder.
    """

    folder: Path
    columns: int
    rows: Int[np.ndarray, " n"]

    @classmethod
    def write(cls, folder: Path, matrix: Float[np.ndarray, "n g"] | sparse.csr_matrix) -> RowsOnDisk:
        """Write a matrix, and return all of its rows.

        Raises
        ------
        OutputError
            Where it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        whole = sparse.csr_matrix(matrix)
        for name in _PARTS:
            with atomic_path(folder / f"{name}.npy") as draft, draft.open("wb") as file:
                np.save(file, getattr(whole, name))
        return cls(folder.absolute(), int(whole.shape[1]), np.arange(whole.shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), self.columns

    def __getitem__(self, index: Array) -> sparse.csr_matrix:
        """Read some rows."""
        rows = self.rows[index]
        return sparse.csr_matrix(_mapped(self.folder, self.columns)[rows])

    def take(self, index: Array) -> RowsOnDisk:
        """Return some rows without reading them."""
        return RowsOnDisk(self.folder, self.columns, self.rows[index])


@lru_cache(maxsize=1)
def _mapped(folder: Path, columns: int) -> sparse.csr_matrix:
    """Return the matrix with its numbers on disk, of which the system reads the pages that are used."""
    data, indices, indptr = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PARTS)
    return sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, columns), copy=False)
