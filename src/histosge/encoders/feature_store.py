"""Features on disk: computed once, rows again by what they are made of, resumable after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import output_errors
from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, Float32
from histosge.errors import DataError

__all__ = ["FeatureStore", "Shelf", "StoredRows"]

_JOURNAL = "chunks.txt"
_ARRAY = "features"
# what zarr raises for metadata and chunks that were cut off or changed
_DAMAGE = (ValueError, OSError, RuntimeError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """A folder with one zarr group for each set of features, named by the hash of image, encoder and locations.

    Two processes may fill the same set at once: they write the same chunks.

    Parameters
    ----------
    folder
        Where; created at the first write.
    """

    folder: Path

    def shelf(
        self, key: str, shape: tuple[int, int], *, chunk_rows: int, summary: Mapping[str, Any]
    ) -> Shelf:
        """Return one set of features, created where it is not yet there.

        Parameters
        ----------
        key
            Hash of all that determines the features.
        shape
            Rows and columns.
        chunk_rows
            Rows written at once; what a kill can cost.
        summary
            Plain values (JSON) kept beside the features: the encoder's card, licence included.

        Raises
        ------
        OutputError
            When the disk is full.
        UsageError
            When the folder cannot be written.
        """
        import zarr

        path = self.folder / key
        with output_errors(path):
            if not (path / _ARRAY / "zarr.json").exists():
                path.mkdir(parents=True, exist_ok=True)
                group = zarr.open_group(path, mode="a", attributes=dict(summary))
                # a chunk that is missing must not be taken for features: hence NaN. Features hardly compress.
                group.create_array(
                    _ARRAY,
                    shape=shape,
                    dtype="float32",
                    chunks=(min(chunk_rows, shape[0]), shape[1]),
                    fill_value=float("nan"),
                    compressors=None,
                    overwrite=True,
                )
        return Shelf(path, shape, min(chunk_rows, shape[0]))

    def of_length(self, rows: int) -> list[StoredRows]:
        """Return the sets of features of so many locations; damaged ones are none."""
        import zarr

        sets = []
        for path in sorted(self.folder.glob(f"*/{_ARRAY}")):
            try:
                shape = zarr.open_array(path, mode="r").shape
            except _DAMAGE:
                continue
            if len(shape) == 2 and shape[0] == rows:
                sets.append(StoredRows(path.parent, shape))
        return sets


@dataclass(frozen=True, slots=True)
class Shelf:
    """One set of features, filled chunk by chunk.

    A chunk counts as done once its line is in the journal, which is written after it; the line holds a hash of its
    content, so that chunks that were cut off, lost or damaged are recognised and computed again.

    Parameters
    ----------
    path
        The zarr group.
    shape
        Rows and columns.
    chunk_rows
        Rows of a chunk.
    """

    path: Path
    shape: tuple[int, int]
    chunk_rows: int

    def rows_of(self, chunk: int) -> slice:
        """Return the rows of a chunk."""
        return slice(chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.shape[0]))

    def missing(self) -> list[int]:
        """Return the chunks that are not there or not as they were written."""
        written = self._journal()
        number = -(-self.shape[0] // self.chunk_rows)
        return [chunk for chunk in range(number) if written.get(chunk) != self._hash(chunk, written)]

    def put(self, chunk: int, rows: Float32[np.ndarray, "m d"]) -> None:
        """Write a chunk and then its line in the journal.

        Raises
        ------
        OutputError
            When the disk is full; chunks written before stay and are reused.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        with output_errors(self.path):
            _open(self.path, self.shape)[self.rows_of(chunk)] = rows
            with (self.path / _JOURNAL).open("a", encoding="ascii") as journal:
                # the line break in front closes a line that a kill may have cut off
                journal.write(f"\n{chunk} {fingerprint(rows)}\n")

    def rows(self) -> StoredRows:
        """Return all rows, to be read when asked for."""
        return StoredRows(self.path, self.shape)

    def _journal(self) -> dict[int, str]:
        path = self.path / _JOURNAL
        if not path.exists():
            return {}
        lines = [line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()]
        return {int(line[0]): line[1] for line in lines if len(line) == 2 and line[0].isdigit()}

    def _hash(self, chunk: int, written: Mapping[int, str]) -> str:
        """Return the hash of what is there; nothing is read for a chunk that was never written."""
        if chunk not in written:
            return "never written"
        try:
            array = _open(self.path, self.shape)
            return fingerprint(np.asarray(array[self.rows_of(chunk)], dtype=np.float32))
        except (*_DAMAGE, DataError):
            return "damaged"


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Features read from disk by rows; see :class:`histosge.section.inputs.FeatureRows`.

    Parameters
    ----------
    path
        The zarr group.
    shape
        Rows and columns.
    """

    path: Path
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out.

        Raises
        ------
        DataError
            When the store was damaged since.
        """
        try:
            array = _open(self.path, self.shape)
            rows = array[index] if isinstance(index, slice) else array.oindex[np.asarray(index)]
        except _DAMAGE as error:
            raise _damaged(self.path, error) from error
        return np.asarray(rows, dtype=np.float32)


def _open(path: Path, shape: tuple[int, ...]) -> Any:
    """Open the array of a set of features.

    Raises
    ------
    DataError
        When its metadata are damaged, or those of an array of another shape.
    """
    import zarr

    try:
        array = zarr.open_array(path / _ARRAY, mode="r+")
        if array.shape != shape:
            raise ValueError(f"expected an array of shape {shape}, got {array.shape}")
    except FileNotFoundError as error:
        raise _damaged(path, error) from error
    except OSError:
        # a full disk, and what must not be read
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return array


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"The features in '{path}' are damaged ({error}). Delete that folder.")
