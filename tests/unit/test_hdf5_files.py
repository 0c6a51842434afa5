"""HDF5 files are written in parts, in any order of rows, and remember a failed write."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata.io import read_elem
from scipy import sparse

from histosge.errors import DataError
from histosge.io.hdf5 import columns
from histosge.io.hdf5.anndata_file import created
from histosge.io.hdf5.packed import write_packed
from histosge.io.hdf5.rows import Rows
from histosge.io.hdf5.sink import Sink, hdf5_file

MATRIX = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_rows_are_written_in_any_order(tmp_path: Path, order: list[int]) -> None:
    """Rows out of order wait in a file beside the matrix, which is removed at the end."""
    blocks = np.split(np.arange(12), 3)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        with Rows(file, "X", MATRIX.shape, waiting=tmp_path / "waiting") as rows:
            for block in order:
                rows.put(blocks[block], MATRIX[blocks[block]])
            rows.finish()
        assert np.array_equal(file["X"][:], MATRIX)
    assert [item.name for item in tmp_path.iterdir()] == ["m.h5"]


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([0, 1], MATRIX[:3], "Expected a block"),
        ([12], MATRIX[:1], "Expected rows below 12"),
        ([3, 3], MATRIX[:2], "predicted once"),
        ([0], np.full((1, 5), np.nan, np.float32), "finite"),
    ],
)
def test_wrong_rows_are_refused(tmp_path: Path, rows: list[int], values: np.ndarray, message: str) -> None:
    """Blocks of another shape, rows that do not exist or come twice, and NaN."""
    with (
        h5py.File(tmp_path / "m.h5", "w") as file,
        Rows(file, "X", MATRIX.shape, waiting=tmp_path / "waiting") as matrix,
        pytest.raises(DataError, match=message),
    ):
        matrix.put(np.array(rows), values)


def test_missing_rows_are_refused(tmp_path: Path) -> None:
    """The number of rows that were written is in the message."""
    with (
        h5py.File(tmp_path / "m.h5", "w") as file,
        Rows(file, "X", MATRIX.shape, waiting=tmp_path / "waiting") as matrix,
    ):
        matrix.put(np.arange(4), MATRIX[:4])
        with pytest.raises(DataError, match="12 locations, got 4"):
            matrix.finish()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u2"])
@pytest.mark.parametrize("shape", [(70_001,), (40_000, 3), (2, 150_000)])
def test_packed_arrays_are_read_as_they_were(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    """HDF5 undoes shuffling and compression of every chunk, and the file is smaller than the numbers."""
    values = np.random.default_rng(0).poisson(3, shape).astype(dtype)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        assert write_packed(file, "values", values).compression == "gzip"
    with h5py.File(tmp_path / "m.h5") as file:
        assert np.array_equal(file["values"][:], values)
    assert (tmp_path / "m.h5").stat().st_size < 0.8 * values.nbytes


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_large_matrices_are_those_of_anndata(tmp_path: Path, form: str) -> None:
    """Large arrays and sparse matrices, which are packed here, are read by AnnData and can be appended to."""
    matrix = sparse.random(300, 400, density=0.3, random_state=0, format=form)
    dense = matrix.toarray()
    with created(tmp_path / "m.h5ad", {"layers": {"sparse": matrix, "dense": dense}}):
        pass
    with h5py.File(tmp_path / "m.h5ad") as file:
        again = read_elem(file["layers/sparse"])
        assert again.format == form
        assert (again != matrix).nnz == 0
        assert np.array_equal(read_elem(file["layers/dense"]), dense)
        assert file["layers/sparse/data"].maxshape == (None,)


def test_blocks_of_columns_make_a_sparse_matrix(tmp_path: Path) -> None:
    """AnnData reads what was written block by block; a missing column is an error."""
    whole = sparse.random(20, 7, density=0.3, random_state=0, format="csc")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        columns.put(
            file, "counts", whole.shape, (whole[:, part] for part in (slice(0, 3), slice(3, 7))), "f8"
        )
        assert (read_elem(file["counts"]) != whole).nnz == 0
        with pytest.raises(DataError, match="Expected 7 columns, got 3"):
            columns.put(file, "part", whole.shape, [whole[:, :3]], "f8")


class FullDisk(io.FileIO):
    """A file that refuses every write beyond its first 100 bytes."""

    def write(self, data: object) -> int:
        """Write, or fail as the operating system does."""
        if self.tell() > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]


def test_a_failed_write_is_remembered(tmp_path: Path) -> None:
    """The library sees no error; ``check`` raises the first one, and later writes change nothing."""
    path = tmp_path / "file"
    file = FullDisk(path, "w+")
    sink = Sink(file)  # type: ignore[arg-type]
    sink.check()
    assert sink.write(b"a" * 101) == 101
    assert sink.write(b"b" * 10) == 10
    file.seek(0)
    assert sink.write(b"c" * 10) == 10
    assert path.read_bytes() == b"a" * 101
    with pytest.raises(OSError, match="No space"):
        sink.check()
    assert sink.read(200) == b"a" * 101 + bytes(99)
    file.close()


def test_errors_of_a_block_are_not_hidden(tmp_path: Path) -> None:
    """An error in the code that writes is raised as it is where the disk is not full."""
    with pytest.raises(KeyError, match="missing"), hdf5_file(tmp_path / "m.h5") as (file, _):
        file["missing"]
