"""Centroids of cells in a table, as QuPath's measurements and many other programs write them."""

from __future__ import annotations

import csv
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENTRIES"]

_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
# columns that name the image of a cell; QuPath's is the first
_IMAGE_COLUMNS = ("Image", "image", "Image name", "image_name", "slide", "sample")
# columns of a centroid: in µm of the section, in full-resolution pixels, and in µm of QuPath's own pixel size
_COLUMNS_UM = ("x_um", "y_um")
_COLUMNS_QUPATH = (
    ("Centroid X µm", "Centroid Y µm"),
    ("Centroid X μm", "Centroid Y μm"),
    ("Centroid X um", "Centroid Y um"),
)
_COLUMNS_PX = (("Centroid X px", "Centroid Y px"), ("x_px", "y_px"), ("pixel_x", "pixel_y"), ("x", "y"))
# scales that differ by less displace no cell by more than its size
_SAME_SCALE = 0.001
# differences of µm and pixels of one table: a share of the extent, for scales, and µm, for rounding
_SAME_FRAME, _SAME_FRAME_UM = 0.02, 5.0
# columns that an error lists, and letters of each
_MOST_NAMED, _LETTERS = 12, 40
_ID_COLUMNS = ("id", "Object ID", "cell_id", "Name")
_CLASS_COLUMNS = ("Classification", "classification", "Class", "class", "cell_type")


def detect(path: Path) -> bool:
    """Return whether the path is a table by its name."""
    return path.is_file() and path.name.lower().endswith(_ENDINGS)


def read(path: Path, options: CellOptions) -> Cells:
    """Read ids, centroids and classes.

    Raises
    ------
    DataError
        When it is no table with positions, or has µm of QuPath and their scale is not known.
    """
    import pandas as pd

    text = [*_ID_COLUMNS, *_CLASS_COLUMNS]
    try:
        # ids are text: 007 is not 7, and 7 beside an empty cell is not 7.0
        table = pd.read_csv(path, sep=None, engine="python", dtype=dict.fromkeys(text, str))
    except PermissionError as error:
        raise UsageError(f"No permission to read '{path}'.") from error
    except (ValueError, csv.Error, OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is no table of cells ({error}).") from error
    _refuse_several_images(table, path)
    xy_um = _centroids_um(table, path, mpp=options.mpp, image_mpp=options.image_mpp)
    named = [name for name in _ID_COLUMNS if name in table.columns and table[name].notna().any()]
    classes = [name for name in _CLASS_COLUMNS if name in table.columns and table[name].notna().any()]
    stored = StoredCells(
        ids=table[named[0]].fillna("").tolist() if named else [""] * len(table),
        xy=xy_um,
        classes=table[classes[0]].fillna("").tolist() if classes else None,
    )
    return checked_cells(stored, path, source="table", scale=1.0)


def _refuse_several_images(table: Any, path: Path) -> None:
    """Refuse a table with the cells of several images, as an export of a whole QuPath project is."""
    for column in (name for name in _IMAGE_COLUMNS if name in table.columns):
        images = sorted(set(table[column].astype(str)))
        if len(images) > 1:
            raise DataError(
                f"'{path}' holds cells of {len(images)} images (column {column}: {', '.join(images[:5])}). Keep the "
                "rows of the section's image."
            )


def _centroids_um(table: Any, path: Path, *, mpp: float, image_mpp: float | None) -> Array:
    """Return the centroids of a table in µm of the section.

    Pixels are preferred to QuPath's µm: those are pixels times the pixel size that QuPath has for the image.
    """
    held = [pair for pair in _COLUMNS_PX if set(pair) <= set(table.columns)]
    if set(_COLUMNS_UM) <= set(table.columns):
        xy_um = _numbers(table[list(_COLUMNS_UM)], path)
        for pair in held[:1]:
            _refuse_other_frame(xy_um, _numbers(table[list(pair)], path) * mpp, pair, path)
        return xy_um
    for pair in held:
        return _numbers(table[list(pair)], path) * mpp
    for columns in _COLUMNS_QUPATH:
        if set(columns) <= set(table.columns):
            return _numbers(table[list(columns)], path) * _qupath_scale(path, mpp, image_mpp)
    names = ", ".join(str(name)[:_LETTERS] for name in table.columns[:_MOST_NAMED])
    raise DataError(f"Expected columns x_um and y_um (or x and y in pixels) in '{path}', got {names}.")


def _refuse_other_frame(xy_um: Array, by_px_um: Array, pair: tuple[str, str], path: Path) -> None:
    """Refuse a table whose µm and pixels are of two images, such as Xenium's and the H&E image."""
    apart = np.abs(xy_um - by_px_um).max(initial=0.0)
    if apart > _SAME_FRAME * np.ptp(xy_um, axis=0).max(initial=0.0) + _SAME_FRAME_UM:
        raise DataError(
            f"Columns {_COLUMNS_UM[0]} and {pair[0]} of '{path}' name positions that are up to {apart:.0f} µm apart on "
            "the section's image: they count from different images. Keep the columns of the section's image."
        )


def _qupath_scale(path: Path, mpp: float, image_mpp: float | None) -> float:
    """Return µm of the section per µm of QuPath."""
    if image_mpp is None:
        raise DataError(
            f"'{path}' has centroids in µm of QuPath: pixels times the pixel size that QuPath has for the image. That "
            f"size is not known here, and by the spots it is {mpp:.4g} µm. Export the cells as GeoJSON, or with "
            f"centroids in pixels. If the size in QuPath is {mpp:.4g} µm, rename the columns to x_um and y_um."
        )
    if abs(mpp / image_mpp - 1) > _SAME_SCALE:
        text = (
            f"Centroids in '{path}' were converted from QuPath's pixels of {image_mpp:.4g} µm, as the image's metadata "
            f"say, to {mpp:.4g} µm, as the spots say."
        )
        emit([Message("warning", text)])
    return mpp / image_mpp


def _numbers(columns: Any, path: Path) -> Array:
    """Return a table's positions as numbers; refuse rows without one."""
    import pandas as pd

    numbers = columns.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise DataError(f"Expected a position in each row of '{path}', got none in row {bad[0] + 1}.")
    return np.asarray(numbers)


ENTRIES = (
    CellSource(
        "table",
        "a table of centroids (.csv, .tsv, .txt): x_um, y_um; pixels x, y; or QuPath's columns",
        detect,
        read,
        priority=90,
    ),
)
