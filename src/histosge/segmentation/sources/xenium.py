"""Cells of a Xenium bundle, placed on the H&E image of the section."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.polygon_arrays import joined_pieces
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource
from .xenium_alignment import alignment_of, refuse_wrong_way

__all__ = ["ENTRIES"]

_EXPERIMENT = "experiment.xenium"
_ENDINGS = (".parquet", ".csv.gz", ".csv")
# µm per pixel of every Xenium instrument so far, for bundles that do not say it
_PIXEL_UM = 0.2125
# versions of Xenium Onboard Analysis and Xenium Ranger whose tables are known
_KNOWN_VERSIONS = range(1, 5)


def detect(path: Path) -> bool:
    """Return whether the path is a Xenium bundle, or its file ``experiment.xenium``."""
    return path.name == _EXPERIMENT or (path.is_dir() and (path / _EXPERIMENT).is_file())


def read(path: Path, options: CellOptions) -> Cells:
    """Read the outlines of cells and nuclei; cells without an outline are left out with a count.

    Raises
    ------
    DataError
        When tables are missing or damaged, of an unknown layout, or the alignment matrix does not fit the section.
    """
    folder = path.parent if path.is_file() else path
    pixel_um = _pixel_um(folder)
    table = _table(folder, "cell_boundaries")
    if table is None:
        raise DataError(
            f"Expected cell_boundaries{_ENDINGS[0]} in '{folder}', got none. Copy the bundle again."
        )
    ids, outlines = _outlines(table, folder)
    nuclei = _table(folder, "nucleus_boundaries")
    stored = StoredCells(
        ids, outlines, nuclei=None if nuclei is None else _of_cells(ids, *_outlines(nuclei, folder))
    )
    _warn_of_missing(folder, ids)
    matrix = alignment_of(folder) if options.alignment is None else np.asarray(options.alignment, dtype=float)
    refuse_wrong_way(matrix, _centroids(outlines) / pixel_um, options, pixel_um=pixel_um)
    to_px = np.linalg.inv(matrix) @ np.diag([1 / pixel_um, 1 / pixel_um, 1.0])
    to_um = np.diag([options.mpp, options.mpp, 1.0]) @ to_px
    return checked_cells(stored, folder, source="xenium", scale=to_um)


def _pixel_um(folder: Path) -> float:
    """Return µm per pixel of the Xenium image; say where version or scale are not known."""
    path = folder / _EXPERIMENT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ranger = content.get("xenium_ranger") or {}
        version = str(ranger.get("version") or content.get("analysis_sw_version") or "")
        stated = content.get("pixel_size")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"'{path}' is no description of a Xenium run ({error}). Copy it again.") from error
    # "xenium-2.0.0.6-35-g…"
    number = re.search(r"\d+", version)
    if number is None or int(number[0]) not in _KNOWN_VERSIONS:
        text = (
            f"'{path}' is of version '{version or 'unknown'}'; known are {_KNOWN_VERSIONS[0]} to "
            f"{_KNOWN_VERSIONS[-1]}. Check the cells on the image."
        )
        emit([Message("warning", text)])
    if stated is None:
        emit([Message("warning", f"'{path}' has no pixel_size; {_PIXEL_UM} µm is assumed.")])
        return _PIXEL_UM
    if not isinstance(stated, (int, float)) or not 0 < stated < 10:
        raise DataError(f"Expected a pixel_size in µm in '{path}', got {stated!r}. Copy it again.")
    return float(stated)


def _table(
    folder: Path, name: str, columns: Sequence[str] = ("cell_id", "vertex_x", "vertex_y", "label_id")
) -> Any:
    """Return columns of a table of the bundle, as Arrow has them; ``None`` where there is no such table."""
    import pyarrow
    from pyarrow import csv, parquet

    path = next((folder / f"{name}{end}" for end in _ENDINGS if (folder / f"{name}{end}").is_file()), None)
    if path is None:
        return None
    try:
        if path.suffix == ".parquet":
            held = parquet.read_schema(path).names
            table = parquet.read_table(path, columns=[column for column in columns if column in held])
        else:
            table = csv.read_csv(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"'{path}' is damaged ({error}). Copy it again.") from error
    missing = [column for column in columns if column != "label_id" and column not in table.column_names]
    if missing:
        raise DataError(
            f"Expected columns {', '.join(columns[:3])} in '{path}', got {', '.join(table.column_names[:12])}: the "
            "bundle has another version than those known."
        )
    return table


def _outlines(table: Any, folder: Path) -> tuple[list[str], Array]:
    """Return the cells of a table of corners in the order of their first one, and their polygons in µm.

    Corners of one polygon stand one after the other; a cell may have several, which ``label_id`` tells apart.
    """
    import shapely

    cell, names = _coded(table.column("cell_id"))
    try:
        xy = np.column_stack(
            [table.column(name).to_numpy().astype(np.float64) for name in ("vertex_x", "vertex_y")]
        )
    except (ValueError, TypeError) as error:
        raise DataError(f"Expected numbers in vertex_x and vertex_y of '{folder}', got others.") from error
    if not np.isfinite(xy).all():
        raise DataError(
            f"Expected a position at each corner of the outlines of '{folder}', got none at some."
        )
    starts = np.diff(cell, prepend=-1) != 0
    if "label_id" in table.column_names:
        label, _ = _coded(table.column("label_id"))
        starts |= np.diff(label, prepend=-1) != 0
    ring = np.cumsum(starts) - 1
    # fewer than three corners have no area
    whole = np.bincount(ring)[ring] > 2
    cell_of_ring = cell[starts][np.unique(ring[whole])]
    corners = np.unique(ring[whole], return_inverse=True)[1]
    polygons = (
        shapely.polygons(shapely.linearrings(xy[whole], indices=corners))
        if whole.any()
        else np.empty(0, object)
    )
    order = np.argsort(cell_of_ring, kind="stable")
    return names, joined_pieces(polygons[order], cell_of_ring[order], len(names))


def _coded(column: Any) -> tuple[Array, list[str]]:
    """Return a column of words, bytes or numbers as numbers of its distinct values, and these as text."""
    encoded = column.combine_chunks().dictionary_encode()
    if encoded.null_count:
        raise DataError(
            "Expected an id of a cell in each row of the Xenium bundle's tables, got none in some."
        )
    values = encoded.dictionary.to_pylist()
    names = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    return encoded.indices.to_numpy().astype(np.int64), names


def _of_cells(ids: list[str], names: list[str], shapes: Array) -> Array:
    """Return the shapes of ``ids``; ``None`` for those without."""
    row_of = {name: row for row, name in enumerate(ids)}
    rows = np.array([row_of.get(name, -1) for name in names], dtype=int)
    result = np.full(len(ids), None, dtype=object)
    result[rows[rows >= 0]] = shapes[rows >= 0]
    return result


def _centroids(outlines: Array) -> Array:
    import shapely

    centroids = shapely.centroid(outlines[~shapely.is_missing(outlines)])
    return np.asarray(shapely.get_coordinates(centroids))


def _warn_of_missing(folder: Path, ids: list[str]) -> None:
    """Warn of cells of the table of cells that have no outline."""
    table = _table(folder, "cells", ("cell_id",))
    if table is None:
        return
    lost = len(set(_coded(table.column("cell_id"))[1]) - set(ids))
    if lost:
        text = f"{lost} of {table.num_rows} cells of '{folder}' have no outline, and were left out."
        emit([Message("warning", text)])


ENTRIES = (
    CellSource(
        "xenium",
        "a Xenium bundle of versions 1 to 4: cells and nuclei, placed on the H&E image by its alignment matrix",
        detect,
        read,
        priority=10,
    ),
)
