"""A matrix on disk whose rows arrive in any order."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError

from .packed import PACKED, Chunks

__all__ = ["Rows"]

# bytes of one chunk of the compressed matrix
_CHUNK_BYTES = 1 << 20


class Rows:
    """Fill a float32 matrix of an HDF5 file row by row.

    Compressed chunks are best written once and in order. Rows that arrive in order are written directly; from the first
    one that does not, rows wait uncompressed in a file beside it and are copied at the end. Memory is bounded by one
    block either way.

    Parameters
    ----------
    group, name
        Where to create the matrix.
    shape
        Rows and columns.
    waiting
        Path of the file for rows that arrive early; removed at the end.
    """

    def __init__(self, group: Any, name: str, shape: tuple[int, int], *, waiting: Path) -> None:
        self._name = name
        self._shape = shape
        self._step = max(1, _CHUNK_BYTES // (4 * max(shape[1], 1)))
        # HDF5 has no chunks of size 0
        chunks = None if 0 in shape else (min(self._step, shape[0]), shape[1])
        matrix = group.create_dataset(name, shape, dtype="f4", chunks=chunks, **(PACKED if chunks else {}))
        self._packed = Chunks(matrix)
        matrix.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        self._waiting = waiting
        self._early: IO[bytes] | None = None
        self._written = 0
        self._filled = np.zeros(shape[0], dtype=bool)

    def __enter__(self) -> Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._early is not None:
            self._early.close()
            self._waiting.unlink(missing_ok=True)

    def put(self, rows: Array, values: Array) -> None:
        """Write ``values`` into ``rows``.

        Raises
        ------
        DataError
            For rows that do not exist or were written before, and values that are not finite.
        """
        rows = np.asarray(rows)
        self._check(rows, values)
        self._filled[rows] = True
        values = np.ascontiguousarray(values, dtype=np.float32)
        if self._early is None and np.array_equal(rows, np.arange(self._written, self._written + len(rows))):
            self._packed.append(values)
            self._written += len(rows)
            return
        if self._early is None:
            self._early = self._waiting.open("w+b")
        # one write for each run of consecutive rows
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            self._early.seek(4 * self._shape[1] * int(rows[run[0]]))
            self._early.write(values[run].tobytes())

    def finish(self) -> None:
        """Copy the rows that arrived early into the matrix.

        Raises
        ------
        DataError
            When rows are missing.
        """
        if not self._filled.all():
            raise DataError(
                f"Expected predictions for {len(self._filled)} locations, got {int(self._filled.sum())}. The model's "
                "predictor leaves some out."
            )
        if self._early is None:
            self._packed.finish()
            return
        # row r of the waiting file starts at byte 4 · width · r
        width = self._shape[1]
        self._early.seek(4 * width * self._written)
        for start in range(self._written, self._shape[0], self._step):
            stop = min(start + self._step, self._shape[0])
            held = np.frombuffer(self._early.read(4 * width * (stop - start)), dtype=np.float32)
            self._packed.append(held.reshape(stop - start, width))
        self._packed.finish()

    def _check(self, rows: Array, values: Array) -> None:
        if values.shape != (len(rows), self._shape[1]):
            raise DataError(
                f"Expected a block {(len(rows), self._shape[1])} of {self._name}, got {values.shape}."
            )
        if len(rows) and (rows.min() < 0 or rows.max() >= self._shape[0]):
            raise DataError(f"Expected rows below {self._shape[0]}, got {rows.max()}.")
        if self._filled[rows].any() or len(np.unique(rows)) != len(rows):
            raise DataError(
                "Expected each location predicted once, got one twice. The model's predictor repeats rows."
            )
        if not np.isfinite(values).all():
            raise DataError(
                f"Expected finite predictions, got NaN or infinity in {self._name}. The fit did not converge; "
                "try another seed or preset."
            )
