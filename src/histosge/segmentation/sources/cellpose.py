"""Outlines of Cellpose: a text file with one cell a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.polygon_arrays import joined_pieces, polygon_pieces
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENTRIES"]

_ENDING = "_outlines.txt"
_BLOCK = 20_000


def detect(path: Path) -> bool:
    """Return whether the path is a file of outlines by its name, ``…_cp_outlines.txt``."""
    return path.is_file() and path.name.lower().endswith(_ENDING)


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines, ``x,y,x,y,…`` in pixels of the full-resolution image; cell i is line i, from 1.

    Raises
    ------
    DataError
        When a line holds something else.
    """
    outlines: list[Array] = []
    rings: list[list[list[Array]]] = []
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            rings.append(_rings(line, number, path))
            if len(rings) == _BLOCK:
                outlines.append(joined_pieces(*polygon_pieces(rings), len(rings)))
                rings = []
    outlines.append(joined_pieces(*polygon_pieces(rings), len(rings)))
    shapes = np.concatenate(outlines)
    stored = StoredCells([str(number) for number in range(1, len(shapes) + 1)], shapes)
    return checked_cells(stored, path, source="cellpose", scale=options.mpp)


def _rings(line: bytes, number: int, path: Path) -> list[list[Array]]:
    """Return the polygon of a line; none where it has fewer than three corners."""
    try:
        values = np.array(line.split(b",") if line.strip() else [], dtype=np.float64)
    except ValueError:
        values = np.array([np.nan])
    if len(values) % 2 or not np.isfinite(values).all():
        raise DataError(
            f"Expected x,y,x,y,… in line {number} of '{path}', got something else. Save it again."
        )
    return [[values.reshape(-1, 2)]] if len(values) >= 6 else []


ENTRIES = (
    CellSource(
        "cellpose",
        "outlines of Cellpose, …_cp_outlines.txt (its masks are label images; no _seg.npy)",
        detect,
        read,
        priority=30,
    ),
)
