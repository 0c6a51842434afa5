"""Space Ranger's positions of spots: a list without header, a table with one, or parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

__all__ = ["NAMES", "Positions", "read_positions"]

NAMES = ("tissue_positions.parquet", "tissue_positions.csv", "tissue_positions_list.csv")
_COLUMNS = ("barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres")


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
        When there is none.
    DataError
        When it is damaged.
    """
    paths = [folder / name for name in NAMES if (folder / name).exists()]
    if not paths:
        raise UsageError(f"Expected {', '.join(NAMES)} in '{folder}', found none of them.")
    import pandas as pd

    path = paths[0]
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        numbers = table[list(_COLUMNS[1:])].to_numpy(dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is damaged or no positions file ({error}). Copy it again.") from error
    if not len(table) or not np.isfinite(numbers).all():
        raise DataError(
            f"Expected six complete columns in '{path}', got an empty or incomplete table. Copy it again."
        )
    barcodes = table["barcode"].astype(str).to_numpy(dtype=str)
    return Positions(barcodes, numbers[:, 0] != 0, numbers[:, [2, 1]], numbers[:, [4, 3]])


def _read_csv(path: Path) -> Any:
    """Read with or without header: the first word of a header is ``barcode``."""
    import pandas as pd

    with path.open(encoding="utf-8") as stream:
        first = stream.readline()
    header = first.startswith("barcode")
    table = pd.read_csv(path, header=0 if header else None, names=None if header else list(_COLUMNS))
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(f"no column {missing[0]}")
    return table
