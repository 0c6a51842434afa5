"""Regions and cells of other tools, from QuPath's GeoJSON or from tables, in µm."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Bool, Float, frozen
from histosge.errors import DataError, UsageError

__all__ = ["Polygon", "read_cells", "read_polygons"]

# columns of a centroid in QuPath's measurement export, and common names
_COLUMNS_UM = (("Centroid X µm", "Centroid Y µm"), ("x_um", "y_um"), ("Centroid X um", "Centroid Y um"))
_COLUMNS_PX = (("Centroid X px", "Centroid Y px"), ("x_px", "y_px"), ("x", "y"))
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

        shape = shapely.Polygon(self.exterior, self.holes)
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
    regions = []
    for feature in _features(path):
        name = str((feature.get("properties") or {}).get("name") or "")
        for rings in _rings(feature, path):
            border, *holes = (np.asarray(ring, dtype=np.float64)[:, :2] * mpp for ring in rings)
            regions.append(Polygon(name, border, tuple(holes)))
    if not regions:
        raise DataError(
            f"Expected polygons in '{path}', got none. Export annotations from QuPath as GeoJSON."
        )
    return tuple(regions)


def read_cells(path: Path, mpp: float) -> tuple[Array, Float[np.ndarray, "n 2"]]:
    """Read cells: ids and centroids in µm.

    Parameters
    ----------
    path
        GeoJSON of cell detections (polygons or points), or a table (.csv, .tsv, .txt) with centroids in µm
        (``Centroid X µm``, ``x_um``) or full-resolution pixels (``Centroid X px``, ``x``).
    mpp
        µm per full-resolution pixel.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it holds no cells.
    """
    table = path.suffix.lower() in (".csv", ".tsv", ".txt")
    ids, xy_um = _table_cells(path, mpp) if table else _geojson_cells(path, mpp)
    if not len(ids):
        raise DataError(f"Expected cells in '{path}', got none.")
    return ids, xy_um


def _geojson_cells(path: Path, mpp: float) -> tuple[Array, Array]:
    ids, centroids = [], []
    for number, feature in enumerate(_features(path)):
        geometry = feature.get("geometry") or {}
        if geometry.get("type") == "Point":
            centroid = np.asarray(geometry["coordinates"][:2], dtype=np.float64)
        else:
            centroid = _centroid(next(_rings(feature, path)))
        ids.append(str(feature.get("id") or f"cell_{number}"))
        centroids.append(centroid * mpp)
    return np.array(ids, dtype=str), np.array(centroids).reshape(-1, 2)


def _table_cells(path: Path, mpp: float) -> tuple[Array, Array]:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=None, engine="python")
    except FileNotFoundError as error:
        raise UsageError(f"Expected a file of cells, got none at '{path}'.") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"'{path}' is no table of cells ({error}).") from error
    # columns in µm are preferred: pixels depend on the image they were counted on
    for columns, scale in [(pair, 1.0) for pair in _COLUMNS_UM] + [(pair, mpp) for pair in _COLUMNS_PX]:
        if set(columns) <= set(table.columns):
            named = [name for name in _ID_COLUMNS if name in table.columns]
            ids = table[named[0]] if named else pd.Series([f"cell_{number}" for number in range(len(table))])
            return ids.astype(str).to_numpy(dtype=str), _numbers(table[list(columns)], path) * scale
    raise DataError(
        f"Expected columns x_um and y_um (or x and y in pixels) in '{path}', got {', '.join(table.columns)}."
    )


def _numbers(columns: Any, path: Path) -> Array:
    """Return a table's positions as numbers; refuse rows without one."""
    import pandas as pd

    numbers = columns.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise DataError(f"Expected a position in each row of '{path}', got none in row {bad[0] + 1}.")
    return np.asarray(numbers)


def _features(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the features of a collection, a list, or a single one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"Expected a GeoJSON file, got none at '{path}'.") from error
    except ValueError as error:
        raise DataError(f"'{path}' is no GeoJSON ({error}). Export it from QuPath again.") from error
    if isinstance(content, dict):
        content = content.get("features", [content])
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise DataError(f"Expected a list of features in '{path}'. Export it from QuPath as GeoJSON.")
    yield from content


def _rings(feature: Mapping[str, Any], path: Path) -> Iterator[list[Any]]:
    """Yield the rings (border, holes) of each polygon of a feature."""
    geometry = feature.get("geometry") or {}
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon" and coordinates:
        yield coordinates
    elif kind == "MultiPolygon" and coordinates:
        yield from coordinates
    else:
        raise DataError(f"Expected polygons in '{path}', got {kind or 'a feature without geometry'}.")


def _centroid(rings: list[Any]) -> Array:
    import shapely

    centre = shapely.Polygon(np.asarray(rings[0])[:, :2]).centroid
    return np.array([centre.x, centre.y])
