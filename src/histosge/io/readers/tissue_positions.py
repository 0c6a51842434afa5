"""Space Ranger's positions of spots: a list without header, a table with one, or parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

from .file_names import find, matches, opened

__all__ = ["NAMES", "Positions", "read_positions"]

NAMES = ("tissue_positions.parquet", "tissue_positions.csv", "tissue_positions_list.csv")
_COLUMNS = ("barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres")
# letters of another package's error that fit into a sentence; it may quote a whole damaged row
_LETTERS = 200
# names that R gives to columns without any
_OF_R = tuple(f"V{number}" for number in range(1, 7))


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Rows of the positions file.

    Parameters
    ----------
    barcodes
        Names.
    in_tissue
        Whether Space Ranger detected tissue there.
    lattice_xy
        (array_col, array_row).
    xy_px
        Full-resolution pixels (x, y) = (pxl_col, pxl_row).
    """

    barcodes: Array
    in_tissue: Array
    lattice_xy: Array
    xy_px: Array


def read_positions(folder: Path) -> Positions:
    """Read the positions file of a ``spatial`` folder.

    Raises
    ------
    UsageError
        When there is none, or there are several that differ.
    DataError
        When it is damaged.
    """
    first = find(folder, *NAMES)
    if first is None:
        raise UsageError(
            f"Expected {', '.join(NAMES)} in '{folder}', found none of them. Copy the positions of the spots from the "
            "folder outs/spatial of Space Ranger; GEO has them as a file of their own."
        )
    tables = [_read(path) for path in (matches(folder, *NAMES) if first.name in NAMES else [first])]
    names = ", ".join(path.name for path in matches(folder, *NAMES))
    for other in tables[1:]:
        if not _agree(tables[0], other):
            raise UsageError(
                f"'{folder}' has several positions files that differ: {names}. Keep that of this section."
            )
    return tables[0]


def _agree(first: Positions, other: Positions) -> bool:
    """Return whether two files have the same spots at the same positions."""
    if set(first.barcodes.tolist()) != set(other.barcodes.tolist()):
        return False
    rows, others = np.argsort(first.barcodes), np.argsort(other.barcodes)
    # some versions write whole pixels
    return bool(
        np.abs(first.xy_px[rows] - other.xy_px[others]).max() <= 1
        and (first.in_tissue[rows] == other.in_tissue[others]).all()
    )


def _read(path: Path) -> Positions:
    try:
        with opened(path) as stream:
            table = _read_parquet(stream) if ".parquet" in path.suffixes else _read_csv(stream)
        # barcodes may be the index of a Parquet table
        table = table if table.index.name is None else table.reset_index()
        barcodes = table["barcode"].astype(str).to_numpy(dtype=str)
        numbers = table[list(_COLUMNS[1:])].to_numpy(dtype=np.float64)
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = str(error)[:_LETTERS]
        raise DataError(f"'{path}' is damaged or no positions file ({reason}). Copy it again.") from error
    if not len(table) or not np.isfinite(numbers).all():
        raise DataError(
            f"Expected six complete columns in '{path}', got an empty or incomplete table. Copy it again."
        )
    return Positions(barcodes, numbers[:, 0] != 0, numbers[:, [2, 1]], numbers[:, [4, 3]])


def _read_parquet(stream: Any) -> Any:
    """Read the columns of Space Ranger, and no others that a file may have."""
    import pandas as pd
    import pyarrow.parquet as pq

    # names may be of columns or of the index of pandas
    if not set(_COLUMNS) <= set(pq.ParquetFile(stream).schema_arrow.names):
        return pd.read_parquet(stream)
    return pq.read_table(stream, columns=list(_COLUMNS)).to_pandas(ignore_metadata=True)


def _read_csv(stream: Any) -> Any:
    """Read with or without header, index and quotes, as Space Ranger, pandas and R write them.

    A first row with a name of a column is a header. Without a column ``barcode`` the first one, the index, holds them.
    """
    import pandas as pd

    table = pd.read_csv(stream, header=None, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    first = [str(name).strip() for name in table.iloc[0]]
    if not set(first) & {*_COLUMNS, "V2"}:
        # without header; a row number may come first
        table = table.iloc[:, 1:] if table.shape[1] == len(_COLUMNS) + 1 else table
        first = list(_COLUMNS)
        if table.shape[1] != len(first):
            raise ValueError(f"{table.shape[1]} columns, expected {len(first)}")
    else:
        table = table.iloc[1:]
        first = [_COLUMNS[int(name[1:]) - 1] if name in _OF_R else name for name in first]
        if "barcode" not in first:
            first[0] = "barcode"
    table.columns = first
    missing = [name for name in _COLUMNS if name not in first]
    if missing:
        raise ValueError(f"no column {missing[0]}")
    table = table.replace({"": np.nan, "NA": np.nan})
    words = table["in_tissue"].str.strip().str.lower()
    return table.assign(in_tissue=words.replace({"true": "1", "false": "0"})).reset_index(drop=True)
