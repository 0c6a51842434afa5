"""Regions and cells of other tools, from QuPath's GeoJSON or from tables, in µm."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError, UsageError

from .geojson import Shape, read_shapes

__all__ = ["Polygon", "centroid_of", "read_cells", "read_polygons"]

# columns that name the image of a cell; QuPath's is the first
_IMAGE_COLUMNS = ("Image", "image", "Image name", "image_name", "slide", "sample")
# columns of a centroid: in µm of the section, in full-resolution pixels, and in µm of QuPath's own pixel size
_COLUMNS_UM = ("x_um", "y_um")
_COLUMNS_QUPATH = (
    ("Centroid X µm", "Centroid Y µm"),
    ("Centroid X μm", "Centroid Y μm"),
    ("Centroid X um", "Centroid Y um"),
)
_COLUMNS_PX = (("Centroid X px", "Centroid Y px"), ("x_px", "y_px"), ("x", "y"))
# scales that differ by less displace no cell by more than its size
_SAME_SCALE = 0.001
# columns that an error lists, and letters of each
_MOST_NAMED, _LETTERS = 12, 40
_ID_COLUMNS = ("id", "Object ID", "cell_id", "Name")


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A region.

    Parameters
    ----------
    name
        The name in QuPath; empty where it has none.
    exterior
        Its border in µm.
    holes
        Borders of its holes, in µm.
    """

    name: str
    exterior: Float[np.ndarray, "m 2"]
    holes: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "exterior", frozen(np.asarray(self.exterior, dtype=np.float64)))

    def contains(self, xy_um: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Return which positions lie inside."""
        import shapely

        # holes of fewer than three corners have no area
        shape = shapely.Polygon(self.exterior, [hole for hole in self.holes if len(hole) >= 3])
        # outlines drawn by hand may cross themselves
        return np.asarray(shapely.contains_xy(shapely.make_valid(shape), xy_um[:, 0], xy_um[:, 1]))


def read_polygons(path: Path, *, mpp: float) -> tuple[Polygon, ...]:
    """Read regions from GeoJSON as QuPath exports it (coordinates in full-resolution pixels).

    Parameters
    ----------
    path
        A FeatureCollection, a list of features or one feature; polygons and multipolygons.
    mpp
        µm per full-resolution pixel.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is no GeoJSON or holds no polygon.
    """
    shapes, left_out = read_shapes(path, points=False)
    if not shapes:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items())) or "none"
        raise DataError(
            f"Expected polygons in '{path}', got {counts}. Export annotations from QuPath as GeoJSON."
        )
    _report_left_out(left_out, path)
    return tuple(
        Polygon(shape.name, border * mpp, tuple(hole * mpp for hole in holes))
        for shape in shapes
        for border, *holes in shape.polygons
    )


def read_cells(
    path: Path, mpp: float, *, image_mpp: float | None = None
) -> tuple[Array, Float[np.ndarray, "n 2"]]:
    """Read cells: ids and centroids in µm.

    Parameters
    ----------
    path
        GeoJSON of cell detections (polygons or points), or a table (.csv, .tsv, .txt) with centroids in µm
        (``x_um``), full-resolution pixels (``Centroid X px``, ``x``), or QuPath's µm (``Centroid X µm``).
    mpp
        µm per full-resolution pixel.
    image_mpp
        µm per full-resolution pixel of the image's metadata. QuPath's µm are pixels times this scale, which may differ
        from ``mpp``, the scale by the spots.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it holds no cells, or µm of QuPath without ``image_mpp``.
    """
    table = path.suffix.lower() in (".csv", ".tsv", ".txt")
    ids, xy_um = _table_cells(path, mpp, image_mpp) if table else _geojson_cells(path, mpp)
    if not len(ids):
        raise DataError(f"Expected cells in '{path}', got none.")
    return _unique(ids, path), xy_um


def _unique(ids: Array, path: Path) -> Array:
    """Return ids with repeats numbered (``A``, ``A-1``), and warn of how many there are."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, return_index=True)[1]] = True
    if first.all():
        return ids
    taken, unique = set(ids.tolist()), []
    numbers: Counter[str] = Counter()
    for name, is_first in zip(ids.tolist(), first.tolist(), strict=True):
        numbered = name
        while not is_first and numbered in taken:
            numbers[name] += 1
            numbered = f"{name}-{numbers[name]}"
        taken.add(numbered)
        unique.append(numbered)
    text = (
        f"{int((~first).sum())} of {len(ids)} cells of '{path}' have an id that another cell has, as "
        f"'{ids[~first][0]}'; repeats were numbered ('{np.array(unique)[~first][0]}')."
    )
    emit([Message("warning", text)])
    return np.array(unique, dtype=str)


def _geojson_cells(path: Path, mpp: float) -> tuple[Array, Array]:
    ids, centroids = [], []
    shapes, left_out = read_shapes(path, points=True)
    for shape in shapes:
        if (centroid := centroid_of(shape)) is None:
            left_out["polygon without area"] += 1
            continue
        ids.append(shape.id or f"cell_{shape.number}")
        centroids.append(centroid * mpp)
    _report_left_out(left_out, path)
    return np.array(ids, dtype=str), np.array(centroids).reshape(-1, 2)


def _table_cells(path: Path, mpp: float, image_mpp: float | None) -> tuple[Array, Array]:
    import pandas as pd

    try:
        # ids are text: 007 is not 7, and 7 beside an empty cell is not 7.0
        table = pd.read_csv(path, sep=None, engine="python", dtype=dict.fromkeys(_ID_COLUMNS, str))
    except FileNotFoundError as error:
        raise UsageError(f"Expected a file of cells, got none at '{path}'.") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"'{path}' is no table of cells ({error}).") from error
    _refuse_several_images(table, path)
    xy_um = _centroids_um(table, path, mpp=mpp, image_mpp=image_mpp)
    named = [name for name in _ID_COLUMNS if name in table.columns and table[name].notna().any()]
    rows = pd.Series([f"cell_{number}" for number in range(len(table))], index=table.index)
    ids = table[named[0]].where(table[named[0]].notna(), rows) if named else rows
    return ids.astype(str).to_numpy(dtype=str), xy_um


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
    for columns, scale in [(_COLUMNS_UM, 1.0)] + [(pair, mpp) for pair in _COLUMNS_PX]:
        if set(columns) <= set(table.columns):
            return _numbers(table[list(columns)], path) * scale
    for columns in _COLUMNS_QUPATH:
        if set(columns) <= set(table.columns):
            return _numbers(table[list(columns)], path) * _qupath_scale(path, mpp, image_mpp)
    names = ", ".join(str(name)[:_LETTERS] for name in table.columns[:_MOST_NAMED])
    raise DataError(f"Expected columns x_um and y_um (or x and y in pixels) in '{path}', got {names}.")


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


def centroid_of(shape: Shape) -> Array | None:
    """Return the centroid of all polygons of a shape, weighted by area; ``None`` where they have none."""
    import shapely

    if shape.point is not None and not shape.polygons:
        return shape.point
    try:
        pieces = [shapely.make_valid(shapely.Polygon(border, holes)) for border, *holes in shape.polygons]
        centre = (pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)).centroid
    except (shapely.errors.GEOSException, ValueError):
        return None
    return None if centre.is_empty else np.array([centre.x, centre.y])


def _report_left_out(left_out: Counter[str], path: Path) -> None:
    if left_out:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items()))
        emit(
            [
                Message(
                    "warning", f"'{path}' holds features that are no polygons, which were left out: {counts}."
                )
            ]
        )
