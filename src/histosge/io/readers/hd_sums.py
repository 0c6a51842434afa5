"""Bins of Visium HD summed to wider ones, without the narrow ones in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.platforms import visium_hd
from histosge.io.hdf5.heaps import refuse_endless_heaps

from .assemble import SectionParts
from .barcodes import refuse_other_section
from .file_names import find
from .spaceranger import images_of, read_scalefactors, spatial_of
from .tenx_matrix import as_sentence, features_of, genes_only

__all__ = ["StoredBins", "read_sums"]

_MATRIX, _POSITIONS = "filtered_feature_bc_matrix.h5", "tissue_positions.parquet"
# values, names and positions that are read at a time
_VALUES, _NAMES = 1 << 22, 1 << 20
# digits of row and column in the name of a bin: s_002um_00012_00345-1
_ROW, _COLUMN = slice(8, 13), slice(14, 19)
# more rows and columns than any array has
_SIDE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class StoredBins:
    """The bins of a matrix in a file.

    Parameters
    ----------
    path
        The file.
    row, column
        Of each bin on the array.
    ends
        Where the values of each bin begin and end.
    """

    path: Path
    row: Array
    column: Array
    ends: Array

    @classmethod
    def of(cls, folder: Path) -> StoredBins:
        """Read the names of the bins of a ``square_*um`` folder.

        Raises
        ------
        UsageError
            Without a filtered HDF5 matrix.
        DataError
            When it is damaged, or its names are not those of bins.
        """
        import h5py

        path = find(folder, _MATRIX)
        if path is None or path.suffix == ".gz":
            raise UsageError(
                f"Expected {_MATRIX} in '{folder}' to sum its bins to wider ones, found none. Copy it from Space "
                "Ranger's output."
            )
        refuse_endless_heaps(path)
        with as_sentence(path), h5py.File(path, "r") as file:
            group, parts = file["matrix"], []
            for start in range(0, len(group["barcodes"]), _NAMES):
                parts.append(_rows_and_columns(group["barcodes"][start : start + _NAMES]))
            row, column = (np.concatenate(part) for part in zip(*parts, strict=True))
            ends = group["indptr"][:].astype(np.int64)
            if len(ends) != len(row) + 1 or ends[0] != 0 or (np.diff(ends) < 0).any():
                raise ValueError("names and values of the bins do not match")
        return cls(path, row, column, ends)

    def medians(self, factors: tuple[int, ...]) -> dict[int, float]:
        """Return the median of the molecules in bins of so many times the width, among those with any."""
        import h5py

        with as_sentence(self.path), h5py.File(self.path, "r") as file:
            molecules = np.concatenate(
                [_sums(*piece[:2]) for piece in self._pieces(file["matrix"], genes=False)]
            )
        medians = {}
        for factor in factors:
            _, bins = self._wide(factor)
            medians[factor] = float(np.median(np.bincount(bins, molecules)))
        return medians

    def summed(self, factor: int) -> tuple[sparse.csr_matrix, Array, Array, Any]:
        """Return the counts of wider bins, their rows and columns, and the names of the features."""
        import h5py

        codes, bins = self._wide(factor)
        row, column = np.divmod(codes, _SIDE)
        with as_sentence(self.path), h5py.File(self.path, "r") as file:
            group = file["matrix"]
            features = features_of(group)
            shape = (len(codes), len(features[0]))
            parts = []
            for ends, values, genes, first in self._pieces(group):
                owner = np.repeat(bins[first : first + len(ends) - 1], np.diff(ends))
                parts.append(_compact(values, owner, genes, shape))
            joined = [np.concatenate([part[index] for part in parts]) for index in range(3)]
            del parts
            counts = sparse.coo_matrix((joined[0], (joined[1], joined[2])), shape=shape).tocsr()
        return counts, row, column, features

    def _wide(self, factor: int) -> tuple[Array, Array]:
        """Return the codes of the wider bins in the order of their rows, and which of them each bin lies in."""
        codes, bins = np.unique(self.row // factor * _SIDE + self.column // factor, return_inverse=True)
        return codes, bins.astype(np.int32).ravel()

    def _pieces(self, group: Any, *, genes: bool = True) -> Iterator[tuple[Array, Array, Array, int]]:
        """Yield the ends, values and genes of some bins at a time, and the first of these bins."""
        end = int(group["shape"][0])
        for dataset in (group["data"], group["indices"]):
            if dataset.ndim != 1 or len(dataset) < self.ends[-1]:
                raise ValueError("fewer values than its bins have")
        starts = np.searchsorted(self.ends, np.arange(0, max(self.ends[-1], 1), _VALUES), side="right") - 1
        for first, last in zip(starts, [*starts[1:], len(self.row)], strict=True):
            low, high = int(self.ends[first]), int(self.ends[last])
            values = _whole(group["data"][low:high])
            columns = group["indices"][low:high] if genes else values
            if genes and len(columns) and (columns.min() < 0 or columns.max() >= end):
                raise ValueError("an index out of range")
            yield self.ends[first : last + 1] - low, values, columns.astype(np.int32), int(first)


def read_sums(folder: Path, bins: StoredBins, *, bin_um: float, factor: int, name: str) -> SectionParts:
    """Return a section of bins ``factor`` times as wide as those of a folder, which hold the sums of their counts.

    A wider bin is on tissue where one of the bins in it is, as Space Ranger has it.

    Raises
    ------
    DataError
        When files are damaged or belong to different sections.
    """
    positions = _Positions.of(spatial_of(folder) / _POSITIONS, factor)
    messages = positions.compared(bins)
    counts, row, column, features = bins.summed(factor)
    codes = row * _SIDE + column
    kept = np.isin(codes, positions.codes)
    counts, codes, row, column = counts[kept], codes[kept], row[kept], column[kept]
    barcodes = np.array([f"s_{bin_um:03.0f}um_{r:05d}_{c:05d}-1" for r, c in zip(row, column, strict=True)])
    matrix = genes_only(counts, barcodes, genes=features[0], gene_ids=features[1], kinds=features[2])
    factors = read_scalefactors(spatial_of(folder))
    spot_px = factors.get("spot_diameter_fullres")
    return SectionParts(
        name=name,
        platform=visium_hd(bin_um),
        counts=matrix.counts,
        barcodes=barcodes,
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        xy_px=positions.xy_px[np.searchsorted(positions.codes, codes)],
        lattice_xy=np.column_stack([column, row]).astype(np.float64),
        images=images_of(spatial_of(folder), factors),
        spot_px=None if spot_px is None else spot_px * factor,
        file_mpp=factors.get("microns_per_pixel"),
        messages=(*matrix.messages, *messages),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Positions:
    """Middles of the wider bins on tissue, and which narrow ones are listed, by row and column of the array."""

    codes: Array
    xy_px: Array
    listed: Array
    in_tissue: Array

    @classmethod
    def of(cls, path: Path, factor: int) -> _Positions:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = ["array_row", "array_col", "in_tissue", "pxl_col_in_fullres", "pxl_row_in_fullres"]
        try:
            file = pq.ParquetFile(path)
            pieces = [
                [piece.column(name).to_numpy(zero_copy_only=False) for name in columns]
                for piece in file.iter_batches(batch_size=_NAMES, columns=columns)
            ]
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
            raise DataError(f"'{path}' is damaged or no positions file ({error}). Copy it again.") from error
        row, column, inside, x, y = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        row, column = row.astype(np.int64), column.astype(np.int64)
        if not (np.isfinite(x) & np.isfinite(y)).all() or not len(row) or min(row.min(), column.min()) < 0:
            raise DataError(f"Expected complete columns in '{path}', got an incomplete table. Copy it again.")
        listed = np.zeros((row.max() + 1, column.max() + 1), dtype=bool)
        in_tissue = np.zeros_like(listed)
        listed[row, column], in_tissue[row, column] = True, inside != 0
        codes, bins = np.unique(row // factor * _SIDE + column // factor, return_inverse=True)
        number = np.bincount(bins)
        middle = np.column_stack([np.bincount(bins, x), np.bincount(bins, y)]) / number[:, None]
        wide = np.column_stack(np.divmod(codes, _SIDE)) * float(factor) + (factor - 1) / 2
        whole = number == factor**2
        middle[~whole] = _affine(wide[whole], middle[whole], wide[~whole])
        on = np.bincount(bins, inside != 0) > 0
        return cls(codes[on], middle[on], listed, in_tissue)

    def compared(self, bins: StoredBins) -> tuple[Message, ...]:
        """Refuse positions of another section than the bins of the matrix."""
        height, width = self.listed.shape
        known = (bins.row < height) & (bins.column < width)
        known[known] = self.listed[bins.row[known], bins.column[known]]
        counted = np.zeros_like(self.listed)
        counted[bins.row[known], bins.column[known]] = True
        lost = int((~known).sum())
        # bins of 2 µm on tissue without a molecule are many, and not in the matrix
        on_tissue = self.in_tissue & counted
        return refuse_other_section(counted[self.listed], on_tissue[self.listed], lost, filtered=True)


def _affine(known: Array, values: Array, others: Array) -> Array:
    """Return values at positions by the affine map of whole bins; bins at the rim of an array are not whole."""
    if not len(others):
        return np.empty((0, 2))
    if len(known) < 3:
        raise DataError("Expected positions of whole bins, got hardly any. Check the positions file.")
    sample = slice(None, None, max(len(known) // 10_000, 1))
    design = np.column_stack([np.ones(len(known)), known])[sample]
    fitted = np.linalg.lstsq(design, values[sample], rcond=None)[0]
    return np.asarray(np.column_stack([np.ones(len(others)), others]) @ fitted)


def _rows_and_columns(names: Array) -> tuple[Array, Array]:
    """Return the rows and columns that the names of bins have."""
    fixed = names.astype("S21")
    letters = np.ascontiguousarray(fixed).view(np.uint8).reshape(len(fixed), 21)
    numbers = letters.astype(np.int64) - ord("0")
    digits = np.concatenate([numbers[:, _ROW], numbers[:, _COLUMN]], axis=1)
    if not (letters[:, 0] == ord("s")).all() or digits.min() < 0 or digits.max() > 9:
        raise ValueError("names that are not those of bins, such as s_002um_00012_00345-1")
    scale = 10 ** np.arange(4, -1, -1)
    return (digits[:, :5] @ scale).astype(np.int32), (digits[:, 5:] @ scale).astype(np.int32)


def _whole(values: Array) -> Array:
    """Return counts as integers; refuse what are none."""
    if not np.isfinite(values).all() or (len(values) and (values.min() < 0 or values.max() >= 2**31)):
        raise ValueError("values that are no counts")
    whole = values.astype(np.int32)
    if not np.array_equal(whole, values):
        raise ValueError("values that are no whole numbers")
    return whole


def _sums(ends: Array, values: Array) -> Array:
    return np.diff(np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[ends])


def _compact(
    values: Array, rows: Array, columns: Array, shape: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Return values, rows and columns with one value for a row and column."""
    used, narrow = np.unique(rows, return_inverse=True)
    part = sparse.coo_matrix((values, (narrow.ravel(), columns)), shape=(len(used), shape[1])).tocsr()
    part.sum_duplicates()
    return part.data, np.repeat(used, np.diff(part.indptr)).astype(np.int32), part.indices.astype(np.int32)
