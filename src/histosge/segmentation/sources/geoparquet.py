"""Outlines in GeoParquet, as HEST, sopa and GeoPandas write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.segmentation.cells import Cells
from histosge.segmentation.checked_cells import checked_cells
from histosge.segmentation.stored_cells import StoredCells

from .base import CellOptions, CellSource

__all__ = ["ENTRIES", "of_shapes"]

_IDS = ("cell_id", "id", "instance_id", "__index_level_0__", "index")
_CLASSES = ("class", "classification", "class_name", "cell_type", "type")
_CONFIDENCES = ("prob", "probability", "confidence")


def detect(path: Path) -> bool:
    """Return whether the path is Parquet by its name."""
    return path.is_file() and path.suffix.lower() in (".parquet", ".geoparquet")


def read(path: Path, options: CellOptions) -> Cells:
    """Read outlines or points, ids and classes, from pixels of the full-resolution image.

    Raises
    ------
    DataError
        When there are no geometries, or the file is damaged.
    """
    import pyarrow
    import shapely
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        name = _geometry_column(schema)
        held = [column for column in (*_IDS, *_CLASSES, *_CONFIDENCES) if column in schema.names]
        table = parquet.read_table(path, columns=[name, *held])
        shapes = shapely.from_wkb(table.column(name).to_numpy(zero_copy_only=False))
    except (pyarrow.ArrowException, OSError, ValueError, shapely.errors.GEOSException, TypeError) as error:
        raise DataError(
            f"'{path}' is no table of outlines ({error}). Write it again, with GeoPandas."
        ) from error
    columns = {column: table.column(column).to_pylist() for column in held}
    return checked_cells(of_shapes(shapes, columns, path), path, source="geoparquet", scale=options.mpp)


def _geometry_column(schema: Any) -> str:
    """Return the name of the column of geometries, which the file's metadata say."""
    metadata = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
    name = metadata.get("primary_column", "geometry")
    if name not in schema.names:
        raise ValueError(f"there is no column '{name}'")
    return str(name)


def of_shapes(shapes: Array, columns: dict[str, list[Any]], path: Path) -> StoredCells:
    """Return the cells of outlines, points, or circles that were made outlines, with columns of a table beside.

    Raises
    ------
    DataError
        For a mixture of points and outlines, or lines.
    """
    import shapely

    kinds = set(shapely.get_type_id(shapes[~shapely.is_missing(shapes)]).tolist())
    points = kinds == {shapely.GeometryType.POINT}
    if not points and not kinds <= {shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON}:
        raise DataError(f"Expected polygons or points in '{path}', got other shapes. Give outlines of cells.")

    def first(names: tuple[str, ...]) -> list[Any] | None:
        return next((columns[name] for name in names if name in columns), None)

    ids, classes, confidence = first(_IDS), first(_CLASSES), first(_CONFIDENCES)
    return StoredCells(
        [""] * len(shapes) if ids is None else [_text(value) for value in ids],
        None if points else shapes,
        xy=shapely.get_coordinates(shapes) if points else None,
        classes=None if classes is None else [_text(value) for value in classes],
        confidence=None if confidence is None else _numbers(confidence),
    )


def _numbers(values: list[Any]) -> Array:
    """Return numbers; NaN for what is none."""
    import pandas as pd

    return np.asarray(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce"), dtype=np.float64)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


ENTRIES = (
    CellSource(
        "geoparquet",
        "GeoParquet of outlines or points in pixels, as HEST and GeoPandas write it",
        detect,
        read,
        priority=50,
    ),
)
